// What the agent watches for, caused on a real node, and gone again: as a condition of the Node, an event and a metric.
// What can be brought about for real is (a disk that fills, a kill for want of memory, a kubelet that hangs); what this
// kernel cannot do is put before the agent's unit in the kernel's own files (systemd.exec(5), BindPaths=). A containerd that
// hangs is with the agent's other cases.
#include <sys/timex.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <format>
#include <fstream>
#include <sstream>

#include "core/base/text.hpp"
#include "tests/machines/machines.hpp"

using namespace cloudos;
using namespace cloudos::machines;

namespace {

constexpr auto uuid = "GPU-11111111-4820-abfc-e83e-94318197576e";

// Quick looks, and ten quiet minutes made one. A disk that is shared with others may be as slow as it likes.
std::string settings(const std::string& thresholds) {
  return "[metrics]\nloopback = 9700\n"
         "[health]\nevery = \"1s\"\nmeasure-sync = \"10s\"\n"
         "[gpus]\nnvml = \"/opt/gpu/libnvidia-ml.so.1\"\nprobe = \"1s\"\nrecover = \"2s\"\n"
         "[health.thresholds]\nquiet = \"1m\"\n" +
         thresholds;
}
constexpr auto all_well = "sync-bad = \"20s\"\nsync-good = \"10s\"\n";

std::string gpu(const std::string& more = {}) {
  return std::format(
      "driver 570.86.15\ncuda 12080\ngpu uuid={} name=NVIDIA_H100_80GB_HBM3 bus=00000000:18:00.0 minor=0 memory=81559 recovery=0 {}\n",
      uuid, more);
}

// /proc and /sys as the unit is shown them.
constexpr auto shown = R"([Service]
Environment=CLOUDOS_NVML_STUB=/opt/gpu/gpus
BindPaths=/opt/shown/pid_max:/proc/sys/kernel/pid_max
BindPaths=/opt/shown/tainted:/proc/sys/kernel/tainted
BindPaths=/opt/shown/nf_conntrack_count:/proc/sys/net/netfilter/nf_conntrack_count
BindPaths=/opt/shown/net:/sys/class/net
BindPaths=/opt/shown/system:/sys/devices/system
)";

// The loop device goes with its last user (losetup(8), --detach), also when the machine is just cut off.
constexpr auto set_up = R"(
mkdir -p /opt/gpu /opt/shown/net/eno1/device /mnt/small; for n in nvidia0 nvidiactl; do mknod -m 666 /dev/$n c 1 3; done
echo 4194304 > /opt/shown/pid_max; echo 0 > /opt/shown/tainted; echo 10 > /opt/shown/nf_conntrack_count
# This kernel counts neither heat nor memory errors.
cp -r /sys/devices/system /opt/shown/system 2> /dev/null || true
cd /opt/shown/system; mkdir -p edac/mc/mc0 cpu/cpu0/thermal_throttle
echo 0 > edac/mc/mc0/ce_count; echo 0 > edac/mc/mc0/ue_count; echo 0 > cpu/cpu0/thermal_throttle/package_throttle_count
cd /opt/shown/net/eno1; echo 1 > carrier; echo full > duplex; echo 2 > carrier_changes
truncate -s 32M /var/tmp/small; mkfs.ext4 -q -m 0 -N 64 /var/tmp/small
[ -e /dev/loop-control ] || mknod /dev/loop-control c 10 237
loop=$(losetup -f); [ -e $loop ] || mknod $loop b 7 ${loop#/dev/loop}; losetup $loop /var/tmp/small; mount $loop /mnt/small; losetup -d $loop
)";

struct Node {
  Sandbox sandbox{"t-health", 1, 0};
  Ran installed;
  std::string name;

