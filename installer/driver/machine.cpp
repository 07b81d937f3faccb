#include <format>
#include <thread>

#include "core/base/text.hpp"
#include "installer/driver/driver.hpp"

namespace cloudos::driver {

void side_by_side(std::size_t count, const std::function<void(std::size_t)>& work) {
  if (count == 1) return work(0);
  std::vector<std::jthread> threads;
  threads.reserve(count);
  for (std::size_t i = 0; i < count; ++i) threads.emplace_back([&work, i] { work(i); });
}

Status Machine::connect() {
  if (control_) return {};
  auto connection = setting_->connect(config_);
  if (!connection) return fail(std::move(connection).error().with(std::format("connecting to {}", config_.id.value)));
  control_ = std::move(*connection);
  return {};
}

void Machine::close() {
  if (control_) control_->close();
  control_.reset();
}

Result<ssh::RemoteExit> Machine::run(const Argv& argv, ssh::Streams streams, Deadline deadline) {
  CLOUDOS_TRY(connect());
  auto ended = control_->run(argv, std::move(streams), deadline);
  if (!ended) close();
  return ended;
}

namespace {

// The last lines of what a program said on standard error, or on standard output when it said nothing there.
std::string last_words(const std::string& err, const std::string& out) {
  const auto text = trim(err).empty() ? trim(out) : trim(err);
  constexpr std::size_t most = 600;
  return sanitise(text.size() > most ? text.substr(text.size() - most) : text);
}

std::string describe(const ssh::RemoteExit& ended) {
  return ended.code ? std::format("exit {}", *ended.code) : std::format("killed by SIG{}", ended.signal);
}

}  // namespace

Result<std::string> Machine::must(const Argv& argv) {
  std::string out, err;
  CLOUDOS_ASSIGN(const auto ended, run(argv, {.out = into(out), .err = into(err)}, in(setting_->timing.question)));
  if (ended.ok()) return out;
  return fail(ErrorKind::failed, std::format("`{}` on {}: {}: {}", quote(argv), id().value, describe(ended), last_words(err, out)));
}

Result<std::string> Machine::ask(std::vector<std::string> words, const std::string& input) {
  Argv argv{agent};
  for (auto& word : words) argv += std::move(word);
  for (bool again = false;; again = true) {
    std::string out, err;
    auto ended = run(argv, {.in = bytes_of(input), .out = into(out), .err = into(err)}, in(setting_->timing.question));
    if (!ended) {
      if (ended.error().kind != ErrorKind::network || again)
        return fail(std::move(ended).error().with(std::format("asking {}", id().value)));
      setting_->log->info("{}: asking again over a new connection: {}", id().value, ended.error().message);
      continue;
    }
    if (ended->ok()) return out;
    return fail(ErrorKind::failed, std::format("the agent on {}: {}: {}", id().value, describe(*ended), last_words(err, out)));
  }
}

}  // namespace cloudos::driver
