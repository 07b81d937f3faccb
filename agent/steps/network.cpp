// PodNetwork: the conflist of bridge + host-local + portmap. kubenet's way with the reference plugins: a bridge per node on
// its podCIDR; flannel carries packets between the nodes over VXLAN, whose headers take 50 bytes of the link (RFC 7348).

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include <array>
#include <memory>

#include "agent/steps/actions.hpp"
#include "agent/steps/cluster.hpp"
#include "agent/steps/files.hpp"
#include "core/base/text.hpp"
#include "core/os/crypto/crypto.hpp"

namespace cloudos::steps {
namespace {

using nlohmann::json;

constexpr int vxlan_overhead = 50;

std::string conflist_path() { return std::string(paths::cni_config) + "/10-cloudos.conflist"; }

std::string text_of(const sockaddr* address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const void* bytes = nullptr;
  if (address->sa_family == AF_INET) bytes = &reinterpret_cast<const sockaddr_in*>(address)->sin_addr;
  if (address->sa_family == AF_INET6) bytes = &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
  return bytes != nullptr && inet_ntop(address->sa_family, bytes, text.data(), text.size()) != nullptr ? text.data() : "";
}

// The MTU of the link that holds the address.
Result<int> link_mtu(const Session& session, const std::string& address) {
  ifaddrs* raw = nullptr;
  if (::getifaddrs(&raw) != 0) return fail_errno("list the interfaces", errno);
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> list(raw, &::freeifaddrs);
  for (const auto* each = list.get(); each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || text_of(each->ifa_addr) != address) continue;
    CLOUDOS_ASSIGN(auto text, os::read(session.at(std::string("/sys/class/net/") + each->ifa_name + "/mtu")));
    CLOUDOS_ASSIGN(auto mtu, parse_number(trim(text), 100, 1'000'000));
    return static_cast<int>(mtu);
  }
  return fail(ErrorKind::failed, "no interface of this machine has the address " + address);
}

std::string conflist(const std::string& subnet, const std::string& pod_cidr, int mtu) {
  const json range{{"subnet", subnet}}, route{{"dst", pod_cidr}};
  const json ipam{{"type", "host-local"}, {"ranges", json::array({json::array({range})})}, {"routes", json::array({route})}};
  const json bridge{{"type", "bridge"}, {"bridge", "cni0"}, {"isDefaultGateway", true}, {"hairpinMode", true}, {"ipMasq", false},
                    {"mtu", mtu},       {"ipam", ipam}};
  const json portmap{{"type", "portmap"}, {"capabilities", {{"portMappings", true}}}};
  return json{{"name", "cloudos"}, {"cniVersion", "1.0.0"}, {"plugins", json::array({bridge, portmap})}}.dump(2) + "\n";
}

// The wanted conflist, or nothing while the controller manager has not given the node its podCIDR.
Result<std::optional<std::string>> wanted(const model::PodNetwork& a, Session& session) {
  CLOUDOS_ASSIGN(const auto* node, node_object(session, a.node));
  const auto subnet = node == nullptr ? "" : text_at(*node, {"spec", "podCIDR"});
  if (subnet.empty()) return std::nullopt;
  CLOUDOS_ASSIGN(auto mtu, link_mtu(session, a.address));
  return conflist(subnet, a.pod_cidr, mtu - vxlan_overhead);
}

}  // namespace

Result<Check> check(const model::PodNetwork& a, Session& session) {
  CLOUDOS_ASSIGN(auto content, wanted(a, session));
  if (!content) return Check::needed("node " + a.node + " has no podCIDR yet");
  return check_file(session, conflist_path(), *content, 0644);
}
Result<Undo> before(const model::PodNetwork&, Session&) { return Undo{{"path", conflist_path()}}; }
Status apply(const model::PodNetwork& a, Session& session) {
  CLOUDOS_ASSIGN(auto content, wanted(a, session));
  if (!content) {
    session.forget();
    CLOUDOS_TRY(session.kube(session.kubectl({"wait", "--for=jsonpath={.spec.podCIDR}", "node/" + a.node, "--timeout=120s"}),
                             Milliseconds{135'000}));
    CLOUDOS_ASSIGN(content, wanted(a, session));
    if (!content)
      return fail(ErrorKind::failed, "node " + a.node + " has no podCIDR",
                  "look at the controller manager's log: it gives each node its part of the pod network");
  }
  return write_file(session, conflist_path(), *content, 0644);
}

}  // namespace cloudos::steps
