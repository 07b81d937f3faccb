#include <csignal>
#include <cstring>

#include "core/os/process/process.hpp"
#include "installer/ssh/transport.hpp"

namespace cloudos::ssh {

namespace {

class Local final : public Transport {
 public:
  Result<RemoteExit> run(const Argv& argv, Streams streams, Deadline deadline) override {
    if (argv.words.empty()) return fail(ErrorKind::usage, "an empty command");
    if (closed_) return fail(ErrorKind::network, "the local transport is closed");
    // Through a shell, so that a program that is not there is exit 127, as over SSH.
    Argv line{"/bin/sh", "-c", R"(exec "$@")", "sh"};
    line.words.insert(line.words.end(), argv.words.begin(), argv.words.end());
    os::RunOptions options{.stdin_source = std::move(streams.in),
                           .stdout_sink = std::move(streams.out),
                           .stderr_sink = std::move(streams.err),
                           .deadline = deadline};
    options.environment["LC_ALL"] = "C";
    CLOUDOS_ASSIGN(const os::Exit exit, os::run(line, std::move(options)));
    RemoteExit end{.code = exit.code, .signal = {}};
    if (exit.signal) {
      const char* name = ::sigabbrev_np(*exit.signal);
      end.signal = name != nullptr ? name : std::to_string(*exit.signal);
    }
    return end;
  }
  [[nodiscard]] std::string peer() const override { return "this computer"; }
  void close() override { closed_ = true; }

 private:
  bool closed_ = false;
};

}  // namespace

std::unique_ptr<Transport> local() { return std::make_unique<Local>(); }

}  // namespace cloudos::ssh
