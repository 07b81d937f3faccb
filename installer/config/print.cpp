#include <format>

#include "core/toml_reader/reader.hpp"
#include "installer/config/config.hpp"

namespace cloudos::config {
namespace {

using toml_reader::in_quotes;

std::string line(std::string_view key, const std::string& value, const std::string& origin) {
  const auto assignment = std::format("{} = {}", key, value);
  return std::format("{:<44}# {}\n", assignment, origin);
}

std::string origin_of(const Loaded& loaded, const std::string& key) {
  const auto found = loaded.origin.find(key);
  return found == loaded.origin.end() ? "default" : found->second;
}

std::string print_machine(const model::MachineConfig& m, const std::string& origin) {
  std::string out = std::format("\n[[machines]]{:32}# {}\nhost = {}\nrole = \"{}\"\n", "", origin, in_quotes(m.host),
                                m.role == model::Role::master ? "master" : "node");
  if (!m.user.empty()) out += std::format("user = {}\n", in_quotes(m.user));
  if (m.port != 22) out += std::format("port = {}\n", m.port);
  if (!m.key.empty()) out += std::format("key = {}\n", in_quotes(m.key));
  if (!m.host_key.empty()) out += std::format("host_key = {}\n", in_quotes(m.host_key));
  if (!m.hostname.empty()) out += std::format("hostname = {}\n", in_quotes(m.hostname));
  if (!m.address.empty()) out += std::format("address = {}\n", in_quotes(m.address));
  std::string list;
  for (const auto& [key, value] : m.labels) list += std::format("{}{} = {}", list.empty() ? "" : ", ", in_quotes(key), in_quotes(value));
  if (!list.empty()) out += std::format("labels = {{ {} }}\n", list);
  list.clear();
  for (const auto& taint : m.taints)
    list += std::format("{}{}", list.empty() ? "" : ", ",
                        in_quotes(std::format("{}{}{}:{}", taint.key, taint.value.empty() ? "" : "=", taint.value, taint.effect)));
  if (!list.empty()) out += std::format("taints = [{}]\n", list);
  return out;
}

}  // namespace

std::string print(const Loaded& loaded) {
  const auto& config = loaded.config;
  std::string out = std::format("schema = {}\n", model::ClusterConfig::schema);
  const auto add = [&](const std::string& key, const std::string& value) {
    if (!value.empty()) out += line(key, in_quotes(value), origin_of(loaded, key));
  };
  add("name", config.name);
  add("endpoint", config.endpoint);
  add("pod_cidr", config.pod_cidr);
  add("service_cidr", config.service_cidr);
  add("dns_domain", config.dns_domain);
  if (!config.default_user.empty()) out += "\n[ssh]\n" + line("user", in_quotes(config.default_user), origin_of(loaded, "ssh.user"));
  for (const auto& machine : config.machines)
    out += print_machine(machine, origin_of(loaded, std::format("machines[{}]", machine.id.value)));
  return out;
}

}  // namespace cloudos::config
