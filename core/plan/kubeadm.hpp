#pragma once

#include <string>
#include <vector>

#include "core/plan/machines.hpp"

namespace cloudos::plan {

// The names under which steps refer to what the driver makes for one run, and to what a master tells.
inline constexpr auto join_token = "${secret:join-token}";
inline constexpr auto certificate_key = "${secret:certificate-key}";
inline constexpr auto ca_certificate = "${value:ca}";

// kubeadm's configuration (kubeadm.k8s.io/v1beta4) as JSON documents with "---" lines between them, for one machine each.
[[nodiscard]] std::string init_config(const Input& input, const Cluster& cluster, const Member& founder);
[[nodiscard]] std::string join_config(const Cluster& cluster, const Member& member);
// For a member that has joined as a node: the same, and its control plane.
[[nodiscard]] std::string control_plane_config(const Cluster& cluster, const Member& member);
// The kubeconfig by which a machine that joins knows the cluster: where it is, and its CA. No credentials.
[[nodiscard]] std::string discovery_config();
// What OfferJoin needs of it: the token, and for masters the key.
[[nodiscard]] std::string offer_config(const Input& input, const Member& lead, bool certificates);
// The preflight checks of kubeadm that this machine cannot pass though Kubernetes runs on it; from facts only.
[[nodiscard]] std::vector<std::string> waivers(const Member& member);

}  // namespace cloudos::plan
