// The part of ssh_config(5) that says how a machine is reached: Host, HostName, User, Port, IdentityFile, IdentitiesOnly,
// ProxyJump and Include. Everything else is passed over; Match with a note, since it may have been meant to matter.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"

namespace cloudos::ssh {

struct HostConfig {
  std::string hostname;  // "": as given
  std::string user;      // "": not set
  std::uint16_t port = 0;
  std::vector<std::string> identity_files;
  bool identities_only = false;
  std::vector<std::string> proxy_jump;  // "user@host:port", outermost first
  std::vector<std::string> notes;
};

// What is said once for all files: whose they are.
struct ConfigReader {
  std::string home;  // for ~, %d and relative Include
  std::string local_user;
};

// The settings for `host` as the operator wrote it. `must_exist`: the file was named by the operator.
// Errors: input, with file and line.
[[nodiscard]] Result<HostConfig> read_ssh_config(const std::string& file, bool must_exist, const std::string& host,
                                                 const ConfigReader& reader);
// The same for a text; Include reads files. `file` is for messages.
[[nodiscard]] Result<HostConfig> parse_ssh_config(std::string_view text, const std::string& file, const std::string& host,
                                                  const ConfigReader& reader);

// "ops@jump.example:2222", "[fd00::1]:22", "fd00::1" or "ssh://ops@host:22". Errors: input.
struct Hop {
  std::string user;
  std::string host;
  std::uint16_t port = 0;
};
[[nodiscard]] Result<Hop> parse_hop(std::string_view text);
// Refuses what a program could take for an option, and characters that no host or user name has. Errors: input.
[[nodiscard]] Status check_host(std::string_view host);
[[nodiscard]] Status check_user(std::string_view user);

}  // namespace cloudos::ssh
