#include "installer/ssh/session.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <format>

namespace cloudos::ssh {

namespace {

constexpr int unanswered_at_most = 2;
// libssh2 takes a span of one second for two.
constexpr Milliseconds shortest_keepalive{2000};

// libssh2_init(3) is not thread-safe and must come first.
bool library_ready() {
  static const bool ready = libssh2_init(0) == 0;
  return ready;
}

int poll_span(Deadline deadline, Milliseconds at_most) {
  const auto now = std::chrono::steady_clock::now();
  if (deadline <= now) return 0;
  // Rounded up, so that a wait never ends just before its deadline and spins.
  const auto left = std::chrono::floor<Milliseconds>(deadline - now);
  return static_cast<int>(std::min(left, at_most - Milliseconds{1}).count() + 1);
}

}  // namespace

Result<std::unique_ptr<Session>> Session::over(os::Fd socket, std::string peer, Milliseconds keepalive) {
  if (!library_ready()) return fail(ErrorKind::io, "cannot start libssh2");
  LIBSSH2_SESSION* session = libssh2_session_init_ex(nullptr, nullptr, nullptr, nullptr);
  if (session == nullptr) return fail(ErrorKind::io, "cannot start an SSH session: out of memory");
  libssh2_session_set_blocking(session, 0);
  return std::unique_ptr<Session>(new Session(std::move(socket), std::move(peer), keepalive, session));
}

Session::Session(os::Fd socket, std::string peer, Milliseconds keepalive, LIBSSH2_SESSION* session)
    : socket_(std::move(socket)), peer_(std::move(peer)), keepalive_(std::max(keepalive, shortest_keepalive)), session_(session) {}

Session::~Session() {
  // One try to say goodbye. Then the socket is shut, so that freeing what is still open neither waits nor asks to be repeated.
  libssh2_session_disconnect_ex(session_, SSH_DISCONNECT_BY_APPLICATION, "done", "");
  ::shutdown(socket_.get(), SHUT_RDWR);
  while (libssh2_session_free(session_) == LIBSSH2_ERROR_EAGAIN) ::poll(nullptr, 0, 1);
}

bool Session::sending() const { return (libssh2_session_block_directions(session_) & LIBSSH2_SESSION_BLOCK_OUTBOUND) != 0; }

Status Session::wait(Deadline deadline, std::string_view doing) {
  // After a question this polls again and does not go back to libssh2, which would read the answer before it was seen here.
  for (;;) {
    pollfd p{.fd = socket_.get(), .events = static_cast<short>(sending() ? POLLOUT : POLLIN), .revents = 0};
    const int span = poll_span(deadline, keepalive_);
    const int ready = ::poll(&p, 1, span);
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return fail_errno(std::format("poll the connection to {}", peer_), errno);
    if (std::chrono::steady_clock::now() >= deadline)
      return fail(Error{.kind = ErrorKind::timeout, .message = std::format("{}: {} did not end in time", peer_, doing), .retryable = true});
    if (ready > 0) {
      silent_ = Milliseconds{0};
      unanswered_ = 0;
      return {};
    }
    CLOUDOS_TRY(idle(Milliseconds{span}));
  }
}

Status Session::idle(Milliseconds waited) {
  if (!ask_for_life_) return {};
  silent_ += waited;
  if (unanswered_ >= unanswered_at_most)
    return fail(Error{
        .kind = ErrorKind::network,
        .message = std::format("{} has given no sign of life for {} s", peer_, std::chrono::floor<std::chrono::seconds>(silent_).count()),
        .retryable = true});
  // Only where it fits into the socket's buffer at once: libssh2 forgets the rest of a keepalive that did not. A full buffer
  // is a question, too: nothing of it was taken for a whole span.
  pollfd out{.fd = socket_.get(), .events = POLLOUT, .revents = 0};
  if (sending() || ::poll(&out, 1, 0) != 1) {
    ++unanswered_;
    return {};
  }
  int next = 0;
  if (libssh2_keepalive_send(session_, &next) != 0) return std::unexpected(error("keeping the connection"));
  // libssh2 goes by the clock on the wall and may have sent nothing, which a peer cannot answer. A whole span until the next
  // one tells that it has.
  if (next == std::chrono::floor<std::chrono::seconds>(keepalive_).count()) ++unanswered_;
  return {};
}

bool Session::hung_up(Milliseconds within) const {
  pollfd p{.fd = socket_.get(), .events = POLLRDHUP, .revents = 0};
  return ::poll(&p, 1, static_cast<int>(within.count())) == 1;
}

void Session::keep_alive() {
  ask_for_life_ = true;
  const auto seconds = std::chrono::floor<std::chrono::seconds>(keepalive_).count();
  libssh2_keepalive_config(session_, 1, static_cast<unsigned>(seconds));
}

Error Session::error(std::string_view doing) const {
  char* text = nullptr;
  int length = 0;
  const int code = libssh2_session_last_error(session_, &text, &length, 0);
  const bool gone = code == LIBSSH2_ERROR_SOCKET_DISCONNECT || code == LIBSSH2_ERROR_SOCKET_SEND || code == LIBSSH2_ERROR_SOCKET_RECV ||
                    code == LIBSSH2_ERROR_SOCKET_TIMEOUT || code == LIBSSH2_ERROR_TIMEOUT;
  const std::string why =
      text != nullptr && length > 0 ? std::string(text, static_cast<std::size_t>(length)) : std::string("no reason given");
  return {.kind = ErrorKind::network,
          .message = gone ? std::format("{}: the connection was lost during {} ({})", peer_, doing, why)
                          : std::format("{}: {} failed: {}", peer_, doing, why),
          .retryable = gone};
}

}  // namespace cloudos::ssh
