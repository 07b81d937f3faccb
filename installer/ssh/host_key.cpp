#include "installer/ssh/host_key.hpp"

#include <algorithm>
#include <format>

#include "core/base/text.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::ssh {

namespace {

constexpr auto machine_wide_file = "/etc/ssh/ssh_known_hosts";

struct Seen {
  std::string type, key, fingerprint;
};

std::string type_name(int type) {
  switch (type) {
    case LIBSSH2_HOSTKEY_TYPE_RSA: return "ssh-rsa";
    case LIBSSH2_HOSTKEY_TYPE_ECDSA_256: return "ecdsa-sha2-nistp256";
    case LIBSSH2_HOSTKEY_TYPE_ECDSA_384: return "ecdsa-sha2-nistp384";
    case LIBSSH2_HOSTKEY_TYPE_ECDSA_521: return "ecdsa-sha2-nistp521";
    case LIBSSH2_HOSTKEY_TYPE_ED25519: return "ssh-ed25519";
    default: return "unknown";
  }
}

Result<Seen> seen_key(const Session& session) {
  std::size_t size = 0;
  int type = 0;
  const char* key = libssh2_session_hostkey(session.get(), &size, &type);
  if (key == nullptr) return fail(ErrorKind::trust, std::format("{} showed no host key", session.peer()));
  Seen seen{.type = type_name(type), .key = std::string(key, size), .fingerprint = {}};
  seen.fingerprint = fingerprint(seen.key);
  return seen;
}

Status check_pin(const Seen& seen, const HostKeyPolicy& policy, const std::string& peer) {
  if (seen.fingerprint == policy.pinned) return {};
  return fail(ErrorKind::trust,
              std::format("the host key of {} is {} ({}), but {} is pinned for it", peer, seen.fingerprint, seen.type, policy.pinned),
              "somebody may be listening in; compare with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the machine itself, and "
              "correct the pin only if it is the machine you mean");
}

Status changed(const Seen& seen, const KnownHost& expected, const HostKeyPolicy& policy, const std::string& peer) {
  const std::string name = known_name(policy.host, policy.port);
  return fail(
      ErrorKind::trust,
      std::format("the host key of {} has changed: it shows {} ({}), but {}:{} has {} ({})", peer, seen.fingerprint, seen.type,
                  expected.file, expected.line, fingerprint(expected.key), expected.type),
      std::format("somebody may be listening in; if the machine was reinstalled, remove the old key with `ssh-keygen -R '{}' -f {}`", name,
                  expected.file));
}

Status take_new(const Seen& seen, const HostKeyPolicy& policy, const Prompts& prompts, const std::string& peer, Log& log) {
  if (!policy.accept_new) {
    const std::string question =
        std::format("{} is not known yet. Its host key is {} ({}). Connect and remember it?", peer, seen.fingerprint, seen.type);
    if (!prompts.confirm || !prompts.confirm(question))
      return fail(ErrorKind::trust, std::format("the host key of {} is not known: it shows {} ({})", peer, seen.fingerprint, seen.type),
                  std::format("compare it with `ssh-keygen -lf` on the machine, then connect once with ssh, pin it, or accept every new "
                              "key with --accept-new-host-keys; keys are looked up in {}",
                              policy.file.string()));
  }
  CLOUDOS_TRY_WITH(remember(policy.file, known_name(policy.host, policy.port), seen.type, seen.key),
                   std::format("writing down the host key of {}", peer));
  log.info("{}: new host key {} ({}) written to {}", peer, seen.fingerprint, seen.type, policy.file.string());
  return {};
}

}  // namespace

Result<HostKeyPolicy> host_key_policy(const Options& options, const std::string& host, std::uint16_t port, const std::string& home) {
  HostKeyPolicy policy{.host = host, .port = port, .pinned = options.pinned_host_key, .accept_new = options.accept_new_host_keys};
  policy.file = options.known_hosts_file.empty() ? std::filesystem::path(home) / ".ssh" / "known_hosts"
                                                 : std::filesystem::path(options.known_hosts_file);
  for (const auto& file : {policy.file, std::filesystem::path(machine_wide_file)}) {
    CLOUDOS_ASSIGN(const auto text, os::read_if_any(file));
    if (!text) continue;
    KnownHosts more = parse_known_hosts(*text, file.string());
    std::ranges::move(more.entries, std::back_inserter(policy.known.entries));
    std::ranges::move(more.notes, std::back_inserter(policy.known.notes));
  }
  return policy;
}

std::string host_key_algorithms(const HostKeyPolicy& policy) {
  if (policy.only_type == "ssh-rsa") return "rsa-sha2-512,rsa-sha2-256";
  if (!policy.only_type.empty()) return policy.only_type;
  std::vector<std::string> order = known_types(policy.known.entries, known_name(policy.host, policy.port));
  for (const auto* type : {"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"})
    if (!std::ranges::contains(order, type)) order.emplace_back(type);
  // Keys of type ssh-rsa sign with SHA-2 (RFC 8332).
  for (auto& type : order)
    if (type == "ssh-rsa") type = "rsa-sha2-512,rsa-sha2-256";
  return join(order, ",");
}

Status check_host_key(Session& session, const HostKeyPolicy& policy, const Prompts& prompts, Log& log) {
  CLOUDOS_ASSIGN(const Seen seen, seen_key(session));
  const std::string name = known_name(policy.host, policy.port);
  Judgement found = judge(policy.known.entries, name, seen.type, seen.key);
  // ssh, too, takes a key that is known for the host without its port; it never blames one for differing.
  if (found.verdict == Judgement::Verdict::unknown && policy.port != 22)
    if (const auto plain = judge(policy.known.entries, known_name(policy.host, 22), seen.type, seen.key);
        plain.verdict != Judgement::Verdict::changed)
      found = plain;
  if (found.verdict == Judgement::Verdict::revoked)
    return fail(ErrorKind::trust,
                std::format("the host key of {} is revoked: {} ({}), by {}:{}", session.peer(), seen.fingerprint, seen.type,
                            found.because->file, found.because->line),
                "that key must not be trusted any more; give the machine a new one (ssh-keygen -A) before connecting");
  if (!policy.pinned.empty()) return check_pin(seen, policy, session.peer());
  for (const auto& note : policy.known.notes) log.debug("{}", note);
  switch (found.verdict) {
    case Judgement::Verdict::known: return {};
    case Judgement::Verdict::changed: return changed(seen, *found.because, policy, session.peer());
    default: return take_new(seen, policy, prompts, session.peer(), log);
  }
}

}  // namespace cloudos::ssh
