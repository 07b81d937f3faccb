// Whether the machine that answered is the one the operator means: decided after the key exchange, before any authentication.
#pragma once

#include "installer/ssh/known_hosts.hpp"
#include "installer/ssh/session.hpp"
#include "installer/ssh/transport.hpp"

namespace cloudos::ssh {

struct HostKeyPolicy {
  std::string host;
  std::uint16_t port = 22;
  std::string pinned;  // "SHA256:…": wins over every file
  bool accept_new = false;
  std::string only_type;       // ask for a key of this type only; "": any
  std::filesystem::path file;  // the operator's own, which is added to
  KnownHosts known;            // of that file and the machine-wide one
};

// Reads both files. Errors: io.
[[nodiscard]] Result<HostKeyPolicy> host_key_policy(const Options& options, const std::string& host, std::uint16_t port,
                                                    const std::string& home);

// The order in which host key types are asked for, as SSH names it: known ones first, so that a machine with several keys
// shows the one that can be checked. SHA-1 signatures and DSA are never offered.
[[nodiscard]] std::string host_key_algorithms(const HostKeyPolicy& policy);

// Errors: trust, with the fingerprint seen, the one expected and where that stands; io when a new key cannot be written down.
[[nodiscard]] Status check_host_key(Session& session, const HostKeyPolicy& policy, const Prompts& prompts, Log& log);

}  // namespace cloudos::ssh
