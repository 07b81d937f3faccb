#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"

namespace cloudos::model {

// What the cluster knows of a token with which machines join: an entry of the ConfigMap cloudos-system/join-tokens under the
// token's id. Its secret half is not here but in the Secret kube-system/bootstrap-token-<id>.
struct JoinToken {
  // The group that the API server puts the holder of a join token into, and the name of its user before the id.
  static constexpr auto group = "system:bootstrappers:cloudos:join";
  static constexpr auto user_prefix = "system:bootstrap:";
  // A ConfigMap holds a megabyte: so many tokens at once, each with so many requests remembered and (where limited) uses.
  static constexpr std::size_t most = 32;
  static constexpr std::uint64_t most_uses = 300;

  std::string id;                             // [a-z0-9]{6}; not in the entry, it is its key
  std::uint64_t uses = 0;                     // machines that it lets in; 0: any number
  std::uint64_t used = 0;                     // those that it has let in
  std::vector<std::string> admitted;          // their certificate requests, newest last, at most most_uses
  std::string role = "worker";                // what it makes of a machine
  std::map<std::string, std::string> labels;  // of the nodes to be
  std::int64_t created_s = 0, expires_s = 0;  // seconds since the epoch
  bool operator==(const JoinToken&) const = default;
};

// Errors: input, also for an id that is none.
[[nodiscard]] std::string encode_join_token(const JoinToken& token);
[[nodiscard]] Result<JoinToken> decode_join_token(const std::string& id, std::string_view json);
[[nodiscard]] bool is_join_token_id(std::string_view text);
// "abcdef.0123456789abcdef" whole (kubernetes.io: "Token Format").
[[nodiscard]] bool is_join_token(std::string_view text);

// What `cloudos-agent token list` answers: all of them, oldest first, and the master's clock to read their times by.
struct JoinTokens {
  static constexpr int schema = 1;
  std::int64_t now_s = 0;
  std::vector<JoinToken> tokens;
};
[[nodiscard]] std::string encode_join_tokens(const JoinTokens& tokens);
[[nodiscard]] Result<JoinTokens> decode_join_tokens(std::string_view json);

// "2026-11-28T15:00:00Z" (RFC 3339, in UTC).
[[nodiscard]] std::string utc_text(std::int64_t seconds);

}  // namespace cloudos::model
