#include "agent/facts/parse.hpp"

#include <algorithm>
#include <array>
#include <format>
#include <ranges>
#include <set>

#include "agent/facts/lines.hpp"
#include "core/base/ip.hpp"
#include "core/base/text.hpp"

namespace cloudos::facts {

namespace {

bool has_option(std::string_view options, std::string_view option) { return std::ranges::contains(split(options, ','), option); }

// An address as /proc/net has it: words of 32 bits in hexadecimal, each in the host's byte order (little-endian here).
Ip kernel_address(std::string_view hex) {
  Ip ip;
  ip.v6 = hex.size() == 32;
  for (std::size_t word = 0; word * 8 + 8 <= hex.size() && word < 4; ++word) {
    const auto value = number<std::uint32_t>(hex.substr(word * 8, 8), 16);
    for (std::size_t i = 0; i < 4; ++i) ip.bytes[word * 4 + i] = static_cast<std::uint8_t>(value >> (8 * i));
  }
  return ip;
}

// An IPv6 address as /proc/net/ipv6_route has it: 32 digits in network order.
Ip plain_address6(std::string_view hex) {
  Ip ip;
  ip.v6 = true;
  for (std::size_t i = 0; i < 16 && i * 2 + 2 <= hex.size(); ++i) ip.bytes[i] = number<std::uint8_t>(hex.substr(i * 2, 2), 16);
  return ip;
}

}  // namespace

std::map<std::string, std::string> parse_assignments(std::string_view text) {
  std::map<std::string, std::string> out;
  for (const auto raw : lines_of(text)) {
    const auto line = trim(raw);
    const auto equals = line.find('=');
    if (line.starts_with('#') || equals == std::string_view::npos) continue;
    auto value = line.substr(equals + 1);
    if (value.size() >= 2 && (value.front() == '"' || value.front() == '\'') && value.back() == value.front()) {
      value = value.substr(1, value.size() - 2);
    }
    out[std::string(line.substr(0, equals))] = std::string(value);
  }
  return out;
}

namespace {

// Whom the codes in "CPU implementer" and "CPU part" stand for (Arm's registry of MIDR_EL1 values; lscpu has the same names).
std::string arm_model(unsigned implementer, unsigned part) {
  struct Part {
    unsigned number;
    std::string_view name;
  };
  static constexpr std::array parts = {Part{0xd03, "Cortex-A53"},  Part{0xd05, "Cortex-A55"}, Part{0xd07, "Cortex-A57"},
                                       Part{0xd08, "Cortex-A72"},  Part{0xd0b, "Cortex-A76"}, Part{0xd0c, "Neoverse-N1"},
                                       Part{0xd40, "Neoverse-V1"}, Part{0xd41, "Cortex-A78"}, Part{0xd42, "Cortex-A78AE"},
                                       Part{0xd49, "Neoverse-N2"}, Part{0xd4f, "Neoverse-V2"}};
  const auto* const known = std::ranges::find(parts, part, &Part::number);
  return implementer == 0x41 && known != parts.end() ? std::string(known->name) : "";
}

// What MIDR_EL1 is made of, as /proc/cpuinfo of arm64 gives it (arch/arm64/kernel/cpuinfo.c).
struct Midr {
  unsigned implementer = 0, variant = 0, part = 0, revision = 0;
  void take(std::string_view name, std::string_view value) {
    if (name == "CPU implementer") implementer = number<unsigned>(value, 16);
    if (name == "CPU variant") variant = number<unsigned>(value, 16);
    if (name == "CPU part") part = number<unsigned>(value, 16);
    if (name == "CPU revision") revision = number<unsigned>(value);
  }
  void tell(model::HostFacts::Cpu& cpu) const {
    if (implementer == 0) return;
    cpu.vendor = std::format("0x{:02x}", implementer);
    // The architecture field reads 0xf on every 64-bit core: "see the ID registers".
    cpu.family = static_cast<int>((variant & 0xfU) << 4U | 0xfU);
    cpu.id = static_cast<int>((part & 0xfffU) << 4U | (revision & 0xfU));
    if (cpu.model.empty()) cpu.model = arm_model(implementer, part);
  }
};

void take_identity(std::string_view name, std::string_view value, model::HostFacts::Cpu& cpu) {
  if (name == "model name" && cpu.model.empty()) cpu.model = value;
  if (name == "vendor_id" && cpu.vendor.empty()) cpu.vendor = value;
  if (name == "cpu family" && cpu.family == 0) cpu.family = number<int>(value);
  if (name == "model" && cpu.id == 0) cpu.id = number<int>(value);
  if ((name == "flags" || name == "Features") && cpu.flags.empty()) {
    for (const auto word : words_of(value)) cpu.flags.emplace_back(word);
  }
}

}  // namespace

model::HostFacts::Cpu parse_cpuinfo(std::string_view text) {
  model::HostFacts::Cpu cpu;
  Midr midr;
  std::set<std::string> sockets;
  std::set<std::pair<std::string, std::string>> cores;
  std::string socket;
  for (const auto line : lines_of(text)) {
    const auto [name, value] = field(line);
    if (name == "processor") ++cpu.threads;
    if (name == "physical id") sockets.insert(socket = value);
    if (name == "core id") cores.emplace(socket, value);
    take_identity(name, value, cpu);
    midr.take(name, value);
  }
  midr.tell(cpu);
  // ARM's has neither packages nor cores: one package, and a core a thread.
  cpu.sockets = sockets.empty() ? std::min(cpu.threads, 1) : static_cast<int>(sockets.size());
  cpu.cores = cores.empty() ? cpu.threads : static_cast<int>(cores.size());
  cpu.multithreading = cpu.threads > cpu.cores;
  return cpu;
}

model::HostFacts::Memory parse_meminfo(std::string_view text) {
  model::HostFacts::Memory memory;
  for (const auto line : lines_of(text)) {
    const auto [name, value] = field(line);
    const Bytes size{number(value.substr(0, value.find(' '))) << 10U};
    if (name == "MemTotal") memory.total = size;
    if (name == "MemAvailable") memory.available = size;
    if (name == "SwapTotal") memory.swap_total = size;
  }
  return memory;
}

std::vector<MountLine> parse_mountinfo(std::string_view text) {
  std::vector<MountLine> out;
  for (const auto line : lines_of(text)) {
    const auto words = words_of(line);
    const auto dash = std::ranges::find(words, "-");
    if (words.size() < 9 || std::distance(dash, words.end()) < 4) continue;
    out.push_back({.device_number = std::string(words[2]),
                   .subtree = unescape(words[3]),
                   .path = unescape(words[4]),
                   .type = std::string(dash[1]),
                   .device = unescape(dash[2]),
                   .read_only = has_option(words[5], "ro") || has_option(dash[3], "ro"),
                   .super_options = std::string(dash[3])});
  }
  return out;
}

const MountLine* mount_of(const std::vector<MountLine>& mounts, std::string_view path) {
  const MountLine* best = nullptr;
  for (const auto& mount : mounts) {
    const auto& at = mount.path;
    const bool above = at == "/" || path == at || (path.starts_with(at) && path.substr(at.size()).starts_with('/'));
    if (above && (best == nullptr || at.size() >= best->path.size())) best = &mount;
  }
  return best;
}

std::vector<model::HostFacts::Route> parse_routes(std::string_view text) {
  std::vector<model::HostFacts::Route> out;
  for (const auto line : lines_of(text) | std::views::drop(1)) {
    const auto words = words_of(line);
    if (words.size() < 8) continue;
    const auto gateway = kernel_address(words[2]);
    const Cidr destination{.address = kernel_address(words[1]), .bits = std::popcount(number<std::uint32_t>(words[7], 16))};
    out.push_back({.destination = destination.text(),
                   .gateway = gateway == Ip{} ? "" : gateway.text(),
                   .device = std::string(words[0]),
                   .source = {},
                   .metric = number<int>(words[6])});
  }
  return out;
}

std::vector<model::HostFacts::Route> parse_routes6(std::string_view text) {
  std::vector<model::HostFacts::Route> out;
  for (const auto line : lines_of(text)) {
    const auto words = words_of(line);
    if (words.size() < 10 || words[9] == "lo") continue;
    const Cidr destination{.address = plain_address6(words[0]), .bits = number<int>(words[1], 16)};
    if (destination.address.bytes[0] == 0xff || (destination.address.bytes[0] == 0xfe && destination.bits > 0)) continue;
    const auto gateway = plain_address6(words[4]);
    out.push_back({.destination = destination.text(),
                   .gateway = gateway.bytes == Ip{}.bytes ? "" : gateway.text(),
                   .device = std::string(words[9]),
                   .source = {},
                   .metric = number<int>(words[5], 16)});
  }
  return out;
}

std::vector<Waiting> parse_sockets(std::string_view protocol, std::string_view text) {
  // include/net/tcp_states.h: TCP_LISTEN is 0A; an unconnected UDP socket shows TCP_CLOSE, 07.
  const std::string_view state = protocol.starts_with("tcp") ? "0A" : "07";
  std::vector<Waiting> out;
  for (const auto line : lines_of(text) | std::views::drop(1)) {
    const auto words = words_of(line);
    if (words.size() < 10 || words[3] != state) continue;
    const auto colon = words[1].find(':');
    if (colon == std::string_view::npos) continue;
    out.push_back({.protocol = std::string(protocol),
                   .address = kernel_address(words[1].substr(0, colon)).text(),
                   .port = number<std::uint16_t>(words[1].substr(colon + 1), 16),
                   .inode = number(words[9])});
  }
  return out;
}

std::string unit_of_cgroup(std::string_view text) {
  std::string_view path;
  for (const auto line : lines_of(text)) {
    // "0::/path" is the unified hierarchy; with version 1 the one of systemd's own name is where units are.
    if (line.starts_with("0::") && path.empty()) path = line.substr(3);
    if (const auto at = line.find(":name=systemd:"); at != std::string_view::npos) path = line.substr(at + 14);
  }
  for (const auto& part : split(path, '/')) {
    if (!part.empty() && !part.ends_with(".slice")) return part.contains('.') ? part : "";
  }
  return {};
}

std::string virtualisation_of(std::string_view container, std::string_view dmi, bool hypervisor_flag) {
  if (const auto name = trim(container); !name.empty()) return std::string(name);
  // systemd's src/basic/virt.c has the same table.
  static constexpr std::pair<std::string_view, std::string_view> vendors[] = {
      {"KVM", "kvm"},           {"OpenStack", "kvm"},     {"KubeVirt", "kvm"},
      {"Amazon EC2", "amazon"}, {"QEMU", "qemu"},         {"VMware", "vmware"},
      {"VMW", "vmware"},        {"innotek", "oracle"},    {"VirtualBox", "oracle"},
      {"Xen", "xen"},           {"Bochs", "bochs"},       {"Parallels", "parallels"},
      {"BHYVE", "bhyve"},       {"Hyper-V", "microsoft"}, {"Google Compute Engine", "google"}};
  // A physical machine of a cloud vendor has the vendor's name but not the flag.
  if (!hypervisor_flag) return "none";
  for (const auto& [vendor, name] : vendors) {
    if (dmi.contains(vendor)) return name == "qemu" ? "kvm" : std::string(name);
  }
  return "vm-other";
}

std::string join_state(const std::vector<model::JournalRecord>& journal) {
  std::string state = "none";
  for (const auto& record : journal) {
    if (record.kind != "kubeadm-init" && record.kind != "kubeadm-join" && record.kind != "kubeadm-control-plane") continue;
    // A master that is a node so far has the greater half before it.
    const auto follows = record.undo.find("control-plane");
    const bool whole = follows == record.undo.end() || follows->second != "follows";
    if (record.state == "undone") state = "none";
    else state = record.state == "done" && whole ? "joined" : "partial";
  }
  return state;
}

std::string manifest_flag(std::string_view manifest, std::string_view flag) {
  const auto wanted = std::format("{}=", flag);
  const auto at = manifest.find(wanted);
  if (at == std::string_view::npos) return {};
  const auto rest = manifest.substr(at + wanted.size());
  return std::string(trim(rest.substr(0, rest.find_first_of("\r\n\"'"))));
}

std::string agent_digest_of(std::string_view executable) {
  const auto at = executable.rfind("/agent/");
  if (at == std::string_view::npos) return {};
  const auto rest = executable.substr(at + 7);
  const auto digest = rest.substr(0, rest.find('/'));
  return digest.size() == 12 && digest.find_first_not_of("0123456789abcdef") == std::string_view::npos ? std::string(digest) : "";
}

bool kernel_at_least(std::string_view release, int major, int minor) {
  const auto dot = release.find('.');
  if (dot == std::string_view::npos) return false;
  const int have = number<int>(release.substr(0, dot));
  return have > major || (have == major && number<int>(release.substr(dot + 1)) >= minor);
}

std::optional<model::HostFacts::Gpu> gpu_of(std::string_view pci_class, std::string_view vendor, std::string_view device,
                                            std::string_view driver) {
  // The upper two bytes: VGA, 3D controller, display controller without a screen, processing accelerator, co-processor (PCI Code and ID
  // Assignment Specification).
  const auto base = number<std::uint32_t>(trim(pci_class), 16) >> 8U;
  if (base != 0x0300 && base != 0x0302 && base != 0x0380 && base != 0x1200 && base != 0x0b40) return std::nullopt;
  static constexpr std::pair<std::uint32_t, std::string_view> vendors[] = {{0x10de, "nvidia"}, {0x1002, "amd"}, {0x8086, "intel"}};
  const auto* const known = std::ranges::find(vendors, number<std::uint32_t>(trim(vendor), 16), [](const auto& v) { return v.first; });
  if (known == std::ranges::end(vendors)) return std::nullopt;
  return model::HostFacts::Gpu{.vendor = std::string(known->second),
                               .device = std::format("{:04x}:{:04x}", known->first, number<std::uint32_t>(trim(device), 16)),
                               .model = {},
                               .driver = driver.empty() ? "driver missing" : std::string(driver),
                               .count = 1};
}

}  // namespace cloudos::facts
