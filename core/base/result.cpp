#include "core/base/result.hpp"

#include <cstring>
#include <format>

namespace cloudos {

std::string Error::text() const {
  std::string out = message;
  for (const auto& where : context) out += std::format(", while {}", where);
  if (!hint.empty()) out += std::format("\n  {}", hint);
  return out;
}

std::unexpected<Error> fail_errno(std::string_view what, int saved_errno) {
  char buffer[128];
  return fail(ErrorKind::io, std::format("{}: {}", what, strerror_r(saved_errno, buffer, sizeof buffer)));
}

int exit_status(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::usage:
    case ErrorKind::input: return 2;
    case ErrorKind::refused:
    case ErrorKind::trust: return 3;
    default: return 1;
  }
}

std::string_view name(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::usage: return "usage";
    case ErrorKind::input: return "input";
    case ErrorKind::refused: return "refused";
    case ErrorKind::trust: return "trust";
    case ErrorKind::auth: return "auth";
    case ErrorKind::network: return "network";
    case ErrorKind::timeout: return "timeout";
    case ErrorKind::conflict: return "conflict";
    case ErrorKind::io: return "io";
    case ErrorKind::failed: return "failed";
    case ErrorKind::cancelled: return "cancelled";
  }
  return "failed";
}

}  // namespace cloudos
