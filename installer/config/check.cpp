#include "installer/config/check.hpp"

#include <algorithm>
#include <format>
#include <functional>

#include "core/base/dns.hpp"
#include "core/base/ip.hpp"
#include "core/base/text.hpp"

namespace cloudos::config {
namespace {

using model::Finding;
using model::Role;

void error(Findings& findings, std::string code, std::string where, std::string message, std::string remedy) {
  findings.push_back({Finding::Severity::error, std::move(code), std::move(where), std::move(message), std::move(remedy)});
}

template <class T>
std::string where_of(const Maybe<T>& given, std::string_view key) {
  return given ? given->where() : "default " + std::string(key);
}

// A usable IPv4 network for the cluster, with its prefix length in [min, max].
std::optional<Cidr> check_network(const std::string& text, const std::string& where, int min, int max, Findings& findings) {
  const auto cidr = Cidr::parse(text);
  if (!cidr) {
    error(findings, "bad-cidr", where, cidr.error().message, "write a network as 10.244.0.0/16");
    return std::nullopt;
  }
  if (cidr->address.v6) {
    error(findings, "ipv6-cluster", where, std::format("'{}' is an IPv6 network; pods and services are IPv4", text),
          "give an IPv4 network; machines may still be reached over IPv6");
    return std::nullopt;
  }
  if (cidr->network() != cidr->address)
    error(findings, "bad-cidr", where, std::format("'{}' has bits set beyond its prefix", text),
          std::format("write {}/{}", cidr->network().text(), cidr->bits));
  if (cidr->bits < min || cidr->bits > max)
    error(findings, "bad-cidr", where, std::format("'{}' has a prefix length of {}, expected {} to {}", text, cidr->bits, min, max),
          "choose a network of another size");
  return *cidr;
}

void check_labels(const Placed& placed, Findings& findings) {
  static constexpr auto remedy =
      "at most 63 characters of A-Z a-z 0-9 - _ . with a letter or digit at both ends; a key may have a DNS prefix and '/'";
  const auto pair = [&](std::string_view what, const std::string& key, const std::string& value) {
    if (!is_label_key(key))
      error(findings, "bad-label", placed.where, std::format("'{}' is not a key for a {}", sanitise(key), what), remedy);
    if (!is_label_value(value))
      error(findings, "bad-label", placed.where, std::format("'{}' is not a value for a {}", sanitise(value), what), remedy);
  };
  for (const auto& [key, value] : placed.machine.labels) pair("label", key, value);
  for (const auto& taint : placed.machine.taints) pair("taint", taint.key, taint.value);
}

// SHA256: and 43 base64 digits without padding, as ssh-keygen -l prints.
bool fingerprint(std::string_view text) {
  constexpr std::string_view prefix = "SHA256:";
  return text.starts_with(prefix) && text.size() == prefix.size() + 43 && std::ranges::all_of(text.substr(prefix.size()), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
         });
}

void check_one(const Placed& placed, const model::ClusterConfig& config, Findings& findings) {
  const auto& m = placed.machine;
  if (!m.hostname.empty())
    if (const auto why = why_not_dns_name(m.hostname); !why.empty())
      error(findings, "bad-hostname", placed.where, std::format("the hostname '{}' {}", sanitise(m.hostname), why),
            "a-z, 0-9 and '-' in parts separated by dots");
  if (!m.address.empty())
    if (const auto ip = Ip::parse(m.address); !ip || ip->v6 || ip->loopback())
      error(findings, "bad-address", placed.where,
            std::format("'{}' is not an IPv4 address that other machines can reach", sanitise(m.address)),
            "give the address that this machine has in the cluster's network");
  if (!m.host_key.empty() && !fingerprint(m.host_key))
    error(findings, "bad-host-key", placed.where, std::format("'{}' is not a host key's fingerprint", sanitise(m.host_key)),
          "write it as ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub prints it: SHA256:…");
  if (m.key.starts_with('-'))
    error(findings, "bad-key", placed.where, std::format("the key file '{}' begins with '-'", sanitise(m.key)), "write ./ before it");
  for (const auto& [name, text] : {std::pair("pod_cidr", config.pod_cidr), std::pair("service_cidr", config.service_cidr)}) {
    const auto cidr = Cidr::parse(text);
    for (const auto& address : {m.host, m.address})
      if (const auto ip = Ip::parse(address); cidr && ip && cidr->contains(*ip)) {
        error(findings, "cidr-overlap", placed.where, std::format("the machine's address {} lies in {} {}", address, name, text),
              std::format("choose a {} that no machine uses", name));
        break;
      }
  }
  check_labels(placed, findings);
}

// Two machines that share what must be their own.
void check_unique(const std::vector<Placed>& machines, const std::string& code, std::string_view what,
                  const std::function<std::string(const model::MachineConfig&)>& value, Findings& findings) {
  std::map<std::string, const Placed*> seen;
  for (const auto& placed : machines) {
    const auto key = value(placed.machine);
    if (key.empty()) continue;
    const auto [first, fresh] = seen.emplace(key, &placed);
    if (fresh) continue;
    const auto& other = *first->second;
    if (code == "duplicate-machine" && other.machine.role != placed.machine.role)
      error(findings, "two-roles", placed.where, std::format("{} is a master (or node) here and the other at {}", key, other.where),
            "a machine has one role; masters can run workloads too when their taint is removed");
    else
      error(findings, code, placed.where, std::format("the {} {} is given twice, first at {}", what, key, other.where),
            "name each machine once");
  }
}

}  // namespace

