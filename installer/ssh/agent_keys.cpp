#include "installer/ssh/agent_keys.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "installer/ssh/known_hosts.hpp"

namespace cloudos::ssh {

namespace {

// Whether the agent answers SSH_AGENTC_REQUEST_IDENTITIES (draft-ietf-sshm-ssh-agent, section 3.5) by the deadline.
bool answers(const char* path, Deadline deadline) {
  const os::Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (!fd || std::strlen(path) >= sizeof address.sun_path) return false;
  std::strcpy(address.sun_path, path);
  sockaddr generic{};
  static_assert(sizeof generic <= sizeof address);
  if (::connect(fd.get(), static_cast<const sockaddr*>(static_cast<const void*>(&address)), sizeof address) != 0) return false;
  constexpr std::array<unsigned char, 5> request{0, 0, 0, 1, 11};
  if (::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) return false;
  const auto left = std::chrono::ceil<Milliseconds>(deadline - std::chrono::steady_clock::now());
  pollfd p{.fd = fd.get(), .events = POLLIN, .revents = 0};
  return ::poll(&p, 1, static_cast<int>(std::max<long>(left.count(), 0))) == 1;
}

}  // namespace

Result<std::unique_ptr<AgentKeys>> AgentKeys::open(Session& session, Deadline deadline, Log& log) {
  const char* path = std::getenv("SSH_AUTH_SOCK");
  if (path == nullptr || *path == '\0') return nullptr;
  if (!answers(path, deadline)) {
    log.warning("the ssh-agent at {} does not answer; going on without it", path);
    return nullptr;
  }
  LIBSSH2_AGENT* raw = libssh2_agent_init(session.get());
  if (raw == nullptr) return fail(ErrorKind::io, "cannot speak to ssh-agent: out of memory");
  auto agent = std::unique_ptr<AgentKeys>(new AgentKeys(raw));
  if (libssh2_agent_connect(raw) != 0 || libssh2_agent_list_identities(raw) != 0) {
    log.warning("the ssh-agent at {} does not list its keys; going on without it", path);
    return nullptr;
  }
  return agent;
}

std::vector<libssh2_agent_publickey*> AgentKeys::keys() const {
  std::vector<libssh2_agent_publickey*> all;
  libssh2_agent_publickey* key = nullptr;
  while (libssh2_agent_get_identity(agent_.get(), &key, key) == 0) all.push_back(key);
  return all;
}

std::optional<std::string> public_key_bytes(std::string_view pub_file) {
  // A .pub line is a known_hosts line without the host.
  auto parsed = parse_known_hosts("x " + std::string(pub_file), ".pub");
  if (parsed.entries.empty()) return std::nullopt;
  return parsed.entries.front().key;
}

}  // namespace cloudos::ssh
