#include "installer/ssh/exec.hpp"

#include <openssl/crypto.h>

#include <algorithm>
#include <cstring>
#include <format>

namespace cloudos::ssh {

namespace {

constexpr std::size_t buffer_size = 256U << 10;
// How much may be under way to us before sshd waits for us: 16 MiB is 1 GbE at 130 ms.
constexpr unsigned window = 16U << 20;
constexpr std::string_view doing = "running a command";

bool again(ssize_t n) { return n == LIBSSH2_ERROR_EAGAIN; }

}  // namespace

Exec::Exec(Session& session, Wrapped wrapped, Streams& streams, SudoPassword sudo_password, Deadline deadline)
    : session_(session),
      wrapped_(std::move(wrapped)),
      streams_(streams),
      sudo_password_(std::move(sudo_password)),
      deadline_(deadline),
      out_noise_(wrapped_.marker),
      err_noise_(wrapped_.marker),
      in_buffer_(buffer_size),
      out_buffer_(buffer_size) {}

Result<RemoteExit> Exec::run() {
  CLOUDOS_TRY(open());
  auto pumped = pump();
  if (!pumped) {
    // Best effort: sshd drops the connection's commands only when they next write.
    if (!session_.sending()) libssh2_channel_signal_ex(channel_.get(), "TERM", 4);
    return std::unexpected(std::move(pumped).error());
  }
  CLOUDOS_ASSIGN(RemoteExit exit, ending());
  CLOUDOS_TRY(started_or_why());
  return exit;
}

Status Exec::open() {
  auto opened = session_.finish(
      [&] {
        channel_.reset(libssh2_channel_open_ex(session_.get(), "session", 7, window, LIBSSH2_CHANNEL_PACKET_DEFAULT, nullptr, 0));
        return channel_ ? 0 : libssh2_session_last_errno(session_.get());
      },
      deadline_, "opening a channel");
  if (!opened) return std::unexpected(std::move(opened).error());
  if (*opened < 0) return std::unexpected(session_.error("opening a channel"));
  return session_.must(
      [&] {
        return libssh2_channel_process_startup(channel_.get(), "exec", 4, wrapped_.line.data(),
                                               static_cast<unsigned>(wrapped_.line.size()));
      },
      deadline_, "starting a command");
}

Status Exec::pump() {
  for (;;) {
    CLOUDOS_ASSIGN(const bool moved, step());
    if (!reading_stuck_ && !writing_stuck_ && libssh2_channel_eof(channel_.get()) == 1) {
      const int closed = libssh2_channel_wait_closed(channel_.get());
      if (closed == 0) return {};
      if (!again(closed)) return std::unexpected(session_.error(doing));
    }
    if (!moved) CLOUDOS_TRY(session_.wait(deadline_, doing));
    else if (std::chrono::steady_clock::now() >= deadline_)
      return fail(Error{
          .kind = ErrorKind::timeout, .message = std::format("{}: {} did not end in time", session_.peer(), doing), .retryable = true});
  }
}

// Reads and writes what can be without waiting. Gives whether any byte moved.
Result<bool> Exec::step() {
  bool moved = false;
  if (!writing_stuck_) {
    for (const int stream : {0, SSH_EXTENDED_DATA_STDERR}) {
      CLOUDOS_ASSIGN(const Moved got, read(stream));
      moved = moved || got == Moved::something;
      reading_stuck_ = got == Moved::stuck;
      if (reading_stuck_) return moved;
    }
    CLOUDOS_TRY(answer_sudo());
  }
  CLOUDOS_ASSIGN(const Moved put, write());
  writing_stuck_ = put == Moved::stuck;
  return moved || put == Moved::something;
}

Result<Exec::Moved> Exec::read(int stream) {
  const ssize_t n = libssh2_channel_read_ex(channel_.get(), stream, reinterpret_cast<char*>(in_buffer_.data()), in_buffer_.size());
  if (again(n)) return session_.sending() ? Moved::stuck : Moved::nothing;
  if (n < 0) return std::unexpected(session_.error(doing));
  if (n == 0) return Moved::nothing;
  const std::span<const std::byte> bytes(in_buffer_.data(), static_cast<std::size_t>(n));
  CLOUDOS_TRY(stream == 0 ? out_noise_.feed(bytes, streams_.out) : err_noise_.feed(bytes, streams_.err));
  return Moved::something;
}

Result<Exec::Moved> Exec::write() {
  if (eof_sent_) return Moved::nothing;
  CLOUDOS_ASSIGN(const bool any, refill());
  if (!any) {
    if (!source_ended_) return Moved::nothing;
    const int status = libssh2_channel_send_eof(channel_.get());
    if (again(status)) return session_.sending() ? Moved::stuck : Moved::nothing;
    if (status < 0) return std::unexpected(session_.error(doing));
    eof_sent_ = true;
    return Moved::something;
  }
  const ssize_t n = libssh2_channel_write_ex(channel_.get(), 0, reinterpret_cast<const char*>(out_buffer_.data()) + sent_, filled_ - sent_);
  if (again(n) || n == 0) return session_.sending() ? Moved::stuck : Moved::nothing;
  if (n < 0) return std::unexpected(session_.error(doing));
  sent_ += static_cast<std::size_t>(n);
  // A password may have been in it.
  if (sent_ == filled_ && !out_noise_.over()) OPENSSL_cleanse(out_buffer_.data(), filled_);
  return Moved::something;
}

// Whether there is something to send. The caller's bytes only once the command runs: nothing before it may eat them.
Result<bool> Exec::refill() {
  if (sent_ < filled_) return true;
  if (source_ended_ || !out_noise_.over()) return false;
  CLOUDOS_ASSIGN(filled_, streams_.in(out_buffer_));
  sent_ = 0;
  source_ended_ = filled_ == 0;
  return !source_ended_;
}

Status Exec::answer_sudo() {
  if (err_noise_.over() || wrapped_.prompt.empty() || err_noise_.count(wrapped_.prompt) <= passwords_) return {};
  const auto who = session_.peer();
  if (passwords_ > 0)
    return fail(ErrorKind::auth, std::format("sudo on {} did not accept the password", who),
                "give the right one with --ask-sudo-password or --sudo-password-file; without them it is the login password");
  CLOUDOS_ASSIGN(const Secret password, sudo_password_());
  const auto text = password.reveal();
  if (text.size() + 1 > out_buffer_.size() || text.contains('\n'))
    return fail(ErrorKind::auth, std::format("the sudo password for {} is not one line", who));
  std::memcpy(out_buffer_.data(), text.data(), text.size());
  out_buffer_[text.size()] = std::byte{'\n'};
  sent_ = 0;
  filled_ = text.size() + 1;
  ++passwords_;
  return {};
}

// A channel that ended before the marker: login shell or sudo stood in the way. Their words, read in the C locale, say which.
Status Exec::started_or_why() {
  if (out_noise_.over()) return {};
  const std::string said = err_noise_.tail(wrapped_.prompt).empty() ? out_noise_.tail(wrapped_.prompt) : err_noise_.tail(wrapped_.prompt);
  const auto& who = session_.peer();
  wants_tty_ = said.contains("must have a tty");
  if (wants_tty_)
    return fail(ErrorKind::auth, std::format("sudo on {} insists on a terminal (requiretty)", who),
                "add a line `Defaults:USER !requiretty` for the login user with visudo on that machine");
  if (said.contains("script") && said.contains("not found"))
    return fail(ErrorKind::auth,
                std::format("sudo on {} insists on a terminal (requiretty) and the machine has no script(1) to make one", who),
                "install util-linux's script there, or add a line `Defaults:USER !requiretty` for the login user with visudo");
  if (passwords_ > 0 && said.contains("incorrect password"))
    return fail(ErrorKind::auth, std::format("sudo on {} did not accept the password", who),
                "give the right one with --ask-sudo-password or --sudo-password-file; without them it is the login password");
  if (said.contains("sudo") && said.contains("not found"))
    return fail(ErrorKind::auth, std::format("{} is not root and the machine has no sudo", who),
                "log in as root, or install sudo on that machine");
  if (said.contains("sudoers") || said.contains("not allowed to") || said.contains("may not run"))
    return fail(ErrorKind::auth, std::format("{} may not become root: {}", who, said),
                "add the login user to sudoers on that machine, or log in as root");
  return fail(ErrorKind::auth,
              std::format("{}: no command could be started: {}", who, said.empty() ? "the login shell ended without a word" : said),
              "is the login shell of that user one that runs commands?");
}

Result<RemoteExit> Exec::ending() {
  char* signal = nullptr;
  std::size_t length = 0;
  libssh2_channel_get_exit_signal(channel_.get(), &signal, &length, nullptr, nullptr, nullptr, nullptr);
  RemoteExit exit;
  if (signal != nullptr) {
    exit.signal.assign(signal, length);
    libssh2_free(session_.get(), signal);
  } else {
    exit.code = libssh2_channel_get_exit_status(channel_.get());
  }
  CLOUDOS_TRY(session_.must([&] { return libssh2_channel_close(channel_.get()); }, deadline_, "closing a channel"));
  return exit;
}

}  // namespace cloudos::ssh
