#include <algorithm>
#include <format>
#include <set>

#include "agent/admit/admit.hpp"
#include "core/base/dns.hpp"
#include "core/base/text.hpp"
#include "core/model/json_path.hpp"
#include "core/os/crypto/crypto.hpp"

namespace cloudos::admit {
namespace {

using model::find_at;
using model::text_at;

constexpr std::string_view signer = "kubernetes.io/kube-apiserver-client-kubelet";
constexpr std::string_view node_user = "system:node:";

std::vector<std::string> texts(const Json& object, std::initializer_list<const char*> path) {
  std::vector<std::string> out;
  const auto* found = find_at(object, path);
  if (found == nullptr || !found->is_array()) return out;
  for (const auto& each : *found) out.push_back(each.is_string() ? each.get<std::string>() : "");
  return out;
}

std::unexpected<Refusal> not_a_node(std::string why) { return std::unexpected(Refusal{Reason::not_a_node, std::move(why)}); }

}  // namespace

std::string_view name(Reason reason) {
  switch (reason) {
    case Reason::not_a_node: return "NotANode";
    case Reason::node_exists: return "NodeExists";
    case Reason::token_unknown: return "TokenUnknown";
    case Reason::token_expired: return "TokenExpired";
    case Reason::token_used_up: return "TokenUsedUp";
  }
  return "Unknown";
}

std::optional<Candidate> candidate_of(const Json& request) {
  // Whatever another signer makes of a request is not for us to approve, and not for us to deny.
  if (text_at(request, {"spec", "signerName"}) != signer) return std::nullopt;
  if (!std::ranges::contains(texts(request, {"spec", "groups"}), model::JoinToken::group)) return std::nullopt;
  const auto user = text_at(request, {"spec", "username"});
  if (!user.starts_with(model::JoinToken::user_prefix)) return std::nullopt;
  const auto* conditions = find_at(request, {"status", "conditions"});
  if (conditions != nullptr && conditions->is_array())
    for (const auto& each : *conditions)
      if (const auto type = text_at(each, {"type"}); type == "Approved" || type == "Denied" || type == "Failed") return std::nullopt;
  Candidate candidate{.request = text_at(request, {"metadata", "name"}),
                      .token = user.substr(std::string_view(model::JoinToken::user_prefix).size()),
                      .node = ""};
  // It becomes a part of paths. A kubelet's is "node-csr-" and base64 of the kind for URLs.
  constexpr std::string_view allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
  if (candidate.request.empty() || candidate.request.starts_with('.') || candidate.request.find_first_not_of(allowed) != std::string::npos)
    return std::nullopt;
  return candidate;
}

std::expected<std::string, Refusal> node_of(const Json& request) {
  const auto usages = texts(request, {"spec", "usages"});
  const std::set<std::string> wanted(usages.begin(), usages.end());
  // With an RSA key also "key encipherment".
  if (wanted != std::set<std::string>{"client auth", "digital signature"} &&
      wanted != std::set<std::string>{"client auth", "digital signature", "key encipherment"})
    return not_a_node("it asks for other usages than a node's client certificate has");
  const auto pem = os::unbase64(text_at(request, {"spec", "request"}));
  if (!pem) return not_a_node("its request is not base64");
  const auto parsed = os::parse_certificate_request(*pem);
  if (!parsed) return not_a_node(parsed.error().message);
  if (parsed->organisations != std::vector<std::string>{"system:nodes"}) return not_a_node("its organisation is not exactly system:nodes");
  if (parsed->common_names.size() != 1 || !parsed->common_names.front().starts_with(node_user))
    return not_a_node("its common name is not system:node:NAME");
  if (parsed->other_names) return not_a_node("it asks for more names than that of a node");
  auto node = parsed->common_names.front().substr(node_user.size());
  if (const auto why = why_not_dns_name(node); !why.empty())
    return not_a_node(std::format("'{}' cannot be a node's name: it {}", sanitise(node.substr(0, 64)), why));
  return node;
}

std::optional<Refusal> decide(const Candidate& candidate, Name name, const std::optional<model::JoinToken>& token, std::int64_t now_s) {
  if (!token)
    return Refusal{Reason::token_unknown,
                   std::format("the cluster knows no join token {} (any more)", sanitise(candidate.token.substr(0, 16)))};
  if (token->role != "worker") return Refusal{Reason::token_unknown, std::format("the token is for a {}, not for a worker", token->role)};
  if (token->expires_s <= now_s)
    return Refusal{Reason::token_expired, std::format("the token expired at {}", model::utc_text(token->expires_s))};
  if (name == Name::of_a_master) return Refusal{Reason::node_exists, std::format("{} is the name of a master", candidate.node)};
  if (name == Name::of_a_node)
    return Refusal{Reason::node_exists, std::format("the cluster has a node {}; if it is gone for good: kubectl delete node {}",
                                                    candidate.node, candidate.node)};
  if (std::ranges::contains(token->admitted, candidate.request)) return std::nullopt;
  if (token->uses > 0 && token->used >= token->uses)
    return Refusal{Reason::token_used_up,
                   std::format("the token was for {} {}, which joined", token->uses, token->uses == 1 ? "machine" : "machines")};
  return std::nullopt;
}

void count(const Candidate& candidate, model::JoinToken& token) {
  if (std::ranges::contains(token.admitted, candidate.request)) return;
  ++token.used;
  token.admitted.push_back(candidate.request);
  if (token.admitted.size() > model::JoinToken::most_uses) token.admitted.erase(token.admitted.begin());
}

}  // namespace cloudos::admit
