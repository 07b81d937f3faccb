// Inside agent/grpc: one HTTP/2 connection on a descriptor. What libnghttp2 says goes to a Peer, what it wants to send goes
// out; its handle is owned here and nowhere else.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/loop/loop.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::grpc {

// Told what arrives on a connection.
class Peer {
 public:
  Peer() = default;
  virtual ~Peer() = default;
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  virtual void header(std::int32_t stream, std::string_view name, std::string_view value) = 0;
  virtual void data(std::int32_t stream, std::string_view bytes) = 0;
  // The other side has said all of this stream.
  virtual void end(std::int32_t stream) = 0;
  virtual void closed(std::int32_t stream) = 0;
};

using Headers = std::vector<std::pair<std::string, std::string>>;

class Session {
 public:
  enum class Side { server, client };
  // `fd` is connected and non-blocking. `peer` outlives the session.
  static Result<std::unique_ptr<Session>> make(os::Fd fd, Side side, Peer& peer);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  [[nodiscard]] int fd() const { return fd_.get(); }
  // The descriptor's source, so that it asks for EPOLLOUT only while something waits to go.
  void attach(loop::Source source) { source_ = std::move(source); }
  // Reads what is there and answers. False: the connection is over.
  [[nodiscard]] bool receive();
  // Sends what waits. False: the connection is over.
  [[nodiscard]] bool flush();

  // Client: a POST with this body. Gives the stream's number, or nghttp2's error (negative).
  std::int32_t request(const Headers& headers, std::string body);
  // Server: a response that is headers only.
  void respond(std::int32_t stream, const Headers& headers);
  // Server: a response whose body `provider` gives.
  void respond(std::int32_t stream, const Headers& headers, const nghttp2_data_provider2& provider);
  void trailer(std::int32_t stream, const Headers& headers);
  void resume(std::int32_t stream) { nghttp2_session_resume_data(session_, stream); }
  void reset(std::int32_t stream, std::uint32_t error) { nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream, error); }

 private:
  explicit Session(os::Fd fd) : fd_(std::move(fd)) {}
  static nghttp2_session_callbacks* callbacks();
  static nghttp2_ssize read_body(nghttp2_session*, std::int32_t, std::uint8_t* out, std::size_t room, std::uint32_t* flags,
                                 nghttp2_data_source* source, void*);

  os::Fd fd_;
  nghttp2_session* session_ = nullptr;
  loop::Source source_;
  std::string unsent_;
  bool receiving_ = false;
  // A client's session makes one request: this is its body.
  std::string body_;
  std::size_t body_at_ = 0;
};

}  // namespace cloudos::grpc
