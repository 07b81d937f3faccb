#include "agent/cli/join.hpp"

#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <format>
#include <memory>
#include <random>
#include <thread>

#include "agent/join/join.hpp"
#include "core/base/text.hpp"
#include "core/os/file/file.hpp"
#include "core/os/process/process.hpp"

namespace cloudos::agent {
namespace {

constexpr Milliseconds first_pause{5'000};
constexpr Milliseconds longest_pause{300'000};

// Standard error, a line each; systemd gives it to the journal, with its priority in front (sd-daemon(3)).
class Lines final : public Log {
 public:
  void write(Level level, std::string_view line) override {
    if (level < Level::info) return;
    const auto* priority = !journal_ ? "" : level == Level::error ? SD_ERR : level == Level::warning ? SD_WARNING : SD_INFO;
    const auto text = std::format("{}{}\n", priority, one_line(line));
    static_cast<void>(os::write_all(STDERR_FILENO, std::as_bytes(std::span(text))));
  }

 private:
  static std::string one_line(std::string_view line) {
    auto text = sanitise(line);
    std::ranges::replace(text, '\n', ' ');
    return text;
  }
  bool journal_ = std::getenv("JOURNAL_STREAM") != nullptr;
};

void tell_systemd(const std::string& status) {
  auto line = "STATUS=" + sanitise(status);
  std::ranges::replace(line, '\n', ' ');
  ::sd_notify(0, line.c_str());
}

std::string one_line(const Error& error) {
  const auto plain = Error{.message = error.message, .context = error.context}.text();
  return error.hint.empty() ? plain : std::format("{}; {}", plain, error.hint);
}

// Doubling, and another half of it by chance, so that many machines do not come back in step.
Milliseconds pause_after(unsigned attempt) {
  const auto pause = std::min(first_pause * (std::int64_t{1} << std::min(attempt, 10U)), longest_pause);
  std::uniform_int_distribution<std::int64_t> more(0, pause.count() / 2);
  std::random_device device;
  return pause + Milliseconds{more(device)};
}

int join_here(const joining::Options& options, bool wait) {
  os::forbid_core_dumps();
  const auto services = steps::system_services();
  const auto commands = steps::system_commands();
  steps::Environment environment{.root = "/", .services = *services, .commands = *commands};
  Lines log;
  const joining::Voice voice{.log = log, .status = tell_systemd};
  for (unsigned attempt = 0;; ++attempt) {
    const auto outcome = joining::join(options, environment, voice);
    if (outcome) {
      if (*outcome == joining::Outcome::joined) log.info("joined: this machine is a node of the cluster, and Ready");
      tell_systemd("a node of the cluster");
      return 0;
    }
    const auto& error = outcome.error();
    log.write(Log::Level::error, one_line(error));
    tell_systemd(one_line(error));
    const int status = exit_status(error.kind);
    if (!wait || status != 1 || error.kind == ErrorKind::cancelled) return status;
    const auto pause = pause_after(attempt);
    log.info("trying again in {}", human(pause));
    std::this_thread::sleep_for(pause);
  }
}

}  // namespace

void add_join(CLI::App& app, int& status) {
  const auto options = std::make_shared<joining::Options>();
  const auto wait = std::make_shared<bool>(false);
  auto* command = app.add_subcommand("join", "This machine becomes a node by itself, by its join file");
  command->add_option("--file", options->file, "The join file (`cloudos token create` makes one)")
      ->capture_default_str()
      ->type_name("FILE");
  command->add_flag("--wait", *wait, "Go on trying as long as what is in the way may pass");
  command->footer(
      "Examples:\n"
      "  cloudos-agent join\n"
      "  cloudos-agent join --file /run/join.toml --wait\n"
      "The file is deleted once the machine is a node. Exit status: 0 a node, 1 it may work later, 2 or 3 something must change first.");
  command->callback([&status, options, wait] { status = join_here(*options, *wait); });
}

}  // namespace cloudos::agent
