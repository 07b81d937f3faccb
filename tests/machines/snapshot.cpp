#include "tests/machines/snapshot.hpp"

#include <algorithm>
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <filesystem>
#include <format>

#include "core/base/text.hpp"

namespace cloudos::machines {
namespace {

namespace fs = std::filesystem;

// Lines "KIND WHAT…". Runs as root under sh. A folder's size and times are no property of what is in it, and left out.
constexpr auto script = R"(
cd /
find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /dev \) -prune -o \
  \( -type f -printf 'file %p %M %U:%G %s\n' -o -type l -printf 'file %p -> %l\n' -o -printf 'file %p %M %U:%G\n' \)
find /run /dev -mindepth 1 -printf 'file %p %M %U:%G %l\n'
find /etc /usr/local /opt /root /home /srv /var/lib -xdev -type f -exec sha256sum {} + | sed 's/^\([^ ]*\)  \(.*\)/content \2 \1/'
sed 's/^\([^ ]* \)\{4\}\([^ ]*\) \([^ ]*\) .* - \([^ ]*\) .*/mount \2 \4 \3/' /proc/self/mountinfo
ip -o link | sed 's/^[0-9]*: /link /'
ip -o addr | sed 's/^[0-9]*: /address /; s/valid_lft.*//'
for family in -4 -6; do
  ip $family rule | sed "s/^/rule $family /"
  ip $family route show table all | sed "s/^/route $family /"
done
find /sys/fs/cgroup -type d -printf 'cgroup %p\n'
grep -rs '' /proc/sys | sed 's/^/sysctl /'
sed 's/^/module /; s/ .*//' /proc/modules 2> /dev/null
sed 's/^/user /' /etc/passwd; sed 's/^/group /' /etc/group
systemctl list-units --all --plain --no-legend | awk '{ print "unit", $1, $2, $3, $4 }'
systemctl list-unit-files --plain --no-legend | awk '{ print "unit-file", $1, $2 }'
systemctl list-jobs --plain --no-legend | sed 's/^/job /'
sed 's/^/swap /; s/ .*//' /proc/swaps
ps -eo comm= | sed 's/^/process /'
ss -lntuxH | awk '{ print "listens", $1, $5 }'
/opt/firewall/nft -s list ruleset | awk '
  /^table/ { table = $2 " " $3; print "nft", table; next }
  /^\t[a-z]+ [^ ]+ {/ { part = $2; line = 0 }
  /^\t}|^}/ { part = "" }
  part { print "nft", table, part, ++line, $0 }
'
cat /proc/net/ip_tables_names /proc/net/ip6_tables_names 2> /dev/null | sed 's/^/legacy-table /'
command -v iptables-save > /dev/null && for save in iptables-save ip6tables-save; do
  $save | awk -v "save=$save" '/^#/ { next } /^[*]/ { table = $1 } { sub(/ \[.*/, ""); print save, table, $0 }'
done
true
)";

struct Allowed {
  std::string_view what;  // the line begins so
  std::string_view reason;
};

// What may differ though nobody left anything behind.
constexpr auto allowed = std::to_array<Allowed>({
    {"sysctl /proc/sys/fs/dentry-state:", "the kernel's count of its directory cache"},
    {"sysctl /proc/sys/fs/file-nr:", "the kernel's count of open files"},
    {"sysctl /proc/sys/fs/inode-nr:", "the kernel's count of inodes in memory"},
    {"sysctl /proc/sys/fs/inode-state:", "the kernel's count of inodes in memory"},
    {"sysctl /proc/sys/fs/aio-nr:", "the kernel's count of requests under way"},
    {"sysctl /proc/sys/fs/quota/", "the kernel's counts of quota work"},
    {"sysctl /proc/sys/kernel/ns_last_pid:", "the last process number that was given"},
    {"sysctl /proc/sys/kernel/random/", "a new random number at each reading; the pool's fill"},
    {"sysctl /proc/sys/kernel/pty/nr:", "the terminals of the whole host that are open now"},
    {"sysctl /proc/sys/kernel/keys/gc_delay:", "shared by the machines of a host"},
    {"sysctl /proc/sys/net/netfilter/nf_conntrack_count:", "connections that the kernel remembers for some minutes"},
    {"file /run/log/", "systemd's journal goes on"},
    {"file /var/log/journal/", "systemd's journal goes on"},
    {"file /var/log/wtmp", "logins are written down"},
    {"file /var/log/lastlog", "logins are written down"},
    {"file /var/log/btmp", "logins are written down"},
    {"content /var/lib/systemd/random-seed", "systemd's own, at its own times"},
    {"file /run/systemd/transient ", "systemd makes it with the first transient unit since boot, and keeps it"},
    {"file /run/systemd/dynamic-uid ", "systemd makes it with the first DynamicUser= since boot, and keeps it"},
    {"file /run/private ", "systemd makes it with the first DynamicUser= that has a RuntimeDirectory=, and keeps it"},
    {"file /run/systemd/journal/streams", "one a service, named by inode; systemd's own"},
    {"file /run/systemd/inaccessible", "systemd makes it with the first hardened unit since boot, and keeps it"},
    {"file /run/systemd/units/", "an invocation's number a unit that ran"},
    {"file /run/sudo/", "sudo remembers who was lectured or authenticated, until the next boot"},
    {"file /var/lib/sudo/lectured/", "sudo remembers who was lectured"},
    {"content /var/lib/sudo/lectured/", "sudo remembers who was lectured"},
    {"unit network-online.target ", "the kubelet asked for it; the network stays online, and systemd says so until the next boot"},
    {"file /home/ops/.local", "fish makes its folders at its first start"},
    {"file /home/ops/.sudo_as_admin_successful", "Debian's sudo makes it at its first use"},
    {"content /home/ops/.sudo_as_admin_successful", "Debian's sudo makes it at its first use"},
    {"process sshd", "sessions come and go"},
    {"process (sd-", "systemd's own short-lived helpers"},
});

