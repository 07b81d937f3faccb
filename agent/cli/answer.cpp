#include "agent/cli/answer.hpp"

#include <unistd.h>

#include <span>

#include "core/os/file/file.hpp"

namespace cloudos::agent {

Status say(std::string_view text) { return os::write_all(STDOUT_FILENO, std::as_bytes(std::span(text))); }

int tell(const Error& error) {
  const auto text = error.text() + "\n";
  static_cast<void>(os::write_all(STDERR_FILENO, std::as_bytes(std::span(text))));
  return exit_status(error.kind);
}
int tell(const Status& status) { return status ? 0 : tell(status.error()); }

}  // namespace cloudos::agent
