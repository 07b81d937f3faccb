#include "agent/steps/environment.hpp"

#include <chrono>

namespace cloudos::steps {
namespace {

class SystemServices final : public Services {
 public:
  Result<os::UnitState> state(const std::string& unit) override {
    return with([&](os::Systemd& s) { return s.state(unit); });
  }
  Status daemon_reload() override {
    return with([&](os::Systemd& s) { return s.daemon_reload(); });
  }
  Status enable(const std::string& unit) override {
    return with([&](os::Systemd& s) { return s.enable(unit); });
  }
  Status disable(const std::string& unit) override {
    return with([&](os::Systemd& s) { return s.disable(unit); });
  }
  Status start(const std::string& unit, Deadline deadline) override {
    return with([&](os::Systemd& s) { return s.start(unit, deadline); });
  }
  Status stop(const std::string& unit, Deadline deadline) override {
    return with([&](os::Systemd& s) { return s.stop(unit, deadline); });
  }
  Status restart(const std::string& unit, Deadline deadline) override {
    return with([&](os::Systemd& s) { return s.restart(unit, deadline); });
  }
  Status reset_failed(const std::string& unit) override {
    return with([&](os::Systemd& s) { return s.reset_failed(unit); });
  }
  Result<std::vector<std::string>> list_units(const std::string& pattern) override {
    return with([&](os::Systemd& s) { return s.list_units(pattern); });
  }

 private:
  template <class F>
  auto with(F f) -> decltype(f(std::declval<os::Systemd&>())) {
    if (!systemd_) {
      auto connected = os::Systemd::connect();
      if (!connected) return fail(std::move(connected).error());
      systemd_.emplace(std::move(*connected));
    }
    auto result = f(*systemd_);
    if (!result && result.error().kind == ErrorKind::io) systemd_.reset();
    return result;
  }
  std::optional<os::Systemd> systemd_;
};

class SystemCommands final : public Commands {
 public:
  Result<os::Output> capture(const Argv& argv, os::RunOptions options) override { return os::capture(argv, std::move(options)); }
};

}  // namespace

std::unique_ptr<Services> system_services() { return std::make_unique<SystemServices>(); }
std::unique_ptr<Commands> system_commands() { return std::make_unique<SystemCommands>(); }

}  // namespace cloudos::steps