bool may_differ(const std::string& line) {
  return std::ranges::any_of(allowed, [&](const Allowed& each) { return line.starts_with(each.what); });
}

fs::path build_root() {
  const char* root = std::getenv("CLOUDOS_BUILD_ROOT");
  REQUIRE(root != nullptr);
  return root;
}

// The libraries of a program of the build root, as the build root's own loader finds them.
std::vector<fs::path> libraries_of(const fs::path& root, const fs::path& binary) {
  std::vector<fs::path> out;
  const auto libraries = (root / "usr/lib/x86_64-linux-gnu").string();
  const auto listed =
      os::must({(root / "lib64/ld-linux-x86-64.so.2").string(), "--library-path", libraries, "--list", (root / binary).string()});
  INFO(binary);
  REQUIRE(listed);
  for (const auto& line : split(*listed, '\n'))
    if (const auto arrow = line.find("=> "); arrow != std::string::npos)
      out.emplace_back(line.substr(arrow + 3, line.find(" (") - arrow - 3));
  return out;
}

fs::path firewall_folder() {
  const auto root = build_root();
  const fs::path folder = scratch() + "/firewall";
  if (fs::exists(folder)) return folder;
  const auto lib = folder / "lib";
  fs::create_directories(lib);
  constexpr auto follow = fs::copy_options::overwrite_existing;
  fs::copy_file(root / "lib64/ld-linux-x86-64.so.2", lib / "ld.so", follow);
  for (const auto* binary : {"usr/sbin/nft", "usr/sbin/xtables-nft-multi"}) {
    fs::copy_file(root / binary, lib / fs::path(binary).filename(), follow);
    for (const auto& library : libraries_of(root, binary)) fs::copy_file(library, lib / library.filename(), follow);
  }
  fs::copy(root / "usr/lib/x86_64-linux-gnu/xtables", lib / "xtables", fs::copy_options::recursive);
  return folder;
}

constexpr auto wrappers = R"(
wrap() { # NAME PROGRAM FIRST-WORD
  printf '#!/bin/sh\nexport XTABLES_LIBDIR=/opt/firewall/lib/xtables\nexec /opt/firewall/lib/ld.so --library-path /opt/firewall/lib /opt/firewall/lib/%s %s "$@"\n' \
    "$2" "$3" > "/opt/firewall/$1"
  chmod 755 "/opt/firewall/$1"
}
wrap nft nft ''
for family in iptables ip6tables; do for verb in '' -save -restore; do wrap "$family$verb" xtables-nft-multi "$family$verb"; done; done
)";

}  // namespace

void carry_firewall(const Sandbox& sandbox, const Machine& machine, bool in_path) {
  const auto packed = os::must({"tar", "-C", firewall_folder().parent_path().string(), "-czf", "-", "--owner=0", "--group=0", "firewall"});
  REQUIRE(packed);
  REQUIRE(sandbox.on(machine, {"tar", "-C", "/opt", "-xzf", "-"}, *packed).code == 0);
  std::string make = wrappers;
  if (in_path) make += "ln -s /opt/firewall/nft /opt/firewall/ip*tables* /usr/local/sbin/\n";
  const auto made = sandbox.on(machine, {"sh", "-eu"}, make);
  INFO(made.err);
  REQUIRE(made.code == 0);
}

Snapshot take_snapshot(const Sandbox& sandbox, const Machine& machine) {
  const auto seen = sandbox.on(machine, {"sh", "-u"}, script);
  INFO(machine.name << seen.err);
  REQUIRE(seen.code == 0);
  Snapshot out;
  for (const auto& line : split(seen.out, '\n'))
    if (!line.empty() && !may_differ(line)) out.insert(line);
  REQUIRE(out.size() > 10'000);
  return out;
}

std::vector<std::string> differences(const Snapshot& before, const Snapshot& after) {
  std::vector<std::string> out;
  std::ranges::set_difference(before, after, std::back_inserter(out));
  for (auto& line : out) line.insert(0, "- ");
  std::vector<std::string> more;
  std::ranges::set_difference(after, before, std::back_inserter(more));
  for (const auto& line : more) out.push_back("+ " + line);
  return out;
}

}  // namespace cloudos::machines
