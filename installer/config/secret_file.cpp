#include "installer/config/secret_file.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <format>

#include "core/base/text.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::config {
namespace {

bool sound(const Given<std::string>& file, Findings& findings) {
  const auto wrong = [&](std::string code, std::string message, std::string remedy) {
    findings.push_back({model::Finding::Severity::error, std::move(code), file.where(), std::move(message), std::move(remedy)});
    return false;
  };
  struct stat status{};
  if (stat(file.value.c_str(), &status) != 0)
    return wrong("secret-file", std::format("cannot read {}: {}", sanitise(file.value), std::strerror(errno)), "name a file that is there");
  if (!S_ISREG(status.st_mode)) return wrong("secret-file", std::format("{} is not a file", sanitise(file.value)), "name a file");
  // As ssh(1) does with identity files: a secret that others can read is not one.
  if ((status.st_mode & 077U) != 0)
    return wrong("secret-file-readable",
                 std::format("{} has mode {:04o}: others on this computer can read it", sanitise(file.value), status.st_mode & 07777U),
                 std::format("chmod 600 {}", sanitise(file.value)));
  if (status.st_size == 0)
    return wrong("empty-secret", std::format("{} is empty", sanitise(file.value)), "put the secret into it, or leave the key out");
  return true;
}

}  // namespace

std::string expand_path(const std::string& path, const std::filesystem::path& base) {
  if (path.starts_with("~/"))
    if (const char* home = std::getenv("HOME")) return std::filesystem::path(home) / path.substr(2);
  if (base.empty() || std::filesystem::path(path).is_absolute()) return path;
  return (base / path).lexically_normal();
}

std::optional<Secret> read_secret_file(const Given<std::string>& file, Findings& findings) {
  if (!sound(file, findings)) return std::nullopt;
  auto text = os::read(file.value, 64U << 10);
  if (!text) {
    findings.push_back(
        {model::Finding::Severity::error, "secret-file", file.where(), text.error().text(), "name a file that you may read"});
    return std::nullopt;
  }
  while (text->ends_with('\n') || text->ends_with('\r')) text->pop_back();
  Secret secret(std::move(*text));
  if (!secret.empty()) return secret;
  findings.push_back({model::Finding::Severity::error, "empty-secret", file.where(),
                      std::format("{} holds nothing but a line end", sanitise(file.value)),
                      "put the secret into it, or leave the key out"});
  return std::nullopt;
}

void check_key_file(const Given<std::string>& file, Findings& findings) { static_cast<void>(sound(file, findings)); }

}  // namespace cloudos::config
