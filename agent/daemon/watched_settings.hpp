// Inside agent/daemon: agent.toml, read again when it changes or when somebody says so. A bad one changes nothing.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "agent/loop/loop.hpp"
#include "agent/settings/settings.hpp"

namespace cloudos::daemon {

class WatchedSettings {
 public:
  WatchedSettings(loop::Loop& loop, std::filesystem::path file) : loop_(loop), file_(std::move(file)) {}
  WatchedSettings(const WatchedSettings&) = delete;
  WatchedSettings& operator=(const WatchedSettings&) = delete;
  ~WatchedSettings() = default;

  // Reads now, and again whenever the file changes: `good` with what it says, `bad` with all that is wrong with it.
  void watch(std::function<void(const settings::Settings&)> good, std::function<void(const std::string&)> bad);
  void reload();

 private:
  void look();

  loop::Loop& loop_;
  std::filesystem::path file_;
  std::function<void(const settings::Settings&)> good_;
  std::function<void(const std::string&)> bad_;
  loop::Source folder_, soon_;
};

}  // namespace cloudos::daemon
