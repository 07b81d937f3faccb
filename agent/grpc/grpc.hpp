// agent/grpc: as much of gRPC over HTTP/2 (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md) as kubelet's plugin sockets need, on
// libnghttp2: a server of unary and server-streaming methods, a client of unary ones, on unix sockets and the loop's thread.
// Messages are bytes; what is in them is agent/wire's. Not here: TLS, compression, client streaming, load balancing.
#pragma once

#include <expected>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "agent/loop/loop.hpp"
#include "core/base/log.hpp"

namespace cloudos::grpc {

// The codes that are used here (grpc doc/statuscodes.md); a peer's others pass through as their number.
enum class Code : int {
  ok = 0,
  cancelled = 1,
  unknown = 2,
  invalid_argument = 3,
  deadline_exceeded = 4,
  not_found = 5,
  resource_exhausted = 8,
  failed_precondition = 9,
  unimplemented = 12,
  internal = 13,
  unavailable = 14,
};
struct Failure {
  Code code = Code::unknown;
  std::string message;
};
// An encoded message, or why there is none.
using Answer = std::expected<std::string, Failure>;

// A longer message of a peer is refused with resource_exhausted.
constexpr std::size_t longest_message = 1U << 20;

// The server's end of a streaming call, to a client that wants the present state and not its history: a message that could
// not go out yet is replaced by the next one, so a client that does not read costs two messages at most.
class Stream {
 public:
  Stream() = default;
  virtual ~Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  // Does nothing once the client has gone.
  virtual void send(std::string message) = 0;
  [[nodiscard]] virtual bool open() const = 0;
};

// What a server answers, by full method path ("/v1beta1.DevicePlugin/Allocate"). Handlers run on the loop's thread and must
// not destroy the server.
struct Service {
  std::map<std::string, std::function<Answer(std::string_view request)>, std::less<>> unary;
  // The stream may be kept; it closes with its client.
  std::map<std::string, std::function<void(std::string_view request, std::shared_ptr<Stream> stream)>, std::less<>> streaming;
  // Told after a streaming call has ended, whoever ended it.
  std::function<void()> stream_ended = [] {};
};

class Server {
 public:
  // Serves on a unix socket of mode 0600 at `socket`, which replaces whatever socket is there. `loop` and `log` outlive the
  // server. Errors: io.
  static Result<Server> listen(loop::Loop& loop, const std::filesystem::path& socket, Service service, Log& log);
  // Ends all calls; removes the socket if it is still ours.
  ~Server();
  Server(Server&&) noexcept;
  Server& operator=(Server&&) noexcept;

 private:
  struct State;
  explicit Server(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// A unary call that is under way; destroying it cancels it, silently.
class Call {
 public:
  // Connects to the socket and asks. `then` gets the answer, once, from the loop, and may destroy the call: a server that
  // does not answer within `patience` is deadline_exceeded; one that is not there or goes away, unavailable.
  static std::unique_ptr<Call> start(loop::Loop& loop, const std::filesystem::path& socket, const std::string& method,
                                     const std::string& request, Milliseconds patience, std::function<void(Answer)> then);
  virtual ~Call() = default;
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

 protected:
  Call() = default;
};

}  // namespace cloudos::grpc
