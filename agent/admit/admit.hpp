// agent/admit: who lets a machine in. On each master: the requests for a node's first certificate that holders of join tokens make
// are checked, counted and approved or denied. Not here: making tokens (agent/steps), the joining machine (agent/join), requests
// of those who join over SSH, which kubeadm has approved by the controller manager.
#pragma once

#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "agent/kube/kube.hpp"
#include "core/base/log.hpp"
#include "core/model/join_token.hpp"

namespace cloudos::admit {

using kube::Json;

// --- the decision: pure ------------------------------------------------------------------------------------------------

enum class Reason { not_a_node, node_exists, token_unknown, token_expired, token_used_up };
// As it stands in the request's condition: "NotANode", "NodeExists", "TokenUnknown", "TokenExpired", "TokenUsedUp".
[[nodiscard]] std::string_view name(Reason reason);
struct Refusal {
  Reason reason;
  std::string message;
};

// A machine that asks to become a node.
struct Candidate {
  std::string request;  // the name of its CertificateSigningRequest
  std::string token;    // the id
  std::string node;     // the name that it wants; "" while it is not known
};
// Nothing: not for us (not decided with a join token, or decided already).
[[nodiscard]] std::optional<Candidate> candidate_of(const Json& request);
// The name of the node that is asked for, when the request is exactly that of a kubelet for its client certificate
// (kubernetes.io: "Certificate Signing Requests", signer kube-apiserver-client-kubelet).
[[nodiscard]] std::expected<std::string, Refusal> node_of(const Json& request);

enum class Name { free, of_a_node, of_a_master };
// What speaks against it. `token`: the cluster's entry, nothing when there is none. One whose request was counted before is let in
// without being counted again.
[[nodiscard]] std::optional<Refusal> decide(const Candidate& candidate, Name name, const std::optional<model::JoinToken>& token,
                                            std::int64_t now_s);
// Counts it, unless it was.
void count(const Candidate& candidate, model::JoinToken& token);

// --- the work ----------------------------------------------------------------------------------------------------------

class Admitter {
 public:
  struct Options {
    // How to reach the API server now: asked before each connection, so that a renewed certificate is used. Errors are waited out.
    std::function<Result<kube::Access>()> access;
    std::string component = "cloudos-agent";  // who says so in events, and on which node
    std::string node;
    Log* log = nullptr;  // outlives it
    Milliseconds first_pause{1'000}, longest_pause{30'000};
    std::function<std::int64_t()> now_s;  // seconds since the epoch; empty: the clock
  };
  explicit Admitter(Options options) : options_(std::move(options)) {}

  // Watches and decides until `stop`; an API server that is away is waited for. Several masters may do so at once: each
  // request is counted once.
  void run(const std::stop_token& stop);

 private:
  Options options_;
};

}  // namespace cloudos::admit
