#include "installer/ssh/connection.hpp"

#include <pwd.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <format>

#include "installer/ssh/authenticate.hpp"
#include "installer/ssh/host_key.hpp"

namespace cloudos::ssh {

namespace {

struct Caller {
  std::string name, home;
};

Caller caller() {
  Caller who;
  std::array<char, 4096> room{};
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(::getuid(), &entry, room.data(), room.size(), &found) == 0 && found != nullptr)
    who = {.name = entry.pw_name, .home = entry.pw_dir};
  // ssh takes the account's folder, not $HOME; so do we, unless there is no account.
  if (who.home.empty())
    if (const char* home = std::getenv("HOME"); home != nullptr) who.home = home;
  return who;
}

// What is fast first: AES-GCM with AES-NI; chacha20 makes OpenSSH exchange keys anew every GB.
Status prefer(Session& session, const HostKeyPolicy& policy) {
  const std::string host_keys = host_key_algorithms(policy);
  constexpr auto ciphers = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr";
  for (const int way : {LIBSSH2_METHOD_CRYPT_CS, LIBSSH2_METHOD_CRYPT_SC})
    if (libssh2_session_method_pref(session.get(), way, ciphers) != 0) return std::unexpected(session.error("choosing ciphers"));
  if (libssh2_session_method_pref(session.get(), LIBSSH2_METHOD_HOSTKEY, host_keys.c_str()) != 0)
    return std::unexpected(session.error("choosing host key types"));
  return {};
}

Status shake_hands(Session& session, const HostKeyPolicy& policy, Deadline deadline) {
  CLOUDOS_TRY(prefer(session, policy));
  CLOUDOS_ASSIGN(const int status,
                 session.finish([&] { return libssh2_session_handshake(session.get(), session.socket()); }, deadline, "the SSH handshake"));
  if (status == 0) return {};
  Error error = session.error("the SSH handshake");
  if (status == LIBSSH2_ERROR_KEX_FAILURE || status == LIBSSH2_ERROR_KEY_EXCHANGE_FAILURE || status == LIBSSH2_ERROR_METHOD_NONE)
    error.hint =
        "both sides may have no algorithm in common; this side offers curve25519, ecdh and group14+ with SHA-2, ed25519, ecdsa and "
        "rsa-sha2 host keys, aes-gcm, chacha20 and aes-ctr: see KexAlgorithms, HostKeyAlgorithms and Ciphers in the machine's sshd_config";
  return std::unexpected(std::move(error));
}

}  // namespace

Result<Connection> establish(const Options& options, const Prompts& prompts, Log& log) {
  const Caller who = caller();
  const std::uint16_t port = options.port != 0 ? options.port : 22;
  const std::string user = options.user.empty() ? who.name : options.user;
  CLOUDOS_ASSIGN(const HostKeyPolicy policy, host_key_policy(options, options.host, port, who.home));
  CLOUDOS_ASSIGN(os::Fd socket, dial(options.host, port, in(options.connect_timeout)));
  CLOUDOS_ASSIGN(auto session, Session::over(std::move(socket), std::format("{}@{}:{}", user, options.host, port), options.keepalive));
  CLOUDOS_TRY(shake_hands(*session, policy, in(options.connect_timeout)));
  CLOUDOS_TRY(check_host_key(*session, policy, prompts, log));
  Identity identity{.user = user, .home = who.home, .passphrase = options.passphrase, .password = options.password};
  if (!options.identity_file.empty()) identity.files.push_back(options.identity_file);
  CLOUDOS_ASSIGN(auto password, authenticate(*session, identity, prompts, options.connect_timeout, log));
  session->keep_alive();
  return Connection{.session = std::move(session), .login_password = std::move(password)};
}

}  // namespace cloudos::ssh
