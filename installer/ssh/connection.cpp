#include "installer/ssh/connection.hpp"

#include <pwd.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <format>

#include "core/base/text.hpp"
#include "installer/ssh/authenticate.hpp"
#include "installer/ssh/host_key.hpp"
#include "installer/ssh/ssh_config.hpp"

namespace cloudos::ssh {

namespace {

// Jump hosts may have jump hosts of their own in ssh_config; a circle of them ends here.
constexpr int jumps_deep_at_most = 8;

ConfigReader caller() {
  ConfigReader who;
  std::array<char, 4096> room{};
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(::getuid(), &entry, room.data(), room.size(), &found) == 0 && found != nullptr)
    who = {.home = entry.pw_dir, .local_user = entry.pw_name};
  // ssh takes the account's folder, not $HOME; so do we, unless there is no account.
  if (who.home.empty())
    if (const char* home = std::getenv("HOME"); home != nullptr) who.home = home;
  return who;
}

// One machine to log in to, with all that options and ssh_config say about it.
struct Stop {
  Options options;
  std::string host;  // to be dialled
  std::uint16_t port = 22;
  Identity identity;
  std::vector<std::string> jumps;
  HostKeyPolicy policy;
  std::string peer;
};

Result<Stop> resolve(const Options& options, const std::string& only_key_type, Log& log) {
  const ConfigReader who = caller();
  CLOUDOS_TRY(check_host(options.host));
  if (!options.user.empty()) CLOUDOS_TRY(check_user(options.user));
  const std::string file = options.ssh_config_file.empty() ? who.home + "/.ssh/config" : options.ssh_config_file;
  CLOUDOS_ASSIGN(HostConfig config, read_ssh_config(file, !options.ssh_config_file.empty(), options.host, who));
  for (const auto& note : config.notes) log.info("{}", note);
  Stop stop{.options = options, .host = config.hostname.empty() ? options.host : config.hostname, .jumps = std::move(config.proxy_jump)};
  if (options.port != 0) stop.port = options.port;
  else if (config.port != 0) stop.port = config.port;
  auto& identity = stop.identity;
  identity.user = !options.user.empty() ? options.user : !config.user.empty() ? config.user : who.local_user;
  if (!options.identity_file.empty()) identity.files.push_back(options.identity_file);
  identity.maybe_files = std::move(config.identity_files);
  if (identity.maybe_files.empty() && identity.files.empty())
    for (const auto* name : {"id_ed25519", "id_ecdsa", "id_rsa"}) identity.maybe_files.push_back(who.home + "/.ssh/" + name);
  identity.agent = !config.identities_only;
  identity.passphrase = options.passphrase;
  identity.password = options.password;
  stop.peer = std::format("{}@{}:{}", identity.user, options.host.contains(':') ? "[" + options.host + "]" : options.host, stop.port);
  CLOUDOS_ASSIGN(stop.policy, host_key_policy(options, stop.host, stop.port, who.home));
  stop.policy.only_type = only_key_type;
  return stop;
}

// What a jump host gets to see: never the machine's passwords or pin.
Options for_jump(const Options& target, const Hop& hop) {
  Options options{.host = hop.host, .port = hop.port, .user = hop.user, .identity_file = target.identity_file};
  options.accept_new_host_keys = target.accept_new_host_keys;
  options.known_hosts_file = target.known_hosts_file;
  options.ssh_config_file = target.ssh_config_file;
  options.passphrase = target.passphrase;
  options.connect_timeout = target.connect_timeout;
  options.keepalive = target.keepalive;
  return options;
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

Status log_in(Connection& connection, const Stop& stop, os::Fd socket, const Prompts& prompts, Log& log) {
  CLOUDOS_ASSIGN(auto session, Session::over(std::move(socket), stop.peer, stop.options.keepalive));
  CLOUDOS_TRY(shake_hands(*session, stop.policy, in(stop.options.connect_timeout)));
  CLOUDOS_TRY(check_host_key(*session, stop.policy, prompts, log));
  CLOUDOS_ASSIGN(connection.login_password, authenticate(*session, stop.identity, prompts, stop.options.connect_timeout, log));
  session->keep_alive();
  connection.session = std::move(session);
  return {};
}

// Goes on from the machine that `connection` has reached to the next one.
Result<os::Fd> onwards(Connection& connection, const Stop& next) {
  CLOUDOS_ASSIGN(auto tunnel, Tunnel::open(std::move(connection.session), next.host, next.port, in(next.options.connect_timeout)));
  os::Fd socket = tunnel->take_socket();
  connection.way.push_back(std::move(tunnel));
  return socket;
}

Result<Connection> walk(const Options& options, const std::string& only_key_type, const Prompts& prompts, Log& log, int depth) {
  CLOUDOS_ASSIGN(const Stop target, resolve(options, only_key_type, log));
  if (target.jumps.empty()) {
    Connection connection;
    CLOUDOS_ASSIGN(os::Fd socket, dial(target.host, target.port, in(options.connect_timeout)));
    CLOUDOS_TRY(log_in(connection, target, std::move(socket), prompts, log));
    return connection;
  }
  if (depth >= jumps_deep_at_most)
    return fail(ErrorKind::input, std::format("the jump hosts of {} lead in a circle", options.host), "see ProxyJump in ssh_config");
  CLOUDOS_ASSIGN(const Hop first, parse_hop(target.jumps.front()));
  // The first hop's own jump hosts count; the later ones are reached through it.
  auto begun = walk(for_jump(options, first), "", prompts, log, depth + 1);
  if (!begun) return std::unexpected(std::move(begun).error().with(std::format("jumping over {} to {}", first.host, options.host)));
  Connection connection = std::move(*begun);
  for (std::size_t i = 1; i < target.jumps.size(); ++i) {
    CLOUDOS_ASSIGN(const Hop hop, parse_hop(target.jumps[i]));
    CLOUDOS_ASSIGN(const Stop stop, resolve(for_jump(options, hop), "", log));
    CLOUDOS_ASSIGN(os::Fd socket, onwards(connection, stop));
    CLOUDOS_TRY_WITH(log_in(connection, stop, std::move(socket), prompts, log),
                     std::format("jumping over {} to {}", hop.host, options.host));
  }
  CLOUDOS_ASSIGN(os::Fd socket, onwards(connection, target));
  CLOUDOS_TRY(log_in(connection, target, std::move(socket), prompts, log));
  return connection;
}

}  // namespace

Result<Connection> establish(const Options& options, const Prompts& prompts, Log& log) {
  if (options.pinned_host_key.empty()) return walk(options, "", prompts, log, 0);
  // A pin does not say of which type its key is, and a server shows one key a connection: each type is asked for in turn.
  std::optional<Error> mismatch;
  for (const auto* type : {"ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"}) {
    auto connection = walk(options, type, prompts, log, 0);
    if (connection) return connection;
    const bool other_key = connection.error().kind == ErrorKind::trust,
               no_such_key = connection.error().kind == ErrorKind::network && !connection.error().retryable;
    if (!other_key && !no_such_key) return connection;
    if (other_key && !mismatch) mismatch = connection.error();
    else if (!mismatch && type == std::string_view("ssh-rsa")) return connection;
  }
  return std::unexpected(std::move(*mismatch));
}

}  // namespace cloudos::ssh
