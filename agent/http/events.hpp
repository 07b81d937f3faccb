#pragma once
// Inside agent/http only: owners of libevent's handles.

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "agent/http/tls.hpp"

namespace cloudos::http::detail {

using Base = std::unique_ptr<event_base, Freed<event_base_free>>;
using Event = std::unique_ptr<event, Freed<event_free>>;
using Buffer = std::unique_ptr<evbuffer, Freed<evbuffer_free>>;

// A loop for one thread. Times are not kept from one callback to the next: a sink may take long.
inline Base make_base() {
  // It would write to standard error what our errors say better.
  event_set_log_callback([](int, const char*) {});
  const std::unique_ptr<event_config, Freed<event_config_free>> config(must(event_config_new()));
  event_config_set_flag(config.get(), EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_NO_CACHE_TIME | EVENT_BASE_FLAG_IGNORE_ENV);
  return Base(must(event_base_new_with_config(config.get())));
}

inline timeval time_of(std::chrono::steady_clock::duration span) {
  const auto microseconds = std::max<std::int64_t>(std::chrono::duration_cast<std::chrono::microseconds>(span).count(), 0);
  return {.tv_sec = microseconds / 1'000'000, .tv_usec = microseconds % 1'000'000};
}

inline std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// Names in lower case; of several of a name one line, as RFC 9110, section 5.3, has it.
inline std::map<std::string, std::string> headers_of(const evkeyvalq* headers) {
  std::map<std::string, std::string> out;
  for (const auto* at = headers->tqh_first; at != nullptr; at = at->next.tqe_next) {
    const auto [found, fresh] = out.try_emplace(lower(at->key), at->value);
    if (!fresh) found->second.append(", ").append(at->value);
  }
  return out;
}

constexpr std::size_t longest_headers = 16U << 10;

}  // namespace cloudos::http::detail
