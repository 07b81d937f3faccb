#include "agent/join/wanted.hpp"

#include <algorithm>
#include <format>

#include "agent/join/clock.hpp"
#include "core/base/text.hpp"
#include "core/model/join_token.hpp"
#include "core/model/json_path.hpp"
#include "core/os/crypto/crypto.hpp"

namespace cloudos::joining {
namespace {

using model::find_at;
using model::text_at;
using nlohmann::json;

constexpr auto new_file = "make a new join file: `cloudos token create > join.toml`";

Error refused(std::string message) { return {.kind = ErrorKind::refused, .message = std::move(message), .hint = new_file}; }

bool asks_for(const json& request, const std::string& node) {
  const auto pem = os::unbase64(text_at(request, {"spec", "request"}));
  const auto asked = pem ? os::parse_certificate_request(*pem) : fail(pem.error());
  return asked && asked->common_names == std::vector{"system:node:" + node};
}

bool is_denied(const json& request, std::string& why) {
  const auto* conditions = find_at(request, {"status", "conditions"});
  if (conditions == nullptr || !conditions->is_array()) return false;
  for (const auto& condition : *conditions) {
    if (text_at(condition, {"type"}) != "Denied") continue;
    why = text_at(condition, {"message"});
    if (why.empty()) why = text_at(condition, {"reason"});
    if (why.empty()) why = "no reason was given";
    return true;
  }
  return false;
}

}  // namespace

Result<Wanted> wanted_of(const json& configmap) {
  const auto bad = [](const std::string& what) {
    return fail(ErrorKind::input, "the cluster's ConfigMap cloudos-system/cluster " + what,
                "run `cloudos install` on that cluster once more: it writes it anew");
  };
  Wanted wanted{.cluster_id = text_at(configmap, {"data", "cluster_id"}), .version = text_at(configmap, {"data", "version"})};
  if (wanted.cluster_id.empty()) return bad("names no cluster_id");
  const auto bundle = text_at(configmap, {"data", "bundle"});
  auto digest = Digest::parse(bundle);
  if (!digest) return bad(std::format("names the bundle \"{}\", which is no digest", sanitise(bundle.substr(0, 80))));
  wanted.bundle = std::move(*digest);
  auto config = model::decode_config(text_at(configmap, {"data", "config.json"}));
  if (!config) return bad("holds a config.json that cannot be read: " + config.error().message);
  wanted.config = std::move(*config);
  return wanted;
}

Error unknown_token(const std::string& token_id) {
  return refused(std::format("the cluster does not take the token {}: it was revoked, or its time is over", token_id));
}

Status token_serves(const json& configmap, const std::string& token_id, std::int64_t now, bool tried_before) {
  const auto entry = text_at(configmap, {"data", token_id.c_str()});
  if (entry.empty()) return fail(unknown_token(token_id));
  const auto token = model::decode_join_token(token_id, entry);
  if (!token) return fail(ErrorKind::input, "what the cluster says of the token cannot be read: " + token.error().message, new_file);
  if (token->expires_s <= now) return fail(refused(std::format("the token {} expired at {}", token_id, date_text(token->expires_s))));
  if (token->uses == 0 || token->used < token->uses || tried_before) return {};
  return fail(refused(std::format("the token {} is used up: it was for {} {}, which joined", token_id, token->uses,
                                  token->uses == 1 ? "machine" : "machines")));
}

std::vector<std::string> request_names(const json& requests) {
  std::vector<std::string> names;
  if (const auto* items = find_at(requests, {"items"}); items != nullptr && items->is_array())
    for (const auto& each : *items) names.push_back(text_at(each, {"metadata", "name"}));
  return names;
}

std::string denial(const json& requests, const std::string& token_id, const std::string& node, const std::vector<std::string>& before) {
  const auto* items = find_at(requests, {"items"});
  if (items == nullptr || !items->is_array()) return {};
  for (const auto& each : *items) {
    std::string why;
    if (text_at(each, {"spec", "username"}) != model::JoinToken::user_prefix + token_id || !is_denied(each, why)) continue;
    if (std::ranges::contains(before, text_at(each, {"metadata", "name"}))) continue;
    if (asks_for(each, node)) return sanitise(why);
  }
  return {};
}

}  // namespace cloudos::joining
