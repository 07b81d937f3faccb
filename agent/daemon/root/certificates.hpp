// Inside agent/daemon/root: the node's certificates, as another program tells them (`cloudos-agent certificates`): this half is root,
// and holds neither a library of cryptography nor a parser of certificates.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "agent/health/sample.hpp"
#include "core/base/units.hpp"

namespace cloudos::daemon {

class CertificateDates {
 public:
  // `program` is cloudos-agent; `files` are what it looks at, too.
  CertificateDates(std::string program, std::vector<std::string> files) : program_(std::move(program)), files_(std::move(files)) {}

  // Blocks. Asks only when a file has changed since it was asked. Errors: those of running it, input; once for a state of the files.
  // After that nothing, and a try every five minutes.
  [[nodiscard]] Result<std::optional<std::vector<health::Sample::Certificate>>> look();

 private:
  struct Stamp {
    std::uint64_t inode = 0;
    std::int64_t size = -1, changed_ns = 0;  // -1: it is not there
    bool operator==(const Stamp&) const = default;
  };
  [[nodiscard]] std::vector<Stamp> stamps() const;
  [[nodiscard]] Result<std::vector<health::Sample::Certificate>> ask() const;

  std::string program_;
  std::vector<std::string> files_;
  std::vector<Stamp> seen_, failed_;
  Deadline next_try_{};
  std::vector<health::Sample::Certificate> known_;
};

// Blocks. The hash of the agent's own key, "sha256:…"; `program` makes it when there is none. Errors: those of running it.
[[nodiscard]] Result<std::string> keep_identity(const std::string& program, const std::string& node, const std::string& address,
                                                const std::filesystem::path& folder);

}  // namespace cloudos::daemon
