#pragma once
// Inside agent/http only: one connection of a client, and one request on it.

#include <string>

#include "agent/http/events.hpp"

namespace cloudos::http::detail {

// A connection to one address. evhttp makes it with the first request.
class Line {
 public:
  // `context` and `trust` outlive it.
  Line(event_base* loop, SSL_CTX* context, const Trust& trust, const std::string& host, std::uint16_t port, const std::string& address);
  ~Line();
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  // Looks whether the peer has closed it since the last request.
  [[nodiscard]] bool usable();

  event_base* base;
  Handshake handshake;
  evhttp_connection* evhttp = nullptr;
  bufferevent* channel = nullptr;
  bool connected = false, gone = false, used = false;
};

struct Bounds {
  Milliseconds connect{0};
  std::optional<Deadline> deadline = {};   // of all
  std::optional<Milliseconds> stall = {};  // of a silence
  std::size_t limit = 0;                   // of the body, when it goes into the answer
  const ByteSink* sink = nullptr;          // gets the body of a 200 or 206
  std::stop_token stop = {};
};

struct Outcome {
  Result<Response> answer;
  bool unheard = false;      // not a byte came back
  bool unconnected = false;  // the handshake was not reached
};
[[nodiscard]] Outcome exchange(Line& line, const Request& request, const Bounds& bounds);

}  // namespace cloudos::http::detail