  Node() {
    installed = sandbox.install(sandbox.addresses("master"), "");
    INFO(installed.out.substr(installed.out.size() > 4000 ? installed.out.size() - 4000 : 0) << installed.err);
    REQUIRE(installed.code == 0);
    sandbox.sh(machine(), set_up);
    name = trim(sandbox.on(machine(), {"hostname"}).out);
    const char* path = std::getenv("CLOUDOS_NVML_LIBRARY");
    REQUIRE(path != nullptr);
    std::ifstream file(path, std::ios::binary);
    std::stringstream bytes;
    bytes << file.rdbuf();
    put("/opt/gpu/libnvidia-ml.so.1", bytes.str());
    put("/opt/gpu/gpus", gpu());
    put("/etc/cloudos/agent.toml", settings(all_well));
    sandbox.sh(machine(), "mkdir -p /etc/systemd/system/cloudos-agent-root.service.d");
    put("/etc/systemd/system/cloudos-agent-root.service.d/shown.conf", shown);
    sandbox.sh(machine(), "systemctl daemon-reload && systemctl restart cloudos-agent-root");
  }
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  [[nodiscard]] const Machine& machine() const { return sandbox.named("master-1"); }
  void put(const std::string& path, const std::string& content) const {
    REQUIRE(sandbox.on(machine(), {"sh", "-c", std::format("cat > {0}.new && mv {0}.new {0}", path)}, content).code == 0);
  }
  [[nodiscard]] std::string condition(const std::string& type) const {
    const Json conditions = kubectl_json(sandbox, machine(), {"get", "node", name}).at("status").at("conditions");
    for (const auto& each : conditions)
      if (each.at("type") == type) return each.at("status").get<std::string>();
    return "";
  }
  [[nodiscard]] std::size_t events(const std::string& reason) const {
    return kubectl_json(sandbox, machine(), {"get", "events", "-A", "--field-selector", "reason=" + reason}).at("items").size();
  }
  [[nodiscard]] bool in_metrics(const std::string& type) const {
    const auto page = sandbox.on(
        machine(),
        {"python3", "-c", "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9700/metrics', timeout=10).read().decode())"});
    return std::ranges::any_of(split(page.out, '\n'), [&](const std::string& line) {
      return line.starts_with("cloudos_health_problem{") && line.contains(std::format("type=\"{}\"", type)) && line.ends_with(" 1");
    });
  }
  [[nodiscard]] std::string log() const {
    return sandbox.on(machine(), {"journalctl", "-q", "-n", "60", "-o", "cat", "-u", "cloudos-agent*"}).out;
  }
};

Node& node() {
  static Node one;
  return one;
}

struct Trouble {
  std::string type, reason;  // of the condition; of its event
  std::string cause, cure;   // scripts on the machine
  bool says_cleared = true;  // an event tells that it is over
};

// Caused one after the other, so that they stand together; then each is ended.
void come_and_go(const std::vector<Trouble>& troubles) {
  auto& n = node();
  for (const auto& trouble : troubles) {
    INFO(trouble.type << "\n" << n.log());
    REQUIRE(eventually(60, [&] { return n.condition(trouble.type) == "False"; }));
    n.sandbox.sh(n.machine(), trouble.cause);
    REQUIRE(eventually(90, [&] { return n.condition(trouble.type) == "True"; }));
    REQUIRE(eventually(60, [&] { return n.events(trouble.reason) > 0; }));
    REQUIRE(eventually(60, [&] { return n.in_metrics(trouble.type); }));
    n.sandbox.sh(n.machine(), trouble.cure);
  }
  for (const auto& trouble : troubles) {
    INFO(trouble.type << "\n" << n.log());
    REQUIRE(eventually(180, [&] { return n.condition(trouble.type) == "False"; }));
    if (trouble.says_cleared) REQUIRE(eventually(60, [&] { return n.events(trouble.type + "Cleared") > 0; }));
    REQUIRE(eventually(60, [&] { return !n.in_metrics(trouble.type); }));
  }
}

