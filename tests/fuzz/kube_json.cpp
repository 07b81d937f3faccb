// Any text as an answer of the API: a value or an error that is safe for a terminal, the same however a watch is cut in pieces.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "agent/kube/form.hpp"

using namespace cloudos;
using cloudos::kube::Json;
namespace form = cloudos::kube::form;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void check(const Error& error) {
  require(!error.message.empty() && error.message.size() < 8192);
  require(std::ranges::none_of(error.message, [](unsigned char c) { return c < 0x20 || c == 0x7F; }));
}

// The events' texts, and whether it ended well.
std::pair<std::string, bool> watch(std::string_view text, std::size_t piece) {
  std::string seen;
  form::Events events;
  const auto each = [&](const Json& event) -> Status {
    require(event.at("type").is_string() && event.at("object").is_object());
    seen += event.dump() + "\n";
    return {};
  };
  for (; !text.empty(); text.remove_prefix(std::min(piece, text.size()))) {
    const auto taken = events.take(text.substr(0, piece), each);
    if (taken) continue;
    check(taken.error());
    return {seen, false};
  }
  const auto ended = events.end();
  if (!ended) check(ended.error());
  return {seen, ended.has_value()};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(static_cast<const char*>(static_cast<const void*>(data)), size);
  for (const int status : {302, 400, 401, 404, 409, 410, 429, 500}) check(form::refusal(status, text));
  if (const auto object = form::object(text); !object) {
    check(object.error());
  } else {
    require(object->is_object());
    const auto user = form::reviewed(*object);
    if (!user) check(user.error());
    else if (*user) require(!(*user)->name.empty());
    if (const auto allowed = form::allowed(*object); !allowed) check(allowed.error());
    require(form::object(object->dump()).has_value());
  }
  require(watch(text, 3) == watch(text, size + 1));
  return 0;
}
