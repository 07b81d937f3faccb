#include "installer/cli/terminal.hpp"

#include <termios.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "core/base/text.hpp"

namespace cloudos::cli {

namespace {

// Echo, line editing and signals off while it lives, so that Ctrl-C cannot leave the terminal silent.
class Silent {
 public:
  Silent() : changed_(::tcgetattr(STDIN_FILENO, &before_) == 0) {
    if (!changed_) return;
    auto silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON | ISIG);
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
  }
  Silent(const Silent&) = delete;
  Silent& operator=(const Silent&) = delete;
  ~Silent() {
    if (changed_) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  }

 private:
  termios before_{};
  bool changed_;
};

// A line typed blind; nothing when the person gave up.
std::optional<std::string> read_blind() {
  constexpr char interrupt = 3, end = 4, backspace = 8, erase = 127, kill = 21;
  std::string typed;
  for (char c = 0; ::read(STDIN_FILENO, &c, 1) == 1;) {
    if (c == '\n' || c == '\r') return typed;
    if (c == interrupt || (c == end && typed.empty())) return std::nullopt;
    if (c == kill) typed.clear();
    else if (c == backspace || c == erase) {
      if (!typed.empty()) typed.pop_back();
    } else typed += c;
  }
  return std::nullopt;
}

}  // namespace

bool Terminal::present() { return ::isatty(STDIN_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1; }

std::optional<Secret> Terminal::secret(const std::string& what) {
  const std::lock_guard lock(mutex_);
  if (const auto at = known_.find(what); at != known_.end()) return at->second;
  if (!present()) return std::nullopt;
  std::cerr << sanitise(what) << ": " << std::flush;
  std::optional<std::string> typed;
  {
    const Silent silent;
    typed = read_blind();
  }
  std::cerr << '\n';
  if (!typed) return std::nullopt;
  Secret answer{std::move(*typed)};
  known_.insert_or_assign(what, answer);
  return answer;
}

bool Terminal::confirm(const std::string& question) {
  const std::lock_guard lock(mutex_);
  if (!present()) return false;
  std::cerr << sanitise(question) << " [y/N] " << std::flush;
  std::string answer;
  if (!std::getline(std::cin, answer)) return false;
  const auto word = trim(answer);
  return word == "y" || word == "Y" || word == "yes";
}

ssh::Prompts Terminal::prompts() {
  if (!present()) return {};
  return {.secret = [this](const std::string& what) { return secret(what); },
          .confirm = [this](const std::string& question) { return confirm(question); }};
}

}  // namespace cloudos::cli
