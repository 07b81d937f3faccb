// Inside agent/daemon: what this node is in its cluster, and with what its agent proves that. Root's to read.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "agent/halves/halves.hpp"

namespace cloudos::daemon {

struct Membership {
  std::string node, role, address;
};
// As the install wrote it down. Errors: io (not there yet), input.
[[nodiscard]] Result<Membership> read_membership(const std::filesystem::path& file);

// Where the certificates lie.
struct Certificates {
  std::filesystem::path kubelet = "/var/lib/kubelet/pki";
  std::filesystem::path ca = "/etc/kubernetes/pki/ca.crt";
  std::filesystem::path identity;
};
// Errors: io (something is not there yet), input.
[[nodiscard]] Result<halves::Credential> read_credential(const Membership& membership, const Certificates& from);

}  // namespace cloudos::daemon
