#include <format>

#include "core/os/crypto/crypto.hpp"
#include "installer/ssh/connection.hpp"
#include "installer/ssh/exec.hpp"
#include "installer/ssh/transport.hpp"

namespace cloudos::ssh {

namespace {

class Remote final : public Transport {
 public:
  Remote(const Options& options, const Prompts& prompts, Connection connection)
      : root_(options.become_root ? Root::sudo : Root::as_is),
        sudo_password_(options.sudo_password ? options.sudo_password : options.password),
        prompts_(prompts),
        peer_(connection.session->peer()),
        connection_(std::move(connection)) {
    if (!sudo_password_) sudo_password_ = connection_->login_password;
  }

  Result<RemoteExit> run(const Argv& argv, Streams streams, Deadline deadline) override {
    if (!connection_)
      return fail(Error{.kind = ErrorKind::network, .message = std::format("the connection to {} is closed", peer_), .retryable = true});
    if (argv.words.empty()) return fail(ErrorKind::usage, "an empty command");
    auto exit = attempt(argv, streams, deadline);
    // Nobody knows what is still under way on it.
    if (!exit) close();
    return exit;
  }

  [[nodiscard]] std::string peer() const override { return peer_; }
  void close() override { connection_.reset(); }

 private:
  Result<RemoteExit> attempt(const Argv& argv, Streams& streams, Deadline deadline) {
    Exec exec(*connection_->session, wrap(argv, root_, os::random_hex(16)), streams, [this] { return password_for_sudo(); }, deadline);
    auto exit = exec.run();
    if (exit || !exec.wants_tty() || root_ != Root::sudo) return exit;
    // Nothing was read or run yet: the same again, and from now on, with a terminal.
    root_ = Root::sudo_with_tty;
    return attempt(argv, streams, deadline);
  }
  Result<Secret> password_for_sudo() {
    if (!sudo_password_ && prompts_.secret) sudo_password_ = prompts_.secret(std::format("sudo password of {}", peer_));
    if (sudo_password_) return *sudo_password_;
    return fail(ErrorKind::auth, std::format("sudo on {} wants a password and none was given", peer_),
                "give it with --ask-sudo-password or --sudo-password-file, or allow the login user NOPASSWD in sudoers");
  }

  Root root_;
  std::optional<Secret> sudo_password_;
  Prompts prompts_;
  std::string peer_;
  std::optional<Connection> connection_;
};

}  // namespace

Result<std::unique_ptr<Transport>> connect(const Options& options, const Prompts& prompts, Log& log) {
  CLOUDOS_ASSIGN(Connection connection, establish(options, prompts, log));
  return std::unique_ptr<Transport>(std::make_unique<Remote>(options, prompts, std::move(connection)));
}

}  // namespace cloudos::ssh
