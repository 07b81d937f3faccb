// agent/http: HTTP/1.1 over TLS for a process that stays: small requests to the API server and to other nodes, files from other
// nodes, and serving both, on libevent and OpenSSL, linked statically (libcurl would bring some twenty libraries into the memory
// of every node). TLS 1.2 at least, 1.3 where both can. Not here: what is asked and answered (agent/kube, agent/metrics,
// agent/supply), the installer's downloads (core/os/http).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/base/argv.hpp"
#include "core/base/secret.hpp"
#include "core/base/units.hpp"
#include "core/os/crypto/crypto.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::http {

// Who we are.
using os::Identity;

// Whom we believe. Exactly one of the two is given.
struct Trust {
  std::string ca;                 // PEM, one or more: the chain and the host's name or address must hold
  std::vector<std::string> spki;  // "sha256:<hex>": the peer's own certificate has one of these keys; its name does not count
};

struct Request {
  std::string method = "GET";
  std::string path = "/";  // with the query
  std::map<std::string, std::string> headers = {};
  std::string body = {};
};
struct Response {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

// A connection to one server, kept between requests and made anew when it has gone. One thread at a time; calls block.
class Client {
 public:
  struct Options {
    std::string url;  // "https://10.0.0.1:6443": scheme, host or address, port; nothing else
    Trust trust;
    std::optional<Identity> identity = {};
    Milliseconds connect{5'000};
  };
  // Errors: input (not such a URL, not PEM).
  static Result<Client> make(Options options);
  ~Client();
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;

  // The answer, whatever its status. Errors: network and timeout (retryable), trust (the peer's certificate: says which and
  // what was expected), auth (the peer does not accept ours), failed (a body longer than `limit`, 16 KiB of headers), input (a
  // request that cannot be sent). When a kept connection turns out to be gone, all but POST and PATCH are sent once more.
  [[nodiscard]] Result<Response> ask(const Request& request, Deadline deadline, std::size_t limit = 16U << 20);
  // The body of a 200 or 206 goes into the sink as it comes (a watch, a blob); of any other status it is in the answer, cut
  // off at 64 KiB. Fails when no byte came for `stall` (timeout), when `stop` is set (cancelled), or with the sink's own error.
  [[nodiscard]] Result<Response> stream(const Request& request, const ByteSink& body, Milliseconds stall, std::stop_token stop = {});

 private:
  struct State;
  explicit Client(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// What a server was asked.
struct Asked {
  std::string method, path, query;             // path without the query, percent-decoded; query as it came
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // at most 64 KiB
  std::string peer;                            // its address
};
// A part of a file as a body.
struct FilePart {
  os::Fd file;
  std::uint64_t offset = 0, length = 0;
};
struct Answer {
  int status = 200;
  std::map<std::string, std::string> headers = {};
  std::variant<std::string, FilePart> body = {};
};

class Server {
 public:
  using Handler = std::function<Answer(const Asked&)>;
  struct Options {
    std::string address;                    // "10.0.0.4", "127.0.0.1"
    std::uint16_t port = 0;                 // 0: any, see Server::port()
    std::optional<Identity> identity = {};  // without one: plain HTTP, for loopback only (anything else is refused: input)
    std::size_t connections = 64;           // more wait in the backlog; plain HTTP is not bounded so, only by `idle`
    // A connection on which nothing happens for so long is closed, as is one whose next request is not whole by then, or the
    // handshake and the first one within ten seconds.
    Milliseconds idle{60'000};
  };
  // Serves from a thread of its own until it is destroyed; the handler is called there, one request at a time. GET, HEAD and POST;
  // others are answered 405. Errors: io (the address is in use), input (identity).
  static Result<Server> start(Options options, Handler handler);
  ~Server();
  Server(Server&&) noexcept;
  Server& operator=(Server&&) noexcept;

  [[nodiscard]] std::uint16_t port() const;
  // For new connections; those that are there keep what they began with. Errors: input.
  [[nodiscard]] Status renew(const Identity& identity);

 private:
  struct State;
  explicit Server(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace cloudos::http
