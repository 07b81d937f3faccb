#include "installer/sandbox/vm.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <format>
#include <thread>

#include "core/os/file/file.hpp"
#include "core/os/process/process.hpp"
#include "installer/sandbox/names.hpp"

namespace cloudos::sandbox {
namespace {

constexpr auto console = "console=ttyS0";
constexpr Milliseconds probe_time{8'000};  // a kernel that KVM runs greets within one second

fs::path kernel_of(const std::string& name) { return folder(name) / "vmlinuz"; }
fs::path initrd_of(const std::string& name) { return folder(name) / "initrd.img"; }

Status copy_newest(const fs::path& boot, std::string_view prefix, const fs::path& to) {
  std::error_code error;
  fs::path newest;
  for (const auto& entry : fs::directory_iterator(boot, error))
    if (entry.path().filename().string().starts_with(prefix)) newest = std::max(newest, entry.path());
  if (newest.empty()) return fail(ErrorKind::failed, std::format("the root file system has no {}* in {}", prefix, boot.string()));
  fs::copy_file(newest, to, fs::copy_options::overwrite_existing, error);
  return error ? Status(fail(ErrorKind::io, std::format("copy {}: {}", newest.string(), error.message()))) : Status{};
}

// One thread for all emulated CPUs: with a thread each, a CPU may run code that another one has just patched, and Linux patches
// itself all the time (static keys). Seen as "Oops: int3" in __ip_local_out, and with kubelet's kernel.panic_on_oops=1 as a restart.
// Translated code takes a GiB by default, which the machine's control group has no room for (qemu_overhead).
constexpr auto emulated = "tcg,thread=single,tb-size=512";

Argv qemu(const std::string& accelerator, const std::string& name) {
  return {"qemu-system-x86_64",
          "-nodefaults",
          "-no-user-config",
          "-display",
          "none",
          "-serial",
          "stdio",
          "-machine",
          "q35",
          "-accel",
          accelerator == "tcg" ? emulated : accelerator,
          "-cpu",
          "max",
          "-kernel",
          kernel_of(name).string()};
}

// The kernel's own first words are the only sign that counts.
bool boots_with_kvm(const std::string& name) {
  if (::access("/dev/kvm", R_OK | W_OK) != 0) return false;
  auto argv = qemu("kvm", name);
  for (const auto* word : {"-m", "256", "-no-reboot", "-append", "console=ttyS0 earlyprintk=serial panic=-1"}) argv += word;
  std::string said;
  const ByteSink until_it_speaks = [&](std::span<const std::byte> bytes) -> Status {
    for (const auto byte : bytes) said += static_cast<char>(byte);
    return said.contains("Linux version") ? Status(fail(ErrorKind::cancelled, "it speaks")) : Status{};
  };
  (void)os::run(argv, {.stdout_sink = until_it_speaks, .deadline = in(probe_time)});
  return said.contains("Linux version");
}

}  // namespace

Result<std::string> prepare_vms(const std::string& name, const fs::path& root, const Note& note) {
  CLOUDOS_TRY(copy_newest(root / "boot", "vmlinuz-", kernel_of(name)));
  CLOUDOS_TRY(copy_newest(root / "boot", "initrd.img-", initrd_of(name)));
  if (boots_with_kvm(name)) return "kvm";
  note("KVM boots nothing on this computer: the machines' CPUs are emulated, which is slow");
  return "tcg";
}

Argv qemu_command(const Record& record, const MachineRecord& machine) {
  const auto here = std::max(1U, std::thread::hardware_concurrency());
  const auto cpus = machine.size.cpus > 0 ? static_cast<unsigned>(std::ceil(machine.size.cpus)) : here;
  // A MAC address of its own from the machine's address, locally administered.
  const auto dot = machine.address.rfind('.');
  const auto host = std::stoul(machine.address.substr(dot + 1));
  auto argv = qemu(record.accelerator, record.name);
  for (const auto& word :
       {std::string("-name"), machine.name, std::string("-smp"), std::to_string(cpus), std::string("-m"),
        std::to_string(machine.size.memory.count >> 20), std::string("-initrd"), initrd_of(record.name).string(), std::string("-append"),
        std::format("root=/dev/vda rw {} net.ifnames=0 panic=-1", console), std::string("-drive"),
        // unsafe: as with containers, the disk need not outlive this computer
        std::format("file={},format=raw,if=virtio,cache=unsafe,discard=unmap", disk_of(machine_folder(record.name, machine.name)).string()),
        std::string("-netdev"), std::format("tap,id=net0,ifname={},script=no,downscript=no", port_name(machine.name)),
        std::string("-device"), std::format("virtio-net-pci,netdev=net0,mac=52:54:00:c0:00:{:02x}", host), std::string("-device"),
        std::string("virtio-rng-pci")})
    argv += word;
  return argv;
}

}  // namespace cloudos::sandbox