void check_networks(const Draft& merged, const model::ClusterConfig& config, Findings& findings) {
  const auto pod_where = where_of(merged.pod_cidr, "pod_cidr");
  const auto service_where = where_of(merged.service_cidr, "service_cidr");
  // Each node gets a /24 of the pod network. kube-apiserver refuses service networks of more than 20 host bits.
  const auto pods = check_network(config.pod_cidr, pod_where, 8, 24, findings);
  const auto services = check_network(config.service_cidr, service_where, 12, 28, findings);
  if (pods && services && pods->overlaps(*services))
    error(findings, "cidr-overlap", merged.pod_cidr ? pod_where : service_where,
          std::format("pod_cidr {} and service_cidr {} overlap", config.pod_cidr, config.service_cidr),
          "choose networks that have no address in common");
  if (pods && pods->bits >= 8 && pods->bits <= 24 && config.machines.size() > (std::size_t{1} << (24 - pods->bits)))
    error(findings, "cidr-too-small", pod_where,
          std::format("pod_cidr {} has room for {} nodes (a /24 each), the list has {}", config.pod_cidr,
                      std::size_t{1} << (24 - pods->bits), config.machines.size()),
          "choose a larger network, for example 10.244.0.0/16");
}

void check_names(const Draft& merged, Findings& findings) {
  if (merged.name)
    if (const auto why = why_not_dns_label(merged.name->value); !why.empty())
      error(findings, "bad-name", merged.name->where(), std::format("the cluster's name '{}' {}", sanitise(merged.name->value), why),
            "a-z, 0-9 and '-', at most 63 characters");
  if (merged.dns_domain)
    if (const auto why = why_not_dns_name(merged.dns_domain->value); !why.empty())
      error(findings, "bad-name", merged.dns_domain->where(),
            std::format("the DNS domain '{}' {}", sanitise(merged.dns_domain->value), why), "a name such as cluster.local");
  if (merged.endpoint) {
    const auto endpoint = parse_hosts(merged.endpoint->value);
    if (!endpoint)
      error(findings, "bad-endpoint", merged.endpoint->where(), endpoint.error().message,
            "write api.example.com, 10.0.0.100 or either with :PORT");
    else if (endpoint->size() != 1 || !endpoint->front().user.empty())
      error(findings, "bad-endpoint", merged.endpoint->where(), std::format("'{}' is not one host", sanitise(merged.endpoint->value)),
            "write api.example.com, 10.0.0.100 or either with :PORT");
  }
  if (merged.user)
    if (const auto wrong = check_user(merged.user->value))
      error(findings, wrong->code, merged.user->where(), wrong->message, wrong->remedy);
}

void check_machines(const std::vector<Placed>& machines, const model::ClusterConfig& config, Findings& findings) {
  for (const auto& placed : machines) check_one(placed, config, findings);
  check_unique(machines, "duplicate-machine", "machine", [](const auto& m) { return m.id.value; }, findings);
  check_unique(machines, "duplicate-hostname", "hostname", [](const auto& m) { return m.hostname; }, findings);
  check_unique(machines, "duplicate-address", "address", [](const auto& m) { return m.address; }, findings);
}

void check_masters(const std::vector<Placed>& machines, Findings& findings) {
  const auto masters = std::ranges::count(machines, Role::master, [](const Placed& p) { return p.machine.role; });
  if (masters == 0)
    error(findings, "no-masters", "--masters", machines.empty() ? "no machines are given" : "no machine is a master",
          "name at least one: --masters 10.0.0.1, or role = \"master\" in the file");
  if (masters > 0 && masters % 2 == 0)
    findings.push_back(
        {Finding::Severity::warning, "even-masters", "--masters",
         std::format("{} masters bear the loss of {}, no more than {} do: etcd needs a majority, so an even one adds no safety", masters,
                     (masters - 1) / 2, masters - 1),
         std::format("use {} or {} masters", masters - 1, masters + 1)});
}

}  // namespace cloudos::config
