// The keys that ssh-agent(1) holds, by SSH_AUTH_SOCK.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/log.hpp"
#include "installer/ssh/session.hpp"

namespace cloudos::ssh {

class AgentKeys {
 public:
  // Null when no agent runs or it does not answer: ssh goes on without it, too. libssh2 speaks to the agent without a
  // deadline, so it is asked once by hand first.
  static Result<std::unique_ptr<AgentKeys>> open(Session& session, Deadline deadline, Log& log);

  // Owned by this object.
  [[nodiscard]] std::vector<libssh2_agent_publickey*> keys() const;
  // A libssh2 status; LIBSSH2_ERROR_EAGAIN: call again.
  int log_in(const std::string& user, libssh2_agent_publickey* key) { return libssh2_agent_userauth(agent_.get(), user.c_str(), key); }

 private:
  struct Free {
    void operator()(LIBSSH2_AGENT* agent) const {
      libssh2_agent_disconnect(agent);
      libssh2_agent_free(agent);
    }
  };
  explicit AgentKeys(LIBSSH2_AGENT* agent) : agent_(agent) {}
  std::unique_ptr<LIBSSH2_AGENT, Free> agent_;
};

// The key's bytes in a .pub file: "ssh-ed25519 BASE64 comment".
[[nodiscard]] std::optional<std::string> public_key_bytes(std::string_view pub_file);

}  // namespace cloudos::ssh
