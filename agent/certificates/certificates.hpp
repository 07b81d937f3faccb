// agent/certificates: the certificates that a node lives by: which there are, until when they hold, and the one that is the agent's
// own. Not here: what is made of an expiry (agent/health), who signs (kubeadm and the cluster), TLS (agent/http).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/base/result.hpp"

namespace cloudos::certificates {

// The files of kubelet, kubeadm and etcd that hold one (kubeadm's documentation, "Certificate management with kubeadm"); not all
// of them are on every node.
[[nodiscard]] std::vector<std::string> watched();

struct Expiry {
  std::string path;
  std::int64_t expires_s = 0;  // notAfter, seconds since the epoch
};
// Of the first certificate of each file, which is its owner's; a key may stand before or behind it. `files` are absolute paths
// below `root`. What is not there or holds none is left out.
[[nodiscard]] std::vector<Expiry> expiries(const std::vector<std::string>& files, const std::filesystem::path& root = "/");

// The agent's own certificate and key in `folder` (cert.pem, key.pem), which join files pin: made when they are not there. Gives the
// hash of the key, "sha256:<hex>". Errors: io, input.
[[nodiscard]] Result<std::string> keep_own(const std::string& node, const std::string& address, const std::filesystem::path& folder);

}  // namespace cloudos::certificates
