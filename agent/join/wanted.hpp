// Inside agent/join: what the cluster says of itself, and of the token, in its two ConfigMaps (cloudos-system/cluster and join-tokens).
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/base/secret.hpp"
#include "core/base/units.hpp"
#include "core/model/config.hpp"

namespace cloudos::joining {

struct Wanted {
  model::ClusterConfig config;
  std::string cluster_id, version;
  Digest bundle;
};
// Errors: input.
[[nodiscard]] Result<Wanted> wanted_of(const nlohmann::json& configmap);

// Whether the token still lets a machine in. Errors: refused, with the reason. `tried_before`: this machine may be among those that
// were admitted already, and was cut off then; the masters decide.
[[nodiscard]] Status token_serves(const nlohmann::json& configmap, const std::string& token_id, std::int64_t now, bool tried_before);
// Of a token that the cluster does not know at all.
[[nodiscard]] Error unknown_token(const std::string& token_id);

// Why the certificate that the machine asked for with this token was denied, out of the API's list of requests; "" as long as
// it was not. `before`: names of requests that were there before it asked.
[[nodiscard]] std::string denial(const nlohmann::json& requests, const std::string& token_id, const std::string& node,
                                 const std::vector<std::string>& before);
[[nodiscard]] std::vector<std::string> request_names(const nlohmann::json& requests);

}  // namespace cloudos::joining
