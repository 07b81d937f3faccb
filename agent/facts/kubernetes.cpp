#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

#include "agent/facts/look.hpp"
#include "core/base/text.hpp"
#include "core/model/paths.hpp"
#include "core/os/crypto/crypto.hpp"

namespace cloudos::facts {

namespace fs = std::filesystem;

namespace {

std::vector<model::JournalRecord> read_journal(const Roots& roots, model::HostFacts& facts) {
  std::vector<model::JournalRecord> records;
  for (const auto& line : split(text_of(roots.at(paths::journal)), '\n')) {
    if (line.empty()) continue;
    auto record = model::decode_journal(line);
    // A power cut may have torn the last line; the record before it counts.
    if (record) records.push_back(std::move(*record));
    else facts.unknown["journal"] = record.error().message;
  }
  return records;
}

// Somebody else's Kubernetes: its files are here, and neither they nor our journal know cloudos.
bool foreign(const Roots& roots, bool in_journal) {
  const auto exists = [&](const char* path) {
    std::error_code error;
    return fs::exists(roots.at(path), error);
  };
  if (exists(paths::kubelet_conf) && !in_journal) return true;
  for (const auto* unit :
       {"/etc/systemd/system/kubelet.service", "/usr/lib/systemd/system/kubelet.service", "/lib/systemd/system/kubelet.service"}) {
    // Ours runs the kubelet out of our own folder.
    if (exists(unit) && !text_of(roots.at(unit)).contains(paths::state)) return true;
  }
  static constexpr std::array others = {"/etc/rancher/k3s",
                                        "/etc/rancher/rke2",
                                        "/etc/systemd/system/k3s.service",
                                        "/etc/systemd/system/k3s-agent.service",
                                        "/etc/systemd/system/k0scontroller.service",
                                        "/etc/systemd/system/k0sworker.service",
                                        "/var/snap/microk8s"};
  return std::ranges::any_of(others, exists);
}

// What a step of the plan wrote down about the cluster that this machine belongs to.
Status read_cluster(std::string_view text, model::HostFacts::Kubernetes& kubernetes) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return fail(ErrorKind::input, "not a JSON object");
  const auto value = [&](const char* key) {
    const auto found = json.find(key);
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  kubernetes.cluster_id = value("cluster_id");
  kubernetes.bundle = value("bundle");
  kubernetes.version = value("version");
  kubernetes.role = value("role");
  kubernetes.node_name = value("node");
  return {};
}

}  // namespace

void look_at_kubernetes(const Roots& roots, const std::vector<Process>& processes, model::HostFacts& facts) {
  auto& kubernetes = facts.kubernetes;
  const auto journal = read_journal(roots, facts);
  kubernetes.state = join_state(journal);
  std::error_code error;
  const bool configured = fs::exists(roots.at(paths::kubelet_conf), error);
  if (kubernetes.state == "joined" && !configured) kubernetes.state = "partial";
  kubernetes.foreign = foreign(roots, kubernetes.state != "none");

  if (const auto cluster = text_of(roots.at("/etc/cloudos/cluster.json")); !cluster.empty()) {
    if (const auto status = read_cluster(cluster, kubernetes); !status) facts.unknown["/etc/cloudos/cluster.json"] = status.error().message;
  }
  const auto manifest = text_of(roots.at("/etc/kubernetes/manifests/kube-apiserver.yaml"));
  if (!manifest.empty()) {
    kubernetes.role = "master";
    kubernetes.server_address = manifest_flag(manifest, "--advertise-address");
    const auto port = parse_number(manifest_flag(manifest, "--secure-port"), 1, 65535).value_or(6443);
    if (roots.real()) kubernetes.api_healthy = tcp_port_answers("127.0.0.1", static_cast<std::uint16_t>(port));
  } else if (configured) {
    kubernetes.role = "node";
  }
  if (const auto current = link_name(roots.at(paths::current)); !current.empty()) kubernetes.version = current;
  if (const auto ca = text_of(roots.at("/etc/kubernetes/pki/ca.crt")); !ca.empty()) {
    if (auto hash = os::spki_hash(ca)) kubernetes.ca_spki = std::move(*hash);
    else facts.unknown["/etc/kubernetes/pki/ca.crt"] = hash.error().message;
  }
  kubernetes.kubelet_active = has_unit(processes, "kubelet.service");
}

}  // namespace cloudos::facts
