#include "core/plan/prepare.hpp"

#include <data.hpp>

#include <algorithm>
#include <format>

#include <nlohmann/json.hpp>

#include "core/base/text.hpp"
#include "core/model/paths.hpp"
#include "core/plan/fill.hpp"

namespace cloudos::plan {
namespace {

constexpr auto certs = "/etc/cloudos/certs.d";
constexpr auto containerd_unit = "cloudos-containerd.service";
constexpr auto kubectl_link = "/usr/local/bin/kubectl";
// A kubelet and a containerd take some tens of inotify instances; the kernel's default is 128 for all of root's processes.
constexpr std::uint64_t inotify_instances = 8192;
constexpr std::uint64_t inotify_watches = 524'288;

std::string version_folder(const Input& input) { return std::string(paths::versions) + "/" + input.bundle.version; }
std::string binary(std::string_view name) { return std::string(paths::bin) + "/" + std::string(name); }

bool wanted_on(const model::BundleFile& file, const Member& member) {
  if (file.path == "bin/etcdctl") return member.master();
  return file.path.starts_with("bin/") || file.path.starts_with("cni/");
}

void add_at_least(const Member& member, const std::string& key, std::uint64_t wanted, StepList& steps) {
  const auto limit = member.facts->limits.find(key);
  if (limit == member.facts->limits.end()) return;
  const auto now = parse_number(limit->second, 0, UINT64_MAX);
  // More than we ask for is the operator's choice; exactly it is what an earlier run set, and stays.
  if (!now || *now > wanted) return;
  steps.add("sysctl:" + key, std::format("{} = {}", key, wanted), "kubelet, containerd and their containers watch many files",
            model::Sysctl{key, std::to_string(wanted)});
}

std::string pause_image(const model::BundleIndex& bundle) {
  for (const auto& component : bundle.components)
    for (const auto& image : component.images)
      if (image.ref.contains("/pause:")) return image.ref;
  return {};
}

model::LoadImages load(const std::vector<const model::BundleImage*>& images, bool unpack) {
  model::LoadImages action{.images = {}, .unpack = unpack};
  for (const auto* image : images) action.images.push_back({image->ref, image->digest, image->config, image->layers});
  return action;
}

}  // namespace

void StepList::add(std::string id, std::string what, std::string why, model::Action action) {
  steps_.push_back({StepId{std::move(id)}, std::move(what), std::move(why), std::move(action), {}});
}
void StepList::folder(const std::string& path, std::string why, unsigned mode) {
  add("folder:" + path, "folder " + path, std::move(why), model::Folder{path, mode});
}
void StepList::file(const std::string& path, std::string content, std::string_view what, std::string why, unsigned mode) {
  add("file:" + path, std::format("{} ({})", what, path), std::move(why), model::WriteFile{path, mode, std::move(content)});
}

void add_machine_settings(const Member& member, StepList& steps) {
  const auto& facts = *member.facts;
  if (facts.memory.swap_total.count > 0 && !keeps_swap(facts))
    steps.add("swap", "swap off", "the kubelet's memory limits do not hold with swap", model::SwapOff{});
  const bool bridge_known = facts.sysctls.contains("net.bridge.bridge-nf-call-iptables");
  if (!container(facts))
    steps.add("module:br_netfilter", "kernel module br_netfilter", "services answer pods on the same node too",
              model::KernelModule{"br_netfilter"});
  if (lacks(facts, "sysctl-write")) return;
  steps.add("sysctl:net.ipv4.ip_forward", "net.ipv4.ip_forward = 1", "the node routes its pods' packets",
            model::Sysctl{"net.ipv4.ip_forward", "1"});
  if (bridge_known || !container(facts))
    steps.add("sysctl:net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-iptables = 1",
              "services answer pods on the same node too", model::Sysctl{"net.bridge.bridge-nf-call-iptables", "1"});
  if (container(facts)) return;
  add_at_least(member, "fs.inotify.max_user_instances", inotify_instances, steps);
  add_at_least(member, "fs.inotify.max_user_watches", inotify_watches, steps);
}

void add_files(const Input& input, const Member& member, StepList& steps) {
  const auto folder = version_folder(input);
  steps.folder(paths::config, "settings");
  steps.folder(paths::versions, "versions, side by side");
  steps.folder(folder, "Kubernetes " + input.bundle.version);
  steps.folder(folder + "/bin", "programs");
  steps.folder(folder + "/cni", "CNI plugins");
  for (const auto& component : input.bundle.components)
    for (const auto& file : component.files)
      if (wanted_on(file, member)) {
        const auto path = folder + "/" + file.path;
        steps.add("install:" + path, std::format("{} {}", file.path.substr(file.path.find('/') + 1), component.version),
                  "out of the bundle, checked again",
                  model::InstallFile{path, file.mode, file.digest, file.stored, file.content_digest, file.content_size});
      }
  steps.add(std::string("link:") + paths::current, "current version", "one name for whatever is installed",
            model::Symlink{paths::current, folder, false});
  if (input.bundle.file("bin/kubectl"))
    steps.add(std::string("link:") + kubectl_link, "kubectl in the PATH", "at hand; one that is there stays",
              model::Symlink{kubectl_link, binary("kubectl"), true});
}

void add_vouched(const Input& input, StepList& steps) {
  const auto& vouched = input.vouched;
  if (vouched.minisig.empty() || vouched.keys.empty()) return;
  const auto bundle = std::string(paths::bundles) + "/" + input.bundle_digest.hex();
  const std::string why = "machines that join by themselves check with it what they fetch";
  steps.folder(paths::trust, "who may sign bundles");
  model::KeepOnly keys{paths::trust, {}};
  for (const auto& [id, text] : vouched.keys) {
    keys.names.push_back(id + ".pub");
    steps.file(std::format("{}/{}.pub", paths::trust, id), text, "a key that signs bundles", why);
  }
  steps.folder(paths::bundles, "what bundles say they hold");
  // Named without their paths, which have a digest in them.
  steps.add("folder:" + bundle, "folder of this bundle", "what it says it holds", model::Folder{bundle, 0755});
  steps.add("file:" + bundle + "/bundle.json", "this bundle's index", why, model::WriteFile{bundle + "/bundle.json", 0644, vouched.json});
  steps.add("file:" + bundle + "/bundle.json.minisig", "the index's signature", why,
            model::WriteFile{bundle + "/bundle.json.minisig", 0644, vouched.minisig});
  steps.add(std::string("only:") + paths::trust, "no other keys", "one that no longer signs is not to be trusted", std::move(keys));
  steps.add(std::string("only:") + paths::bundles, "no other bundles", "what an earlier one held serves nobody",
            model::KeepOnly{paths::bundles, {input.bundle_digest.hex()}});
}

void add_runtime(const Input& input, const Member& member, StepList& steps) {
  const auto& facts = *member.facts;
  const bool may_lower = !lacks(facts, "oom-score-lower");
  steps.folder(paths::containerd_root, "containerd's state", 0700);
  steps.folder(certs, "registries");
  steps.folder(std::string(certs) + "/_default", "registries: any other");
  steps.folder(paths::cni_config, "CNI configuration");
  steps.file(std::string(certs) + "/_default/hosts.toml", fill(data::hosts_toml, {{"certs", certs}}), "no registry by default",
             "every image comes out of the bundle; no node reaches out by itself");
  steps.file(paths::containerd_config,
             fill(data::containerd_toml, {{"root", paths::containerd_root},
                                          {"state", paths::containerd_state},
                                          {"socket", paths::containerd_socket},
                                          {"sandbox", pause_image(input.bundle)},
                                          {"certs", certs},
                                          {"bin", paths::bin},
                                          {"cni_bin", paths::cni_bin},
                                          {"cni_config", paths::cni_config},
                                          {"restrict_oom", may_lower ? "false" : "true"},
                                          {"systemd_cgroup", facts.cgroup.driver == "cgroupfs" ? "false" : "true"}}),
             "containerd's configuration", "a runtime of its own, beside any that is here");
  // A registry's hosts.toml is read at each pull (containerd, docs/hosts.md), so it is not among what is watched.
  steps.add(
      std::string("unit:") + containerd_unit, "containerd running", "the kubelet starts containers through it",
      model::Unit{.name = containerd_unit,
                  .content = fill(data::cloudos_containerd_service,
                                  {{"bin", paths::bin}, {"config", paths::containerd_config}, {"oom_score", may_lower ? "-999" : "0"}}),
                  .enable = true,
                  .start = true,
                  .watches = {paths::containerd_config, binary("containerd")}});
}

void add_balancer(const Cluster& cluster, StepList& steps) {
  const nlohmann::json config = {{"schema", 1}, {"masters", cluster.api}};
  steps.file(paths::balancer_config, config.dump() + "\n", "the balancer's masters", "every master, so that losing one is not noticed");
  steps.add("unit:cloudos-balancer.service", "API balancer", "forwards to a master that is well",
            model::Unit{.name = "cloudos-balancer.service",
                        .content = std::string(data::cloudos_balancer_service),
                        .enable = false,
                        .start = false,
                        .watches = {}});
  steps.add("unit:cloudos-balancer.socket", std::format("API balancer on {}", paths::balancer_address),
            "kubelet and kube-proxy reach the API through it",
            model::Unit{.name = "cloudos-balancer.socket",
                        .content = std::string(data::cloudos_balancer_socket),
                        .enable = true,
                        .start = true,
                        .watches = {}});
}

void add_kubelet(const Member& member, StepList& steps) {
  steps.add("unit:kubelet.service", member.joined ? "kubelet running" : "kubelet's unit",
            member.joined ? "it is the node" : "kubeadm starts it once it is configured",
            model::Unit{.name = "kubelet.service",
                        .content = fill(data::kubelet_service, {{"bin", paths::bin}}),
                        .enable = true,
                        .start = member.joined,
                        .watches = {binary("kubelet")}});
}

void add_images(const Input& input, const Member& member, StepList& steps) {
  const auto add = [&](const std::string& phase, const std::vector<const model::BundleImage*>& images, bool unpack, std::string why) {
    if (!images.empty())
      steps.add("images:" + phase, std::format("images: {} ({})", phase, images.size()), std::move(why), load(images, unpack));
  };
  auto node = input.bundle.images("node");
  if (member.master()) {
    auto first = input.bundle.images("control-plane");
    // The sandbox of every pod, so before any of them.
    for (const auto* image : node)
      if (image->ref.contains("/pause:")) first.insert(first.begin(), image);
    std::erase_if(node, [](const auto* image) { return image->ref.contains("/pause:"); });
    add("control-plane", first, true, "the control plane starts from them, unpacked beforehand");
  }
  add("node", node, true, "every node runs them");
  add("addon", input.bundle.images("addon"), false, "run on some node; unpacked where they do");
}

void add_membership(const Input& input, const Member& member, StepList& steps) {
  const nlohmann::json membership = {{"schema", 1},
                                     {"cluster_id", input.cluster_id},
                                     {"bundle", input.bundle_digest.hex()},
                                     {"version", input.bundle.version},
                                     {"role", member.master() ? "master" : "node"},
                                     {"node", member.node},
                                     {"address", member.address}};
  steps.file(std::string(paths::config) + "/cluster.json", membership.dump() + "\n", "what this machine belongs to",
             "a later run, from anywhere, finds the cluster by it");
}

}  // namespace cloudos::plan