// Whether something keeps the clock right is the kernel's to say, and the sandbox's machines share it with this one: its word is
// turned, the time is not, and at the end it says what it said before (adjtimex(2)).
class KernelClock {
 public:
  KernelClock() { REQUIRE(::adjtimex(&before_) != -1); }
  ~KernelClock() { static_cast<void>(say((before_.status & STA_UNSYNC) == 0)); }
  KernelClock(const KernelClock&) = delete;
  KernelClock& operator=(const KernelClock&) = delete;
  [[nodiscard]] bool say(bool synchronised) const {
    timex wanted{};
    wanted.modes = ADJ_STATUS | ADJ_MAXERROR | ADJ_ESTERROR;
    wanted.status = synchronised ? before_.status & ~STA_UNSYNC : before_.status | STA_UNSYNC;
    // At 16 s the kernel itself says that it is not synchronised (NTP_PHASE_LIMIT).
    wanted.maxerror = wanted.esterror = synchronised ? 0 : 16'000'000;
    return ::adjtimex(&wanted) != -1;
  }

 private:
  timex before_{};
};

}  // namespace

TEST_CASE("a disk that fails, fills or runs out of inodes is told and forgotten", "[health]") {
  come_and_go({
      {"ReadonlyFilesystem", "FilesystemIsReadOnly", "mount -o remount,ro /mnt/small", "mount -o remount,rw /mnt/small"},
      {"DiskFilling", "DiskNearlyFull", "dd if=/dev/zero of=/mnt/small/fill bs=1M 2> /dev/null || true", "rm /mnt/small/fill"},
      {"InodesExhausted", "InodesNearlyExhausted", "for i in $(seq 64); do touch /mnt/small/$i 2> /dev/null || break; done",
       "rm /mnt/small/[0-9]*"},
  });
}

TEST_CASE("what runs out or goes wrong in the kernel is told and forgotten", "[health]") {
  auto& n = node();
  come_and_go({
      {"PIDsExhausted", "PIDsNearlyExhausted", "echo 64 > /opt/shown/pid_max", "echo 4194304 > /opt/shown/pid_max"},
      {"ConntrackFull", "ConnectionTrackingNearlyFull", "cat /proc/sys/net/netfilter/nf_conntrack_max > /opt/shown/nf_conntrack_count",
       "echo 10 > /opt/shown/nf_conntrack_count"},
      {"KernelOops", "KernelOops", "echo 128 > /opt/shown/tainted", "echo 0 > /opt/shown/tainted"},
      {"TasksHung", "TaskHung", "echo '<3>INFO: task cloudos-test:4711 blocked for more than 120 seconds.' > /dev/kmsg", "true"},
      {"LinkHalfDuplex", "HalfDuplex", "echo half > /opt/shown/net/eno1/duplex", "echo full > /opt/shown/net/eno1/duplex"},
      {"LinkFlapping", "LinkFlapping", "echo 20 > /opt/shown/net/eno1/carrier_changes", "true"},
  });
  CHECK(n.condition("ReadonlyFilesystem") == "False");
}

TEST_CASE("a pod that is killed for want of memory is named", "[health]") {
  auto& n = node();
  const auto pod =
      R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"glutton"},"spec":{"restartPolicy":"Never","containers":[{"name":"glutton",
    "image":"cloudos.local/flannel:v0.28.10","imagePullPolicy":"Never","command":["/bin/busybox","tail","/dev/zero"],
    "resources":{"limits":{"memory":"24Mi"}}}]}})";
  REQUIRE(kubectl(n.sandbox, n.machine(), {"apply", "-f", "-"}, pod).code == 0);
  INFO(n.log());
  CHECK(eventually(90, [&] { return n.condition("OOMKilling") == "True"; }));
  CHECK(eventually(60, [&] {
    const auto events = kubectl_json(n.sandbox, n.machine(), {"get", "events", "-A", "--field-selector", "reason=OOMKilling"}).at("items");
    return std::ranges::any_of(events,
                               [](const Json& event) { return event.at("message").get<std::string>().contains("default/glutton"); });
  }));
  CHECK(eventually(180, [&] { return n.condition("OOMKilling") == "False" && !n.in_metrics("OOMKilling"); }));
}

