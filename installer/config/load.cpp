#include <algorithm>
#include <format>

#include "core/base/text.hpp"
#include "core/os/file/file.hpp"
#include "installer/config/check.hpp"
#include "installer/config/config.hpp"
#include "installer/config/secret_file.hpp"

namespace cloudos::config {
namespace {

using model::MachineConfig;
using model::Role;

constexpr std::size_t max_file = 1U << 20;

Draft read_file(const std::filesystem::path& path, Findings& findings) {
  const auto text = os::read(path, max_file);
  if (!text) {
    findings.push_back(
        {model::Finding::Severity::error, "cannot-read", path.string(), text.error().text(), "check the path given with --config"});
    return {};
  }
  Draft draft = read_document(*text, path.string(), findings);
  const auto folder = path.parent_path();
  for (auto* file : {&draft.identity, &draft.password_file, &draft.sudo_password_file})
    if (*file) (*file)->value = expand_path((*file)->value, folder);
  for (auto& machine : draft.machines)
    if (machine.identity) machine.identity->value = expand_path(machine.identity->value, folder);
  return draft;
}

void read_list(const std::vector<std::string>& values, Role role, const std::string& flag, Draft& draft, Findings& findings) {
  for (const auto& value : values)
    for (const auto& item : split(value, ',')) {
      auto hosts = parse_hosts(item);
      if (hosts) draft.machines.push_back({.hosts = std::move(*hosts), .origin = flag, .key = {}, .role = role});
      else findings.push_back({model::Finding::Severity::error, hosts.error().code, flag, hosts.error().message, hosts.error().remedy});
    }
}

Draft read_flags(const Flags& flags, Findings& findings) {
  Draft draft;
  const auto take = [](const auto& flag, std::string name, auto& target) {
    using Value = decltype(target->value);
    if (flag) target = {Value(*flag), std::move(name), ""};
  };
  take(flags.name, "--name", draft.name);
  take(flags.endpoint, "--endpoint", draft.endpoint);
  take(flags.pod_cidr, "--pod-cidr", draft.pod_cidr);
  take(flags.service_cidr, "--service-cidr", draft.service_cidr);
  take(flags.user, "--user", draft.user);
  take(flags.key, "--key", draft.identity);
  take(flags.port, "--port", draft.port);
  take(flags.password_file, "--password-file", draft.password_file);
  take(flags.sudo_password_file, "--sudo-password-file", draft.sudo_password_file);
  for (auto* file : {&draft.identity, &draft.password_file, &draft.sudo_password_file})
    if (*file) (*file)->value = expand_path((*file)->value, "");
  if (flags.port == 0)
    findings.push_back({model::Finding::Severity::error, "bad-port", "--port", "0 is not a port", "ports are numbers from 1 to 65535"});
  read_list(flags.masters, Role::master, "--masters", draft, findings);
  read_list(flags.nodes, Role::node, "--nodes", draft, findings);
  return draft;
}

// The scalar values of both, flags first. Machines are merged by merge_machines().
Draft overlay(const Draft& flags, const Draft& file) {
  const auto first = [](const auto& a, const auto& b) { return a ? a : b; };
  Draft merged;
  merged.name = first(flags.name, file.name);
  merged.endpoint = first(flags.endpoint, file.endpoint);
  merged.pod_cidr = first(flags.pod_cidr, file.pod_cidr);
  merged.service_cidr = first(flags.service_cidr, file.service_cidr);
  merged.dns_domain = first(flags.dns_domain, file.dns_domain);
  merged.user = first(flags.user, file.user);
  merged.identity = first(flags.identity, file.identity);
  merged.port = first(flags.port, file.port);
  merged.password_file = first(flags.password_file, file.password_file);
  merged.sudo_password_file = first(flags.sudo_password_file, file.sudo_password_file);
  return merged;
}

template <class T>
T pick(T fallback, std::initializer_list<const Maybe<T>*> by_rank) {
  for (const auto* given : by_rank)
    if (*given) return (*given)->value;
  return fallback;
}

void name_it(MachineConfig& machine) {
  machine.id = MachineId{machine.port == 22           ? machine.host
                         : machine.host.contains(':') ? std::format("[{}]:{}", machine.host, machine.port)
                                                      : std::format("{}:{}", machine.host, machine.port)};
}

// The machines of one list, each with its own values, below what a flag says and above the file's [ssh].
std::vector<Placed> place(const Draft& list, const Draft& flags, const Draft& file) {
  std::vector<Placed> placed;
  for (const auto& draft : list.machines)
    for (const auto& host : draft.hosts) {
      MachineConfig m{.host = host.host, .role = draft.role, .labels = draft.labels, .taints = draft.taints};
      m.user = !host.user.empty() ? host.user : pick<std::string>("", {&flags.user, &draft.user, &file.user});
      m.port = host.port ? *host.port : pick<std::uint16_t>(22, {&flags.port, &draft.port, &file.port});
      m.key = pick<std::string>("", {&flags.identity, &draft.identity, &file.identity});
      m.host_key = pick<std::string>("", {&draft.host_key});
      m.hostname = pick<std::string>("", {&draft.hostname});
      m.address = pick<std::string>("", {&draft.address});
      name_it(m);
      placed.push_back({std::move(m), draft.where()});
    }
  return placed;
}

// A machine that a flag names takes what the file says of the same host, except its role and what the flag wrote out.
void adopt(Placed& flagged, const HostSpec& written, const std::vector<Placed>& in_file) {
  const auto same = std::ranges::find_if(
      in_file, [&](const Placed& p) { return p.machine.host == written.host && (!written.port || p.machine.port == *written.port); });
  if (same == in_file.end()) return;
  const auto named = flagged.machine;
  flagged.machine = same->machine;
  flagged.machine.role = named.role;
  if (!written.user.empty()) flagged.machine.user = written.user;
  name_it(flagged.machine);
}

std::vector<Placed> merge_machines(const Draft& flags, const Draft& file, const Flags& given) {
  const auto in_file = place(file, flags, file);
  auto all = place(flags, flags, file);
  std::size_t index = 0;
  for (const auto& draft : flags.machines)
    for (const auto& host : draft.hosts) adopt(all[index++], host, in_file);
  const auto flagged = all;
  // A list given by flag replaces the file's list of that role.
  for (const auto& placed : in_file) {
    const bool replaced = placed.machine.role == Role::master ? !given.masters.empty() : !given.nodes.empty();
    const bool named = std::ranges::contains(flagged, placed.machine.id, [](const Placed& p) { return p.machine.id; });
    if (!replaced && !named) all.push_back(placed);
  }
  std::ranges::stable_partition(all, [](const Placed& p) { return p.machine.role == Role::master; });
  return all;
}

void note_origins(const Draft& merged, const std::vector<Placed>& machines, Loaded& loaded) {
  const auto note = [&](std::string_view key, const auto& given) { loaded.origin[std::string(key)] = given ? given->origin : "default"; };
  note("name", merged.name);
  note("endpoint", merged.endpoint);
  note("pod_cidr", merged.pod_cidr);
  note("service_cidr", merged.service_cidr);
  note("dns_domain", merged.dns_domain);
  note("ssh.user", merged.user);
  note("ssh.key", merged.identity);
  note("ssh.port", merged.port);
  for (const auto& placed : machines) loaded.origin[std::format("machines[{}]", placed.machine.id.value)] = placed.where;
}

void read_secrets(const Draft& merged, const Draft& flags, const Draft& file, Loaded& loaded, Findings& findings) {
  if (merged.password_file) loaded.password = read_secret_file(*merged.password_file, findings);
  if (merged.sudo_password_file) loaded.sudo_password = read_secret_file(*merged.sudo_password_file, findings);
  if (merged.identity) check_key_file(*merged.identity, findings);
  if (flags.identity) return;
  for (const auto& machine : file.machines)
    if (machine.identity) check_key_file(*machine.identity, findings);
}

}  // namespace

model::Checked<Loaded> load(const Flags& flags) {
  Findings findings;
  const Draft from_flags = read_flags(flags, findings);
  const Draft from_file = flags.file ? read_file(*flags.file, findings) : Draft{};
  const Draft merged = overlay(from_flags, from_file);
  // Lists that could not be read are not also empty.
  const bool lists_read = findings.empty();

  Loaded loaded;
  auto& config = loaded.config;
  config.name = pick(config.name, {&merged.name});
  config.endpoint = pick(config.endpoint, {&merged.endpoint});
  config.pod_cidr = pick(config.pod_cidr, {&merged.pod_cidr});
  config.service_cidr = pick(config.service_cidr, {&merged.service_cidr});
  config.dns_domain = pick(config.dns_domain, {&merged.dns_domain});
  config.default_user = pick(config.default_user, {&merged.user});
  const auto machines = merge_machines(from_flags, from_file, flags);
  for (const auto& placed : machines) config.machines.push_back(placed.machine);

  check_names(merged, findings);
  check_networks(merged, config, findings);
  check_machines(machines, config, findings);
  if (lists_read) check_masters(machines, findings);
  read_secrets(merged, from_flags, from_file, loaded, findings);
  note_origins(merged, machines, loaded);
  const bool broken = std::ranges::any_of(findings, [](const auto& f) { return f.severity == model::Finding::Severity::error; });
  if (broken) return std::unexpected(std::move(findings));
  loaded.warnings = std::move(findings);
  return loaded;
}

}  // namespace cloudos::config
