#include "installer/sandbox/sandbox.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <format>

#include "core/base/text.hpp"
#include "core/os/file/file.hpp"
#include "core/os/process/process.hpp"
#include "installer/sandbox/boot.hpp"
#include "installer/sandbox/cgroup.hpp"
#include "installer/sandbox/disk.hpp"
#include "installer/sandbox/names.hpp"
#include "installer/sandbox/needs.hpp"
#include "installer/sandbox/network.hpp"
#include "installer/sandbox/root.hpp"
#include "installer/sandbox/state.hpp"
#include "installer/sandbox/vm.hpp"

namespace cloudos::sandbox {
namespace {

fs::path host_lock() { return "/run/lock/cloudos-sandbox.lock"; }
fs::path sandbox_lock(const std::string& name) { return std::format("/run/lock/cloudos-sandbox.{}.lock", name); }

Result<os::Lock> lock(const std::string& name) {
  return os::Lock::take(sandbox_lock(name), std::format("cloudos sandbox, process {}", ::getpid()), in(std::chrono::minutes{10}));
}
Result<os::Lock> lock_host() {
  return os::Lock::take(host_lock(), std::format("cloudos sandbox, process {}", ::getpid()), in(std::chrono::minutes{1}));
}

// Claims a name and a subnet, under the lock that all sandboxes share. Nothing of it exists on this computer before it is
// written down.
Result<Record> claim(const UpRequest& request) {
  CLOUDOS_ASSIGN(const auto held, lock_host());
  CLOUDOS_ASSIGN(auto found, load(request.name));
  if (!found) {
    CLOUDOS_ASSIGN(auto taken, taken_networks());
    for (const auto& other : names_here())
      if (const auto record = load(other); record && *record) taken.push_back((*record)->subnet.cidr());
    CLOUDOS_ASSIGN(auto subnet, choose_subnet(request.name, taken));
    found = Record{.name = request.name,
                   .kind = request.kind,
                   .release = request.release,
                   .shell = request.shell,
                   .subnet = std::move(subnet),
                   .machines = {}};
  }
  if (found->kind != request.kind)
    return fail(ErrorKind::usage, std::format("sandbox '{}' is made of {}", request.name, found->kind == Kind::vm ? "VMs" : "containers"),
                "take it down first, or choose another --name");
  CLOUDOS_TRY(grow(*found, request.masters, request.nodes, request.size));
  CLOUDOS_TRY(os::make_folders(folder(request.name), 0700));
  CLOUDOS_TRY(save(*found));
  CLOUDOS_TRY(raise_inotify());
  return std::move(*found);
}

Status make_key(const std::string& name) {
  const auto key = folder(name) / "id_ed25519";
  std::error_code error;
  if (fs::exists(key.string() + ".pub", error)) return {};
  fs::remove(key, error);
  CLOUDOS_TRY(os::must({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "cloudos-sandbox-" + name, "-f", key.string()}));
  return {};
}

// known_hosts (sshd(8)) of all machines, from the keys that were made with their disks.
Status write_known_hosts(const Record& record) {
  std::string text;
  for (const auto& machine : record.machines)
    for (const auto* type : {"ed25519", "ecdsa"}) {
      CLOUDOS_ASSIGN(const auto key, os::read_if_any(machine_folder(record.name, machine.name) / std::format("host_{}.pub", type)));
      if (key) text += std::format("{} {}", machine.address, *key);
    }
  return os::write_atomic(folder(record.name) / "known_hosts", text, 0644);
}

Status hand_out(const UpRequest& request) {
  const auto copy = [](const fs::path& from, const fs::path& to, mode_t mode) -> Status {
    CLOUDOS_ASSIGN(const auto text, os::read(from));
    return os::write_atomic(to, text, mode);
  };
  if (request.key_out) CLOUDOS_TRY(copy(folder(request.name) / "id_ed25519", *request.key_out, 0600));
  if (request.known_hosts_out) CLOUDOS_TRY(copy(folder(request.name) / "known_hosts", *request.known_hosts_out, 0644));
  return {};
}

fs::path log_of(const std::string& name, const std::string& machine) { return machine_folder(name, machine) / "console.log"; }

bool runs(const Cgroups& cgroups, const std::string& name, const std::string& machine) {
  return populated(find_groups(cgroups, group_name(name, machine)));
}

// A machine that stops while it boots is not waited for.
Status await_boot(const Record& record, const MachineRecord& machine, Deadline deadline) {
  CLOUDOS_ASSIGN(const auto cgroups, cgroups_here());
  for (;;) {
    auto up = await_sshd(machine.address, std::min(deadline, in(Milliseconds{2'000})));
    if (up) return {};
    const bool alive = runs(cgroups, record.name, machine.name);
    if (alive && std::chrono::steady_clock::now() < deadline) continue;
    const auto console = os::read_if_any(log_of(record.name, machine.name));
    const auto text = console && *console ? std::string(trim(**console)) : std::string{};
    const auto end = text.size() > 600 ? text.substr(text.size() - 600) : text;
    auto error = alive ? std::move(up).error() : Error{.message = machine.name + " stopped while it booted"};
    return fail(std::move(error).with(std::format("waiting for {}", machine.name)).advise("its console ends with: " + sanitise(end)));
  }
}

Result<Sandbox> look(const Record& record, const Cgroups& cgroups) {
  Sandbox sandbox{.name = record.name,
                  .kind = record.kind,
                  .release = record.release,
                  .subnet = record.subnet.cidr(),
                  .key = folder(record.name) / "id_ed25519",
                  .known_hosts = folder(record.name) / "known_hosts",
                  .escapes = escapes(record.name),
                  .machines = {}};
  for (const auto& machine : record.machines) {
    auto state = runs(cgroups, record.name, machine.name) ? MachineState::running : MachineState::stopped;
    if (state == MachineState::running && port_is_down(record.name, port_name(machine.name))) state = MachineState::partitioned;
    sandbox.machines.push_back(
        {.name = machine.name, .address = machine.address, .size = machine.size, .state = state, .log = log_of(record.name, machine.name)});
  }
  return sandbox;
}

struct Known {
  Record record;
  MachineRecord machine;
};

Result<Known> known(const std::string& name, const std::string& machine) {
  CLOUDOS_TRY(find(name).and_then([&](const Sandbox& sandbox) { return find_machine(sandbox, machine); }));
  CLOUDOS_ASSIGN(const auto record, load(name));
  for (const auto& one : record->machines)
    if (one.name == machine) return Known{.record = *record, .machine = one};
  return fail(ErrorKind::conflict, std::format("{} was taken down meanwhile", machine));
}

Status stop_machine(const std::string& name, const std::string& machine) {
  CLOUDOS_ASSIGN(const auto cgroups, cgroups_here());
  CLOUDOS_TRY(destroy_groups(cgroups, group_name(name, machine)));
  return await_detached(disk_of(machine_folder(name, machine)), in(Milliseconds{10'000}));
}

Status down_machine(const std::string& name, const std::string& machine) {
  CLOUDOS_ASSIGN(auto found, known(name, machine));
  CLOUDOS_TRY(stop_machine(name, machine));
  CLOUDOS_TRY(os::remove_tree(machine_folder(name, machine)));
  std::erase_if(found.record.machines, [&](const auto& one) { return one.name == machine; });
  CLOUDOS_TRY(save(found.record));
  return write_known_hosts(found.record);
}

// What only the last sandbox takes with it.
Status leave_host() {
  CLOUDOS_ASSIGN(const auto held, lock_host());
  if (!names_here().empty()) return {};
  CLOUDOS_TRY(put_back_inotify());
  // Made by systemd-nspawn and for it; only where nothing else is in them.
  ::rmdir("/run/systemd/nspawn");
  ::rmdir("/run/systemd");
  CLOUDOS_TRY(os::remove_tree(state_root()));
  ::unlink(host_lock().c_str());
  return {};
}

}  // namespace

std::string_view name(MachineState state) {
  switch (state) {
    case MachineState::running: return "running";
    case MachineState::partitioned: return "partitioned";
    case MachineState::stopped: break;
  }
  return "stopped";
}

Result<Sandbox> up(const UpRequest& asked, const Note& note) {
  CLOUDOS_TRY(check_name(asked.name));
  CLOUDOS_ASSIGN(const auto cgroups, cgroups_here());
  CLOUDOS_ASSIGN(auto request, check_request(asked, cgroups.unified));
  CLOUDOS_TRY(check_needs(request.kind));
  CLOUDOS_ASSIGN(const auto held, lock(request.name));
  CLOUDOS_ASSIGN(auto record, claim(request));
  request.release = record.release;  // machines that join are like those that are there
  CLOUDOS_TRY(make_key(record.name));
  CLOUDOS_ASSIGN(const auto root, ensure_root(request, note));
  if (record.kind == Kind::vm && record.accelerator.empty()) {
    CLOUDOS_ASSIGN(record.accelerator, prepare_vms(record.name, root, note));
    CLOUDOS_TRY(save(record));
  }
  CLOUDOS_TRY(make_network(record.name, record.subnet));
  for (const auto& machine : record.machines) {
    if (runs(cgroups, record.name, machine.name)) continue;
    CLOUDOS_ASSIGN(const auto image, ensure_image(root, machine.size.disk, note));
    note("starting " + machine.name);
    CLOUDOS_TRY(make_disk(record, machine, request, image));
    CLOUDOS_TRY_WITH(boot(record, machine), "starting " + machine.name);
  }
  CLOUDOS_TRY(write_known_hosts(record));
  const auto deadline = in(boot_time(record));
  for (const auto& machine : record.machines) CLOUDOS_TRY(await_boot(record, machine, deadline));
  CLOUDOS_TRY(hand_out(request));
  return look(record, cgroups);
}

Result<std::vector<Sandbox>> list() {
  CLOUDOS_ASSIGN(const auto cgroups, cgroups_here());
  std::vector<Sandbox> all;
  for (const auto& name : names_here()) {
    CLOUDOS_ASSIGN(const auto record, load(name));
    if (!record) continue;  // a crash before the first word was written: `down` removes its folder
    CLOUDOS_ASSIGN(auto sandbox, look(*record, cgroups));
    all.push_back(std::move(sandbox));
  }
  return all;
}

Result<Sandbox> find(const std::string& name) {
  CLOUDOS_TRY(check_name(name));
  CLOUDOS_ASSIGN(const auto record, load(name));
  if (record) {
    CLOUDOS_ASSIGN(const auto cgroups, cgroups_here());
    return look(*record, cgroups);
  }
  const auto names = names_here();
  const std::vector<std::string_view> candidates(names.begin(), names.end());
  const auto meant = nearest(name, candidates);
  return fail(ErrorKind::input, std::format("there is no sandbox '{}'", name),
              meant.empty() ? "make one with `cloudos sandbox up`" : std::format("did you mean '{}'?", meant));
}

Result<Machine> find_machine(const Sandbox& sandbox, const std::string& machine) {
  std::vector<std::string_view> candidates;
  for (const auto& one : sandbox.machines) {
    if (one.name == machine || one.address == machine) return one;
    candidates.push_back(one.name);
  }
  const auto meant = nearest(machine, candidates);
  return fail(ErrorKind::input, std::format("sandbox '{}' has no machine '{}'", sandbox.name, sanitise(machine)),
              meant.empty() ? "`cloudos sandbox list` shows them" : std::format("did you mean '{}'?", meant));
}

Status down(const std::string& name, const std::optional<std::string>& machine, const Note& note) {
  CLOUDOS_TRY(check_name(name));
  CLOUDOS_TRY(check_root());
  CLOUDOS_ASSIGN(const auto held, lock(name));
  if (machine) return down_machine(name, *machine);
  note("taking down sandbox " + name);
  CLOUDOS_ASSIGN(const auto cgroups, cgroups_here());
  CLOUDOS_TRY(destroy_groups(cgroups, group_name(name, "")));
  CLOUDOS_TRY(remove_network(name));
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder(name) / "machines", error)) {
    const auto disk = disk_of(entry.path());
    for (const auto& file : {disk, fs::path(disk.string() + ".part")}) CLOUDOS_TRY(await_detached(file, in(Milliseconds{10'000})));
  }
  CLOUDOS_TRY(os::remove_tree(folder(name)));
  CLOUDOS_TRY(leave_host());
  ::unlink(sandbox_lock(name).c_str());
  return {};
}

Status power_cut(const std::string& name, const std::string& machine) {
  CLOUDOS_ASSIGN(const auto found, known(name, machine));
  return stop_machine(name, found.machine.name);
}

Status start(const std::string& name, const std::string& machine) {
  CLOUDOS_ASSIGN(const auto held, lock(name));
  CLOUDOS_ASSIGN(const auto found, known(name, machine));
  CLOUDOS_ASSIGN(const auto cgroups, cgroups_here());
  CLOUDOS_TRY(make_network(name, found.record.subnet));
  if (!runs(cgroups, name, machine)) CLOUDOS_TRY_WITH(boot(found.record, found.machine), "starting " + machine);
  return await_boot(found.record, found.machine, in(boot_time(found.record)));
}

Status partition(const std::string& name, const std::string& machine) {
  CLOUDOS_ASSIGN(const auto found, known(name, machine));
  return set_port(name, port_name(found.machine.name), false);
}

Status heal(const std::string& name, const std::string& machine) {
  CLOUDOS_ASSIGN(const auto found, known(name, machine));
  return set_port(name, port_name(found.machine.name), true);
}

Argv ssh_command(const Sandbox& sandbox, const Machine& machine, const std::string& user, const Argv& command) {
  Argv argv{"ssh",
            "-i",
            sandbox.key.string(),
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "UserKnownHostsFile=" + sandbox.known_hosts.string(),
            "-o",
            "StrictHostKeyChecking=yes",
            "-o",
            "LogLevel=ERROR",
            "-l",
            user,
            machine.address};
  if (!command.words.empty()) {
    argv += "--";
    argv += quote(command);
  }
  return argv;
}

}  // namespace cloudos::sandbox
