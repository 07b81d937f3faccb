// Join tokens, on a master: made, listed and taken back with the administrator's kubeconfig. A token is a bootstrap token of
// Kubernetes (the Secret kube-system/bootstrap-token-<id>) with an entry in the ConfigMap cloudos-system/join-tokens, by which the
// masters admit machines (agent/admit).
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "agent/steps/environment.hpp"
#include "core/base/secret.hpp"
#include "core/join_file/join_file.hpp"
#include "core/model/join_token.hpp"

namespace cloudos::steps {

struct TokenWish {
  std::int64_t lifetime_s = 900;
  std::uint64_t uses = 0;  // 0: any number
  std::map<std::string, std::string> labels = {};
};
// Makes one and gives the text of the join file with it. Errors: refused (not a master, no signed bundle here, no node that offers
// its store, too many tokens), failed (the API does not answer).
[[nodiscard]] Result<Secret> create_token(const TokenWish& wish, Environment& environment);
// All of them that live, as encode_join_tokens() has it. Entries that serve nobody any more are swept.
[[nodiscard]] Result<std::string> list_tokens(Environment& environment);
// Errors: input (there is none of that id; with the nearest).
[[nodiscard]] Status revoke_token(const std::string& id, Environment& environment);

// Where machines can fetch what they lack, out of `kubectl get nodes -o json`: Ready nodes that say so, masters last, at most 16.
[[nodiscard]] std::vector<join_file::Store> stores_of(const std::vector<nlohmann::json>& nodes);
// "10.0.0.1:6443" of each master among them.
[[nodiscard]] std::vector<std::string> masters_of(const std::vector<nlohmann::json>& nodes);

}  // namespace cloudos::steps
