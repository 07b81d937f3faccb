#pragma once
// Peers that do what no library would: servers and clients made of bare sockets.

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "agent/http/http.hpp"
#include "agent/http/tls.hpp"

namespace cloudos::test {

// One end of a connection, with TLS or without.
struct Wire {
  os::Fd fd;
  http::detail::Connection tls = {};
  void write(std::string_view text) const;
  // What comes next; "" at the end.
  [[nodiscard]] std::string read() const;
  // Up to and with `end`, or to the end of all.
  [[nodiscard]] std::string read_to(std::string_view end) const;
};

// Serves one connection after the other, each by `script`, in a thread.
class RawServer {
 public:
  struct How {
    std::optional<http::Identity> identity = {};  // without: no TLS
    std::string client_ca = {};                   // a client certificate of it is demanded
  };
  RawServer(How how, std::function<void(const Wire&)> script);
  ~RawServer();
  RawServer(const RawServer&) = delete;
  RawServer& operator=(const RawServer&) = delete;
  [[nodiscard]] std::string url() const { return "https://127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] int accepted() const { return accepted_; }

 private:
  void run(const How& how);
  std::function<void(const Wire&)> script_;
  os::Fd listener_;
  std::uint16_t port_ = 0;
  std::atomic<int> accepted_ = 0;
  std::mutex mutex_;
  int now_ = -1;  // under the mutex
  bool over_ = false;
  std::thread thread_;
};

Wire connect_to(std::uint16_t port);
// With TLS, believing anybody.
Wire greet(std::uint16_t port);
// The bytes of this process that are in memory.
std::size_t resident();

}  // namespace cloudos::test
