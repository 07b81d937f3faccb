// The wildcards of ssh_config(5) "PATTERNS", which known_hosts shares (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace cloudos::ssh {

// Whether `text` is matched by `pattern`, where * stands for any number of characters and ? for one.
[[nodiscard]] bool matches(std::string_view pattern, std::string_view text);
// Whether one of the patterns matches and no negated one (`!pattern`) does.
[[nodiscard]] bool matches_list(std::span<const std::string> patterns, std::string_view text);

}  // namespace cloudos::ssh
