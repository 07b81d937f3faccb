#include <algorithm>
#include <array>
#include <format>
#include <limits>

#include "core/base/text.hpp"
#include "core/toml_reader/reader.hpp"
#include "installer/config/draft.hpp"

namespace cloudos::config {
namespace {

using toml_reader::Located;
using toml_reader::TableReader;
using toml_reader::type_name;

constexpr std::array<std::string_view, 8> root_keys = {"schema",       "name",       "endpoint", "pod_cidr",
                                                       "service_cidr", "dns_domain", "ssh",      "machines"};
constexpr std::array<std::string_view, 5> ssh_keys = {"user", "port", "key", "password_file", "sudo_password_file"};
constexpr std::array<std::string_view, 10> machine_keys = {"host",     "role",     "user",    "port",   "key",
                                                           "host_key", "hostname", "address", "labels", "taints"};
constexpr std::array<std::string_view, 2> roles = {"master", "node"};
constexpr std::array<std::string_view, 3> effects = {"NoSchedule", "PreferNoSchedule", "NoExecute"};

Maybe<std::uint16_t> read_port(TableReader& table) {
  const auto port = table.integer("port", 1, 65535);
  if (!port) return std::nullopt;
  return Given<std::uint16_t>{static_cast<std::uint16_t>(port->value), port->origin, port->key};
}

void read_role(TableReader& table, MachineDraft& machine) {
  const auto role = table.text("role");
  if (!role) return;
  machine.role = role->value == "master" ? model::Role::master : model::Role::node;
  if (std::ranges::contains(roles, role->value)) return;
  const auto close = nearest(role->value, roles);
  table.refuse("role", "bad-role",
               std::format("found '{}'{}", sanitise(role->value), close.empty() ? "" : std::format("; did you mean '{}'?", close)),
               "write role = \"master\" or role = \"node\"");
}

void read_labels(TableReader& table, MachineDraft& machine, Located& findings) {
  const auto* labels = table.table("labels");
  if (!labels) return;
  TableReader reader(*labels, table.name("labels"), findings);
  for (auto&& [key, node] : *labels)
    if (const auto* value = node.as_string()) machine.labels[std::string(key.str())] = value->get();
    else
      reader.refuse(key.str(), "wrong-type", std::format("found {}, expected a string", type_name(node)),
                    "put the label's value in quotes");
}

// kubectl's own notation: KEY[=VALUE]:EFFECT.
std::optional<model::Taint> parse_taint(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos || !std::ranges::contains(effects, text.substr(colon + 1))) return std::nullopt;
  model::Taint taint{.effect = std::string(text.substr(colon + 1))};
  const auto pair = text.substr(0, colon);
  taint.key = pair.substr(0, pair.find('='));
  if (const auto equals = pair.find('='); equals != std::string_view::npos) taint.value = pair.substr(equals + 1);
  return taint.key.empty() ? std::nullopt : std::optional(taint);
}

void read_taints(TableReader& table, MachineDraft& machine, Located& findings) {
  const auto* taints = table.array("taints");
  if (!taints) return;
  std::size_t index = 0;
  for (auto&& node : *taints) {
    const auto key = std::format("{}[{}]", table.name("taints"), index++);
    const auto* text = node.as_string();
    if (!text) {
      findings.add(node.source().begin, key, "wrong-type", std::format("found {}, expected a string", type_name(node)),
                   "write \"key=value:NoSchedule\"");
      continue;
    }
    if (auto taint = parse_taint(text->get())) machine.taints.push_back(std::move(*taint));
    else
      findings.add(node.source().begin, key, "bad-taint", std::format("'{}' is not a taint", sanitise(text->get())),
                   "write \"key=value:EFFECT\" with the effect NoSchedule, PreferNoSchedule or NoExecute");
  }
}

void read_hosts(TableReader& table, MachineDraft& machine) {
  const auto host = table.text("host");
  if (!host) {
    // A host of the wrong type has its finding already.
    if (!table.has("host")) table.refuse("", "missing-key", "a machine without 'host'", "add host = \"10.0.0.4\"");
    return;
  }
  if (host->value.contains(',')) {
    table.refuse("host", "bad-host", "found a list, expected one host or one range", "write a [[machines]] entry for each");
    return;
  }
  auto hosts = parse_hosts(host->value);
  if (!hosts) {
    table.refuse("host", hosts.error().code, hosts.error().message, hosts.error().remedy);
    return;
  }
  machine.hosts = std::move(*hosts);
}

void refuse_for_ranges(TableReader& table, MachineDraft& machine) {
  if (machine.hosts.size() < 2) return;
  const auto refuse = [&](std::string_view key, Maybe<std::string>& value) {
    if (!value) return;
    table.refuse(key, "range-with-own-value",
                 std::format("'{}' belongs to one machine, but the host is a range of {}", key, machine.hosts.size()),
                 "write an entry of its own for that machine");
    value.reset();
  };
  refuse("hostname", machine.hostname);
  refuse("address", machine.address);
  refuse("host_key", machine.host_key);
}

MachineDraft read_machine(const toml::table& node, std::size_t index, Located& findings) {
  TableReader table(node, std::format("machines[{}]", index), findings);
  table.only(machine_keys);
  MachineDraft machine{.origin = findings.origin(node.source().begin), .key = std::format("machines[{}]", index)};
  read_hosts(table, machine);
  read_role(table, machine);
  machine.user = table.text("user");
  if (machine.user)
    if (auto wrong = check_user(machine.user->value)) table.refuse("user", wrong->code, wrong->message, wrong->remedy);
  machine.port = read_port(table);
  machine.identity = table.text("key");
  machine.host_key = table.text("host_key");
  machine.hostname = table.text("hostname");
  machine.address = table.text("address");
  read_labels(table, machine, findings);
  read_taints(table, machine, findings);
  refuse_for_ranges(table, machine);
  return machine;
}

void read_machines(TableReader& root, Draft& draft, Located& findings) {
  const auto* machines = root.array("machines");
  if (!machines) return;
  std::size_t index = 0;
  for (auto&& node : *machines) {
    if (const auto* table = node.as_table()) draft.machines.push_back(read_machine(*table, index, findings));
    else
      findings.add(node.source().begin, std::format("machines[{}]", index), "wrong-type",
                   std::format("found {}, expected a table", type_name(node)), "write [[machines]] and host = \"…\" below it");
    ++index;
  }
}

void read_ssh(TableReader& root, Draft& draft, Located& findings) {
  const auto* node = root.table("ssh");
  if (!node) return;
  TableReader ssh(*node, "ssh", findings);
  ssh.only(ssh_keys);
  draft.user = ssh.text("user");
  draft.port = read_port(ssh);
  draft.identity = ssh.text("key");
  draft.password_file = ssh.text("password_file");
  draft.sudo_password_file = ssh.text("sudo_password_file");
}

void read_root(TableReader& root, Draft& draft, Located& findings) {
  root.only(root_keys);
  if (const auto schema = root.integer("schema", 1, std::numeric_limits<std::int64_t>::max());
      schema && schema->value > model::ClusterConfig::schema)
    root.refuse("schema", "unsupported-schema",
                std::format("found schema {}, this cloudos reads schema {}", schema->value, model::ClusterConfig::schema),
                "use the cloudos that the file was written for, or a newer one");
  draft.name = root.text("name");
  draft.endpoint = root.text("endpoint");
  draft.pod_cidr = root.text("pod_cidr");
  draft.service_cidr = root.text("service_cidr");
  draft.dns_domain = root.text("dns_domain");
  read_ssh(root, draft, findings);
  read_machines(root, draft, findings);
}

}  // namespace

Draft read_document(std::string_view text, std::string_view name, Findings& findings) {
  Located located{std::string(name)};
  Draft draft;
  toml_reader::read_document(text, name, located, [&](TableReader& root) { read_root(root, draft, located); });
  located.drain_into(findings);
  return draft;
}

}  // namespace cloudos::config
