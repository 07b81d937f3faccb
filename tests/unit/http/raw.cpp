#include "tests/unit/http/raw.hpp"

#include <netinet/in.h>
#include <openssl/pem.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <fstream>
#include <stdexcept>

// Memory that was freed would count as in use, up to 256 MiB of it.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() { return "quarantine_size_mb=4:thread_local_quarantine_size_kb=64"; }

namespace cloudos::test {
namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return at;
}

http::detail::Connection accept_tls(int fd, const RawServer::How& how) {
  auto context = http::detail::server_context(*how.identity);
  if (!how.client_ca.empty()) {
    const auto source = http::detail::reader(how.client_ca);
    const http::detail::Certificate ca(PEM_read_bio_X509(source.get(), nullptr, nullptr, nullptr));
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context->get()), ca.get());
    SSL_CTX_set_verify(context->get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  http::detail::Connection ssl(SSL_new(context->get()));
  SSL_set_fd(ssl.get(), fd);
  if (SSL_accept(ssl.get()) != 1) {
    ssl.reset();
    // What was not read would make the end a reset, which takes the alert away from the client.
    ::shutdown(fd, SHUT_WR);
    std::array<char, 4096> rest{};
    while (::recv(fd, rest.data(), rest.size(), 0) > 0) {}
  }
  return ssl;
}

}  // namespace

void Wire::write(std::string_view text) const {
  if (tls) SSL_write(tls.get(), text.data(), static_cast<int>(text.size()));
  else static_cast<void>(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL));
}

std::string Wire::read() const {
  std::array<char, 65536> room{};
  const auto got = tls ? SSL_read(tls.get(), room.data(), static_cast<int>(room.size())) : ::recv(fd.get(), room.data(), room.size(), 0);
  return got > 0 ? std::string(room.data(), static_cast<std::size_t>(got)) : std::string();
}

std::string Wire::read_to(std::string_view end) const {
  std::string all;
  while (!all.contains(end)) {
    const auto more = read();
    if (more.empty()) break;
    all += more;
  }
  return all;
}

RawServer::RawServer(How how, std::function<void(const Wire&)> script)
    : script_(std::move(script)), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  std::signal(SIGPIPE, SIG_IGN);
  auto at = loopback(0);
  socklen_t size = sizeof at;
  if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 || ::listen(listener_.get(), 16) != 0)
    throw std::runtime_error("listen");
  ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&at), &size);
  port_ = ntohs(at.sin_port);
  thread_ = std::thread([this, how = std::move(how)] { run(how); });
}

RawServer::~RawServer() {
  {
    const std::scoped_lock lock(mutex_);
    over_ = true;
    if (now_ >= 0) ::shutdown(now_, SHUT_RDWR);
    ::shutdown(listener_.get(), SHUT_RDWR);
  }
  thread_.join();
}

void RawServer::run(const How& how) {
  for (;;) {
    Wire wire{.fd = os::Fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC))};
    {
      const std::scoped_lock lock(mutex_);
      if (!wire.fd || over_) return;
      now_ = wire.fd.get();
    }
    ++accepted_;
    if (how.identity) wire.tls = accept_tls(wire.fd.get(), how);
    if (!how.identity || wire.tls) script_(wire);
    const std::scoped_lock lock(mutex_);
    now_ = -1;
  }
}

Wire connect_to(std::uint16_t port) {
  Wire wire{.fd = os::Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))};
  const auto at = loopback(port);
  if (::connect(wire.fd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) throw std::runtime_error("connect");
  return wire;
}

Wire greet(std::uint16_t port) {
  auto wire = connect_to(port);
  const http::detail::Context context(SSL_CTX_new(TLS_client_method()));
  wire.tls.reset(SSL_new(context.get()));
  SSL_set_fd(wire.tls.get(), wire.fd.get());
  if (SSL_connect(wire.tls.get()) != 1) throw std::runtime_error("SSL_connect");
  return wire;
}

std::size_t resident() {
  std::size_t all = 0, pages = 0;
  std::ifstream("/proc/self/statm") >> all >> pages;
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace cloudos::test
