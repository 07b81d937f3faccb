#include "agent/daemon/root/certificates.hpp"

#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "core/base/text.hpp"
#include "core/os/process/process.hpp"

namespace cloudos::daemon {
namespace {

constexpr Milliseconds patience{10'000}, between_tries{300'000};

}  // namespace

std::vector<CertificateDates::Stamp> CertificateDates::stamps() const {
  std::vector<Stamp> out;
  for (const auto& file : files_) {
    struct stat now{};
    auto& stamp = out.emplace_back();
    // Follows links: kubelet's current certificate is one.
    if (::stat(file.c_str(), &now) == 0)
      stamp = {
          .inode = now.st_ino, .size = now.st_size, .changed_ns = std::int64_t{now.st_ctim.tv_sec} * 1'000'000'000 + now.st_ctim.tv_nsec};
  }
  return out;
}

Result<std::vector<health::Sample::Certificate>> CertificateDates::ask() const {
  Argv argv{program_, "certificates", "--json"};
  argv.words.insert(argv.words.end(), files_.begin(), files_.end());
  CLOUDOS_ASSIGN(const auto said, os::must(argv, {.deadline = in(patience)}));
  const auto json = nlohmann::json::parse(said, nullptr, false);
  if (!json.is_object() || !json.contains("certificates") || !json["certificates"].is_array())
    return fail(ErrorKind::input, program_ + " certificates: its answer is not understood");
  std::vector<health::Sample::Certificate> out;
  for (const auto& each : json["certificates"])
    if (each.is_object() && each.contains("path") && each["path"].is_string() && each.contains("expires_s") &&
        each["expires_s"].is_number_integer())
      out.push_back({.path = each["path"].get<std::string>(), .expires_s = each["expires_s"].get<std::int64_t>()});
  return out;
}

Result<std::optional<std::vector<health::Sample::Certificate>>> CertificateDates::look() {
  // Taken before it is asked: what changes meanwhile is asked for again.
  auto now = stamps();
  if (now == seen_) return known_;
  const bool told = now == failed_;
  if (told && std::chrono::steady_clock::now() < next_try_) return std::nullopt;
  auto fresh = ask();
  if (!fresh) {
    failed_ = std::move(now);
    next_try_ = in(between_tries);
    if (told) return std::nullopt;
    return std::unexpected(std::move(fresh).error());
  }
  known_ = std::move(*fresh);
  seen_ = std::move(now);
  failed_.clear();
  return known_;
}

Result<std::string> keep_identity(const std::string& program, const std::string& node, const std::string& address,
                                  const std::filesystem::path& folder) {
  CLOUDOS_ASSIGN(const auto said, os::must({program, "identity", "--node", node, "--address", address, "--folder", folder.string()},
                                           {.deadline = in(patience)}));
  return std::string(trim(said));
}

}  // namespace cloudos::daemon
