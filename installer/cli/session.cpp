#include "installer/cli/session.hpp"

#include <poll.h>
#include <pwd.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <format>
#include <iostream>
#include <nlohmann/json.hpp>

#include "core/base/text.hpp"

namespace cloudos::cli {

namespace {

std::string whoami() {
  char host[256] = "?";
  ::gethostname(host, sizeof host - 1);
  const passwd* user = ::getpwuid(::getuid());
  return std::format("{}@{}", user != nullptr ? user->pw_name : std::to_string(::getuid()), host);
}

// A home folder that cannot be written (a live system, a service user) stops no command: the log goes below the temporary folder then.
Result<std::unique_ptr<report::LogFile>> open_default_log(std::string_view command) {
  const auto path = report::LogFile::default_path(command);
  auto log = report::LogFile::open(path);
  if (log) return log;
  std::error_code none;
  auto folder = (std::filesystem::temp_directory_path(none) / "cloudos-XXXXXX").string();
  if (none || ::mkdtemp(folder.data()) == nullptr) return log;
  std::cerr << std::format("cloudos: the log cannot be in {} ({}); it is in {}\n", path.parent_path().string(), log.error().message,
                           folder);
  return report::LogFile::open(std::filesystem::path(folder) / path.filename());
}

}  // namespace

Result<std::unique_ptr<Session>> Session::open(const Context& context, std::string_view command, const std::string& log_file) {
  std::unique_ptr<Session> session(new Session(context));
  CLOUDOS_ASSIGN(auto log, log_file.empty() ? open_default_log(command) : report::LogFile::open(log_file));
  const auto path = log->path();
  session->log_ = log.get();
  session->listeners_.add(std::move(log));
  const bool live = !context.json && !context.quiet && context.verbose == 0 && report::is_terminal(stdout);
  if (context.json) session->listeners_.add(report::json_lines(stdout));
  else if (!live)
    session->listeners_.add(
        report::plain(stdout, {.quiet = context.quiet, .verbose = context.verbose, .colour = report::wants_colour(stdout)}));
  session->live_ = live;
  if (context.verbose > 0 && !context.json) std::cout << "log: " << path.string() << std::endl;
  return session;
}

driver::Setting Session::setting(driver::Connect connect) {
  return {.connect = std::move(connect),
          .emit = [this](const model::Event& event) { listeners_.on(event); },
          .log = log_,
          .holder = whoami(),
          .stop = stop_.get_token()};
}

void Session::show_live(std::vector<MachineId> machines, report::StepNames steps) {
  if (std::exchange(live_, false))
    listeners_.add(report::live(stdout, std::move(machines), report::wants_colour(stdout), std::move(steps)));
}

Milliseconds Session::elapsed() const { return std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now() - started_); }

StopSignals::StopSignals(std::stop_source& stop, std::function<void()> farewell) : stop_(stop), farewell_(std::move(farewell)) {
  sigset_t wanted;
  ::sigemptyset(&wanted);
  ::sigaddset(&wanted, SIGINT);
  ::sigaddset(&wanted, SIGTERM);
  // Threads that start from here on inherit the mask, so that only the watcher sees them.
  ::pthread_sigmask(SIG_BLOCK, &wanted, &before_);
  signals_.reset(::signalfd(-1, &wanted, SFD_CLOEXEC));
  done_.reset(::eventfd(0, EFD_CLOEXEC));
  watcher_ = std::thread([this] { watch(); });
}

StopSignals::~StopSignals() {
  const std::uint64_t one = 1;
  std::ignore = ::write(done_.get(), &one, sizeof one);
  watcher_.join();
  ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void StopSignals::watch() {
  constexpr int patience_ms = 2000;
  pollfd watched[] = {{.fd = signals_.get(), .events = POLLIN, .revents = 0}, {.fd = done_.get(), .events = POLLIN, .revents = 0}};
  for (bool stopping = false;;) {
    const int ready = ::poll(watched, 2, stopping ? patience_ms : -1);
    if (ready < 0 && errno == EINTR) continue;
    if (ready > 0 && watched[1].revents != 0) return;
    if (stopping || ready < 0) {
      farewell_();
      ::_exit(1);
    }
    signalfd_siginfo which{};
    std::ignore = ::read(signals_.get(), &which, sizeof which);
    stop_.request_stop();
    stopping = true;
  }
}

std::string text_of(const model::Finding& finding) {
  const auto severity = finding.severity == model::Finding::Severity::error ? "error" : "warning";
  auto text = std::format("{}: {}: {} [{}]", severity, finding.where, finding.message, finding.code);
  if (!finding.remedy.empty()) text += std::format("\n  {}", finding.remedy);
  return sanitise(text);
}

bool show(const std::vector<model::Finding>& findings, const Context& context) {
  auto sorted = findings;
  const auto is_error = [](const model::Finding& finding) { return finding.severity == model::Finding::Severity::error; };
  std::ranges::stable_partition(sorted, is_error);
  for (const auto& finding : sorted) {
    if (context.json) {
      const nlohmann::json record{{"finding",
                                   {{"severity", is_error(finding) ? "error" : "warning"},
                                    {"code", finding.code},
                                    {"where", finding.where},
                                    {"message", finding.message},
                                    {"remedy", finding.remedy}}}};
      std::cout << record.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << std::endl;
    } else if (!context.quiet || is_error(finding)) {
      std::cerr << text_of(finding) << '\n';
    }
  }
  return std::ranges::any_of(sorted, is_error);
}

}  // namespace cloudos::cli
