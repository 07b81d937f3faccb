// The known_hosts file: read, judged and added to. Format: sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT". libssh2's own reader knows
// neither @revoked, wildcards nor line numbers, so the lines are read here; hashing and base64 are OpenSSL's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"

namespace cloudos::ssh {

struct KnownHost {
  enum class Marker { none, revoked, cert_authority };
  Marker marker = Marker::none;
  std::vector<std::string> patterns;  // of a plain entry; wildcards and negations as written
  std::string salt, hash;             // of a hashed entry, decoded: HMAC-SHA1(salt, name)
  std::string type;                   // "ssh-ed25519"
  std::string key;                    // the public key's bytes
  std::string file;
  std::size_t line = 0;  // from 1
};

struct KnownHosts {
  std::vector<KnownHost> entries;
  std::vector<std::string> notes;  // lines that were passed over, and why
};

// Never fails: ssh passes over a line that it cannot read, and a note says so.
[[nodiscard]] KnownHosts parse_known_hosts(std::string_view text, const std::string& file);

// The name under which a host is looked up and written: lower case; "[host]:port" unless the port is 22.
[[nodiscard]] std::string known_name(std::string_view host, std::uint16_t port);
[[nodiscard]] bool names(const KnownHost& entry, std::string_view name);

struct Judgement {
  enum class Verdict { known, unknown, changed, revoked };
  Verdict verdict = Verdict::unknown;
  const KnownHost* because = nullptr;  // the entry that decided; nullptr for unknown
};
// A host with an entry of any type that offers a key of another one counts as changed: it is not new, and the order in which
// key types are negotiated (see known_types) has asked for the known ones first.
[[nodiscard]] Judgement judge(std::span<const KnownHost> entries, std::string_view name, std::string_view type, std::string_view key);
// The key types that are known for a name, in the files' order.
[[nodiscard]] std::vector<std::string> known_types(std::span<const KnownHost> entries, std::string_view name);

// "SHA256:" and the unpadded base64 of a public key's digest, as ssh-keygen -l prints it.
[[nodiscard]] std::string fingerprint(std::string_view key);

// Appends a plain entry under flock(2), unless the file has it by now. Makes the file (0600) and its folder (0700).
[[nodiscard]] Status remember(const std::filesystem::path& file, const std::string& name, const std::string& type, const std::string& key);

}  // namespace cloudos::ssh
