// The one string that sshd hands to the login shell, and what is read back before the command itself speaks.
#pragma once

#include <string>
#include <string_view>

#include "core/base/argv.hpp"

namespace cloudos::ssh {

// What a login shell is given so that `argv` runs as root, whatever the shell (sh, bash, dash, zsh, fish), its rc files' noise,
// the locale and sudo's habits. Both streams first carry a line with `marker`; what stands before it is noise. When sudo wants
// a password it writes `prompt` to stderr and reads one line of stdin; the command's own stdin follows that line.
// The markers are fresh random text, so that nothing but this command can have printed them.
struct Wrapped {
  std::string line;
  std::string marker;
  std::string prompt;
};
enum class Root {
  as_is,          // as whoever logs in
  sudo,           // sudo, unless the user id is 0
  sudo_with_tty,  // the same with a terminal beside the streams, for sudoers(5) requiretty; an end by a signal is then 128 + n
};
[[nodiscard]] Wrapped wrap(const Argv& argv, Root root, std::string_view random);

// Drops what a stream carries up to and including the marker's line; keeps the end of it for messages.
class Noise {
 public:
  explicit Noise(std::string marker) : line_("\n" + std::move(marker) + "\n") {}
  // Gives on what stands after the marker. Errors: failed when more than 1 MiB comes before it; those of the sink.
  Status feed(std::span<const std::byte> bytes, const ByteSink& sink);
  [[nodiscard]] bool over() const { return over_; }
  // How often `text` stood in the noise so far.
  [[nodiscard]] std::size_t count(std::string_view text) const;
  // The last lines of the noise, safe for a terminal, without `hidden`.
  [[nodiscard]] std::string tail(std::string_view hidden) const;

 private:
  std::string line_;
  std::string seen_ = "\n";
  bool over_ = false;
};

}  // namespace cloudos::ssh
