// The outside of the engine: the root of the file system, systemd and child processes, so that tests can stand in.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/os/bus/bus.hpp"
#include "core/os/process/process.hpp"

namespace cloudos::steps {

namespace fs = std::filesystem;

// The system manager, as far as steps need it. os::Systemd says what each does.
class Services {
 public:
  virtual ~Services() = default;
  [[nodiscard]] virtual Result<os::UnitState> state(const std::string& unit) = 0;
  [[nodiscard]] virtual Status daemon_reload() = 0;
  [[nodiscard]] virtual Status enable(const std::string& unit) = 0;
  [[nodiscard]] virtual Status disable(const std::string& unit) = 0;
  [[nodiscard]] virtual Status start(const std::string& unit, Deadline deadline) = 0;
  [[nodiscard]] virtual Status stop(const std::string& unit, Deadline deadline) = 0;
  [[nodiscard]] virtual Status restart(const std::string& unit, Deadline deadline) = 0;
  [[nodiscard]] virtual Status reset_failed(const std::string& unit) = 0;
  [[nodiscard]] virtual Result<std::vector<std::string>> list_units(const std::string& pattern) = 0;
};

// Child processes; os::capture says how. Called from several threads at once.
class Commands {
 public:
  virtual ~Commands() = default;
  [[nodiscard]] virtual Result<os::Output> capture(const Argv& argv, os::RunOptions options) = 0;
};

struct Environment {
  fs::path root;  // "/" on a machine, a folder in tests
  Services& services;
  Commands& commands;
  Milliseconds api_patience{60'000};  // how long an API server that does not answer is asked again

  // An absolute path of the machine, below the root.
  [[nodiscard]] fs::path at(std::string_view path) const { return root / fs::path(path).relative_path(); }
};

// The real ones. The bus is connected to when it is first needed, and again after it went away.
[[nodiscard]] std::unique_ptr<Services> system_services();
[[nodiscard]] std::unique_ptr<Commands> system_commands();

}  // namespace cloudos::steps
