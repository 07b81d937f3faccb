#include <algorithm>
#include <format>

#include "agent/kube/form.hpp"
#include "core/os/crypto/crypto.hpp"

namespace cloudos::kube {
namespace {

// As kubelet keeps them: authentication.webhook.cacheTTL and authorization.webhook.cacheUnauthorizedTTL of its configuration.
constexpr std::chrono::minutes accepted_for{2};
constexpr std::chrono::seconds refused_for{30};
constexpr std::size_t most_kept = 256;

}  // namespace

Result<std::optional<User>> review_token(Api& api, const Secret& token) {
  const Json body = {{"apiVersion", "authentication.k8s.io/v1"}, {"kind", "TokenReview"}, {"spec", {{"token", token.reveal()}}}};
  CLOUDOS_ASSIGN(const Json answer, api.create("/apis/authentication.k8s.io/v1/tokenreviews", body));
  return form::reviewed(answer);
}

Result<bool> may(Api& api, const User& user, const std::string& verb, const std::string& path) {
  const Json body = {
      {"apiVersion", "authorization.k8s.io/v1"},
      {"kind", "SubjectAccessReview"},
      {"spec",
       {{"user", user.name}, {"uid", user.uid}, {"groups", user.groups}, {"nonResourceAttributes", {{"verb", verb}, {"path", path}}}}}};
  CLOUDOS_ASSIGN(const Json answer, api.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", body));
  return form::allowed(answer);
}

Gate::Verdict Gate::check(Api* api, const Secret& token, const std::string& verb, const std::string& path,
                          std::chrono::steady_clock::time_point now) {
  if (token.empty()) return Verdict::unknown_caller;
  std::erase_if(kept_, [&](const Kept& one) { return one.until <= now; });
  const auto key = std::format("{} {} {}", os::sha256(token.reveal()).hex(), verb, path);
  if (const auto found = std::ranges::find(kept_, key, &Kept::key); found != kept_.end()) return found->verdict;
  if (api == nullptr) return Verdict::cannot_tell;
  const auto user = review_token(*api, token);
  if (!user) return Verdict::cannot_tell;
  auto verdict = Verdict::unknown_caller;
  if (*user) {
    const auto permitted = may(*api, **user, verb, path);
    if (!permitted) return Verdict::cannot_tell;
    verdict = *permitted ? Verdict::yes : Verdict::forbidden;
  }
  // Who tries many tokens must not push out those that are good.
  if (kept_.size() >= most_kept)
    kept_.erase(std::ranges::min_element(kept_, {}, [](const Kept& one) { return std::pair(one.verdict == Verdict::yes, one.until); }));
  const auto span = verdict == Verdict::yes ? std::chrono::steady_clock::duration(accepted_for) : refused_for;
  kept_.push_back({.key = key, .verdict = verdict, .until = now + span});
  return verdict;
}

}  // namespace cloudos::kube
