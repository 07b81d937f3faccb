#include "installer/sandbox/state.hpp"

#include <fcntl.h>

#include <algorithm>
#include <filesystem>
#include <format>
#include <nlohmann/json.hpp>

#include "core/base/text.hpp"
#include "core/os/file/file.hpp"
#include "installer/sandbox/names.hpp"

namespace cloudos::sandbox {
namespace {

using nlohmann::json;

constexpr int version = 1;
constexpr unsigned most_masters = 89, most_nodes = 150;  // .11 to .99, .101 to .250
constexpr std::uint64_t inotify_instances = 8192;
constexpr auto inotify_file = "/proc/sys/fs/inotify/max_user_instances";

fs::path record_file(const std::string& name) { return folder(name) / "sandbox.json"; }
fs::path inotify_record() { return state_root() / "max_user_instances"; }

void add(Record& record, const std::string& name, unsigned host, const MachineSize& size) {
  if (std::ranges::any_of(record.machines, [&](const auto& machine) { return machine.name == name; })) return;
  record.machines.push_back({.name = name, .address = record.subnet.address(host), .size = size});
}

Status put_inotify(std::string_view value) {
  CLOUDOS_ASSIGN(const auto fd, os::open(inotify_file, O_WRONLY));
  return os::write_all(fd.get(), std::as_bytes(std::span(value)));
}

Result<std::uint64_t> inotify_now() {
  CLOUDOS_ASSIGN(const auto text, os::read(inotify_file));
  return parse_number(trim(text), 0, ~std::uint64_t{0});
}

}  // namespace

std::string encode(const Record& record) {
  auto machines = json::array();
  for (const auto& machine : record.machines)
    machines.push_back({{"name", machine.name},
                        {"address", machine.address},
                        {"cpus", machine.size.cpus},
                        {"memory", machine.size.memory.count},
                        {"disk", machine.size.disk.count}});
  const json all = {{"version", version},
                    {"name", record.name},
                    {"kind", record.kind == Kind::vm ? "vm" : "container"},
                    {"release", record.release},
                    {"shell", record.shell},
                    {"subnet", record.subnet.prefix},
                    {"accelerator", record.accelerator},
                    {"machines", machines}};
  return all.dump(2) + "\n";
}

Result<Record> decode(std::string_view text) {
  try {
    const auto all = json::parse(text);
    if (const auto found = all.at("version").get<int>(); found != version)
      return fail(ErrorKind::input, std::format("the sandbox's record has version {}, this program reads {}", found, version));
    Record record{.name = all.at("name").get<std::string>(),
                  .kind = all.at("kind").get<std::string>() == "vm" ? Kind::vm : Kind::container,
                  .release = all.at("release").get<std::string>(),
                  .shell = all.at("shell").get<std::string>(),
                  .subnet = {.prefix = all.at("subnet").get<std::string>()},
                  .machines = {},
                  .accelerator = all.value("accelerator", std::string{})};
    for (const auto& machine : all.at("machines"))
      record.machines.push_back({.name = machine.at("name").get<std::string>(),
                                 .address = machine.at("address").get<std::string>(),
                                 .size = {.cpus = machine.at("cpus").get<double>(),
                                          .memory = {machine.at("memory").get<std::uint64_t>()},
                                          .disk = {machine.at("disk").get<std::uint64_t>()}}});
    return record;
  } catch (const json::exception& error) {
    return fail(ErrorKind::input, std::format("the sandbox's record cannot be read: {}", sanitise(error.what())));
  }
}

Status grow(Record& record, unsigned masters, unsigned nodes, const MachineSize& size) {
  if (masters > most_masters || nodes > most_nodes)
    return fail(ErrorKind::usage, std::format("a sandbox has at most {} masters and {} nodes", most_masters, most_nodes));
  for (unsigned i = 1; i <= masters; ++i) add(record, std::format("master-{}", i), 10 + i, size);
  for (unsigned i = 1; i <= nodes; ++i) add(record, std::format("node-{}", i), 100 + i, size);
  return {};
}

Result<std::optional<Record>> load(const std::string& name) {
  CLOUDOS_ASSIGN(const auto text, os::read_if_any(record_file(name)));
  if (!text) return std::nullopt;
  auto record = decode(*text);
  if (!record)
    return fail(std::move(record).error().with("reading " + record_file(name).string()).advise("`cloudos sandbox down` removes it"));
  return std::move(*record);
}

Status save(const Record& record) { return os::write_atomic(record_file(record.name), encode(record), 0600); }

std::vector<std::string> names_here() {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(state_root(), error))
    if (entry.is_directory(error)) names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

Status raise_inotify() {
  CLOUDOS_ASSIGN(const auto now, inotify_now());
  if (now >= inotify_instances) return {};
  CLOUDOS_TRY(os::write_atomic(inotify_record(), std::to_string(now), 0600));
  return put_inotify(std::to_string(inotify_instances));
}

Status put_back_inotify() {
  CLOUDOS_ASSIGN(const auto before, os::read_if_any(inotify_record()));
  if (!before) return {};
  CLOUDOS_ASSIGN(const auto now, inotify_now());
  if (now == inotify_instances) CLOUDOS_TRY(put_inotify(trim(*before)));
  return os::remove_tree(inotify_record());
}

}  // namespace cloudos::sandbox
