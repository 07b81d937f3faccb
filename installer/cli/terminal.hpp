#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "core/base/secret.hpp"
#include "installer/ssh/transport.hpp"

namespace cloudos::cli {

// Questions to the person at the terminal, one at a time whatever the thread they come from. An answer about a password is
// kept in memory, so that a second connection to the same machine does not ask again.
class Terminal {
 public:
  // There is somebody to ask: standard input and standard error are terminals.
  [[nodiscard]] static bool present();
  // Reads without echo; nothing on Ctrl-C, Ctrl-D or without a terminal.
  [[nodiscard]] std::optional<Secret> secret(const std::string& what);
  // "… [y/N]"; false without a terminal.
  [[nodiscard]] bool confirm(const std::string& question);
  // For ssh; refers to this object.
  [[nodiscard]] ssh::Prompts prompts();

 private:
  std::mutex mutex_;
  std::map<std::string, Secret> known_;
};

}  // namespace cloudos::cli