TEST_CASE("a CPU that is too hot and memory that fails are told and forgotten", "[health]") {
  come_and_go({
      {"ThermalThrottling", "TooHot", "echo 3 > /opt/shown/system/cpu/cpu0/thermal_throttle/package_throttle_count", "true"},
      {"MemoryErrors", "UncorrectedMemoryErrors", "echo 1 > /opt/shown/system/edac/mc/mc0/ue_count",
       "echo 0 > /opt/shown/system/edac/mc/mc0/ue_count"},
  });
}

TEST_CASE("a clock that nothing keeps right is told and forgotten", "[health]") {
  auto& n = node();
  const KernelClock clock;
  INFO(n.log());
  REQUIRE(clock.say(true));
  REQUIRE(eventually(120, [&] { return n.condition("ClockSkewed") == "False" && !n.in_metrics("ClockSkewed"); }));
  REQUIRE(clock.say(false));
  REQUIRE(eventually(120, [&] { return n.condition("ClockSkewed") == "True" && n.in_metrics("ClockSkewed"); }));
  REQUIRE(eventually(60, [&] { return n.events("ClockNotSynchronised") > 0; }));
  REQUIRE(clock.say(true));
  REQUIRE(eventually(120, [&] { return n.condition("ClockSkewed") == "False" && !n.in_metrics("ClockSkewed"); }));
  CHECK(eventually(60, [&] { return n.events("ClockSkewedCleared") > 0; }));
}

TEST_CASE("a GPU that is lost or too hot is told and forgotten", "[health]") {
  const auto say = [](const std::string& text) {
    return std::format("cat > /opt/gpu/new << 'E'\n{}E\nmv /opt/gpu/new /opt/gpu/gpus", text);
  };
  come_and_go({
      {"GPUUnhealthy", "GPULost", say(gpu("lost=1")), say(gpu())},
      {"ThermalThrottling", "TooHot", say(gpu("throttle=64")), say(gpu())},
  });
}

TEST_CASE("slow durable writes and a certificate that ends soon are told and forgotten", "[health]") {
  auto& n = node();
  // No disk is that quick, and kubelet's certificates are for a year.
  n.put("/etc/cloudos/agent.toml",
        settings("sync-bad = \"101us\"\nsync-good = \"100us\"\ncertificate-bad = \"400d\"\ncertificate-good = \"401d\"\n"));
  for (const auto* type : {"StorageSlow", "CertificateExpiring"}) {
    INFO(type << "\n" << n.log());
    CHECK(eventually(120, [&] { return n.condition(type) == "True" && n.in_metrics(type); }));
  }
  CHECK(eventually(60, [&] { return n.events("SlowDurableWrites") > 0 && n.events("CertificateExpiresSoon") > 0; }));
  n.put("/etc/cloudos/agent.toml", settings(all_well));
  for (const auto* type : {"StorageSlow", "CertificateExpiring"}) {
    INFO(type << "\n" << n.log());
    CHECK(eventually(120, [&] { return n.condition(type) == "False" && !n.in_metrics(type); }));
  }
}

TEST_CASE("a kubelet that hangs is restarted, told and forgotten", "[health]") {
  auto& n = node();
  INFO(n.log());
  CHECK(eventually(60, [&] { return n.condition("KubeletHung") == "False"; }));
  const auto pid = trim(n.sandbox.sh(n.machine(), "systemctl show -P MainPID kubelet"));
  n.sandbox.sh(n.machine(), std::format("kill -STOP {}", pid));
  CHECK(eventually(120, [&] { return n.events("DoesNotAnswer") > 0; }));
  CHECK(eventually(180, [&] { return trim(n.sandbox.sh(n.machine(), "systemctl show -P MainPID kubelet")) != pid; }));
  CHECK(eventually(120, [&] { return n.events("ServiceRestarted") > 0 && n.events("KubeletHungCleared") > 0; }));
  CHECK(eventually(120, [&] { return n.condition("KubeletHung") == "False" && all_ready(n.sandbox, n.machine(), 1); }));
}
