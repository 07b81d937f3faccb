// A node with four GPUs that are device nodes and a library of the tests', offered by the agent to the real kubelet and put
// into containers by the real containerd. The cases share the cluster and run in the order they stand in.
#include <algorithm>
#include <catch2/catch_get_random_seed.hpp>
#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <format>
#include <fstream>
#include <random>
#include <set>
#include <sstream>

#include "core/base/text.hpp"
#include "tests/machines/machines.hpp"

using namespace cloudos;
using namespace cloudos::machines;

namespace {

constexpr auto unit = "cloudos-agent-root.service";
// Not below /root or /home, which the daemon's unit does not see.
constexpr auto stub = "/opt/gpu/libnvidia-ml.so.1";

std::string library() {
  const char* path = std::getenv("CLOUDOS_NVML_LIBRARY");
  std::ifstream file(path != nullptr ? path : "build/release/tests/support/nvml/libnvidia-ml.so.1", std::ios::binary);
  REQUIRE(file.good());
  std::stringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

std::string uuid(int gpu) { return std::format("GPU-{0}{0}{0}{0}{0}{0}{0}{0}-4820-abfc-e83e-94318197576e", gpu); }

// What the stub answers; `more` is added to the line of each GPU.
std::string gpus(const std::map<int, std::string>& more = {}, const std::string& lines = {}) {
  std::string out = "driver 570.86.15\ncuda 12080\n";
  for (int i = 0; i < 4; ++i)
    out += std::format("gpu uuid={} name=NVIDIA_H100_80GB_HBM3 bus=00000000:{:02X}:00.0 minor={} memory=81559 recovery=0 link=fabric {}\n",
                       uuid(i), 0x18 + i, i, more.contains(i) ? more.at(i) : "");
  return out + lines;
}

// How the GPUs are offered: agent.toml's section.
struct Offered {
  std::string mig = "none";
  int shares = 1;
};

struct Gpus {
  Sandbox sandbox{"t-gpu", 1, 1};
  Ran installed;

  Gpus() {
    installed = sandbox.install(sandbox.addresses("master"), sandbox.addresses("node"));
    REQUIRE(installed.code == 0);
    // Copies of /dev/null: enough for the way into a container, and for its cgroup to let them be used.
    sandbox.sh(node(),
               "mkdir -p /opt/gpu; for n in nvidia0 nvidia1 nvidia2 nvidia3 nvidiactl nvidia-uvm; do mknod -m 666 /dev/$n c 1 3; done");
    REQUIRE(sandbox.on(node(), {"sh", "-c", std::string("cat > ") + stub}, library()).code == 0);
    name = trim(sandbox.on(node(), {"hostname"}).out);
    say(gpus());
    start({});
  }
  [[nodiscard]] const Machine& master() const { return sandbox.named("master-1"); }
  [[nodiscard]] Machine node() const { return sandbox.of("node").front(); }
  void say(const std::string& text) const {
    REQUIRE(sandbox.on(node(), {"sh", "-c", "cat > /opt/gpu/new && mv /opt/gpu/new /opt/gpu/gpus"}, text).code == 0);
  }
  // The node's own agent offers them, told by its file and a drop-in.
  void start(const Offered& how) const {
    auto file = std::format("[gpus]\nnvml = \"{}\"\nprobe = \"1s\"\nrecover = \"2s\"\nmig-strategy = \"{}\"\n", stub, how.mig);
    if (how.shares > 1) file += std::format("share = {{\"nvidia.com/gpu\" = {}}}\n", how.shares);
    REQUIRE(sandbox.on(node(), {"sh", "-c", "cat > /etc/cloudos/agent.toml"}, file).code == 0);
    REQUIRE(sandbox
                .on(node(),
                    {"sh", "-c", std::format("mkdir -p /etc/systemd/system/{0}.d && cat > /etc/systemd/system/{0}.d/gpus.conf", unit)},
                    "[Service]\nEnvironment=CLOUDOS_NVML_STUB=/opt/gpu/gpus\nRestartSec=100ms\n[Unit]\nStartLimitIntervalSec=0\n")
                .code == 0);
    sandbox.sh(node(), std::format("systemctl daemon-reload && systemctl restart {}", unit));
  }
  void kill_agent() const { sandbox.sh(node(), std::format("systemctl kill -s KILL {}", unit)); }
  [[nodiscard]] std::string count(const std::string& field, const std::string& resource = "nvidia.com/gpu") const {
    const auto status = kubectl_json(sandbox, master(), {"get", "node", name}).at("status").at(field);
    return status.value(resource, "none");
  }
  std::string name;  // in the cluster: the host name
  [[nodiscard]] bool allocatable(const std::string& wanted, const std::string& resource = "nvidia.com/gpu") const {
    return eventually(90, [&] { return count("allocatable", resource) == wanted; });
  }
  void run_pod(const std::string& pod_name, int wanted, const std::string& resource = "nvidia.com/gpu") const {
    const Json pod = {{"apiVersion", "v1"},
                      {"kind", "Pod"},
                      {"metadata", {{"name", pod_name}}},
                      {"spec",
                       {{"terminationGracePeriodSeconds", 0},
                        {"restartPolicy", "Never"},
                        {"containers",
                         {{{"name", "gpu"},
                           {"image", "cloudos.local/flannel:v0.28.10"},
                           {"imagePullPolicy", "Never"},
                           {"command", {"/bin/busybox", "sleep", "100000"}},
                           {"resources", {{"limits", {{resource, std::to_string(wanted)}}}}}}}}}}};
    REQUIRE(kubectl(sandbox, master(), {"apply", "-f", "-"}, pod.dump()).code == 0);
  }
  [[nodiscard]] bool is(const std::string& pod, const std::string& phase) const {
    return eventually(60, [&] { return kubectl_json(sandbox, master(), {"get", "pod", pod}).at("status").at("phase") == phase; });
  }
  // Running, or Failed: the kubelet refuses a pod whose GPUs nobody could allocate at that moment.
  [[nodiscard]] std::string settled(const std::string& pod) const {
    std::string phase;
    REQUIRE(eventually(90, [&] {
      const auto status = kubectl_json(sandbox, master(), {"get", "pod", pod}).at("status");
      phase = status.at("phase");
      if (phase == "Failed") CHECK(status.value("reason", "") == "UnexpectedAdmissionError");
      return phase == "Running" || phase == "Failed";
    }));
    return phase;
  }
  [[nodiscard]] Json labels() const { return kubectl_json(sandbox, master(), {"get", "node", name}).at("metadata").at("labels"); }
  std::string in_pod(const std::string& pod, const std::string& script) const {
    const auto ran = kubectl(sandbox, master(), {"exec", pod, "--", "/bin/busybox", "sh", "-euc", script});
    INFO(ran.out << ran.err);
    CHECK(ran.code == 0);
    return std::string(trim(ran.out));
  }
  void remove_pods() const { REQUIRE(kubectl(sandbox, master(), {"delete", "pod", "--all", "--now", "--timeout=60s"}).code == 0); }
  [[nodiscard]] std::string log() const { return sandbox.on(node(), {"journalctl", "-q", "-o", "cat", "-u", unit}).out; }
  [[nodiscard]] int registrations() const {
    const auto script = std::format("journalctl -q -o cat -u {} | grep -c 'nvidia.com/gpu: registered with kubelet' || true", unit);
    const auto text = sandbox.on(node(), {"sh", "-c", script}).out;
    return std::atoi(text.c_str());
  }
};

// Made by the first case that needs it, taken down when the program ends.
Gpus& shared() {
  static Gpus one;
  return one;
}

std::set<std::string> words(const std::string& text, char separator) {
  std::set<std::string> out;
  for (const auto& word : split(text, separator))
    if (!trim(word).empty()) out.insert(std::string(trim(word)));
  return out;
}

}  // namespace

TEST_CASE("a pod that asks for two GPUs has these two inside, another the other two, and a third pod waits", "[gpu]") {
  auto& g = shared();
  INFO(g.log());
  REQUIRE(g.allocatable("4"));
  for (const auto* pod : {"one", "two"}) g.run_pod(pod, 2);
  std::set<std::string> ids;
  std::set<std::string> nodes;
  for (const auto* pod : {"one", "two"}) {
    INFO(pod << "\n" << kubectl(g.sandbox, g.master(), {"describe", "pod", pod}).out);
    REQUIRE(g.is(pod, "Running"));
    const auto given = words(g.in_pod(pod, "echo $NVIDIA_VISIBLE_DEVICES"), ',');
    CHECK(given.size() == 2);
    ids.insert(given.begin(), given.end());
    // The GPUs that the variable names are those whose nodes are there, and the driver's common ones; no others.
    std::set<std::string> expected = {"/dev/nvidiactl", "/dev/nvidia-uvm"};
    for (int i = 0; i < 4; ++i)
      if (given.contains(uuid(i))) expected.insert(std::format("/dev/nvidia{}", i));
    CHECK(words(g.in_pod(pod, "ls -d /dev/nvidia*"), '\n') == expected);
    nodes.insert(expected.begin(), expected.end());
    // The container's cgroup lets it use them.
    g.in_pod(pod, "for n in /dev/nvidia*; do echo x > $n; done");
    // The driver's library is where the image's loader looks.
    g.in_pod(pod, "test -s /usr/lib64/libnvidia-ml.so.1");
  }
  CHECK(ids.size() == 4);
  CHECK(nodes.size() == 6);

  g.run_pod("three", 2);
  REQUIRE(eventually(30, [&] {
    for (const auto& condition :
         kubectl_json(g.sandbox, g.master(), {"get", "pod", "three"}).at("status").value("conditions", Json::array()))
      if (condition.at("type") == "PodScheduled" && condition.at("status") == "False")
        return condition.at("message").get<std::string>().contains("Insufficient nvidia.com/gpu");
    return false;
  }));
  REQUIRE(kubectl(g.sandbox, g.master(), {"delete", "pod", "one", "--now"}).code == 0);
  CHECK(g.is("three", "Running"));
  g.remove_pods();
}

TEST_CASE("a GPU that falls ill leaves what can be given and comes back when it is well", "[gpu]") {
  auto& g = shared();
  REQUIRE(g.allocatable("4"));
  g.say(gpus({{3, "lost=1"}}));
  CHECK(g.allocatable("3"));
  CHECK(g.count("capacity") == "4");
  CHECK(g.log().contains(uuid(3) + " is not fit for work: the GPU has fallen off the bus"));
  g.say(gpus());
  CHECK(g.allocatable("4"));
  // The driver reports an error and wants a reset; until then the GPU stays away.
  g.say(gpus({{1, "recovery=1"}}, "xid gpu=1 number=79\n"));
  CHECK(g.allocatable("3"));
  CHECK(g.log().contains(uuid(1) + " is not fit for work: "));
  g.say(gpus({}, "xid gpu=1 number=79\n"));
  CHECK(g.allocatable("4"));
}

TEST_CASE("kubelet restarts and finds the GPUs again each time; a pod keeps those it has", "[gpu]") {
  auto& g = shared();
  REQUIRE(g.allocatable("4"));
  g.run_pod("steady", 2);
  REQUIRE(g.is("steady", "Running"));
  const auto held = words(g.in_pod("steady", "echo $NVIDIA_VISIBLE_DEVICES"), ',');
  for (int i = 0; i < 20; ++i) {
    INFO("restart " << i << "\n" << g.log());
    const auto before = g.registrations();
    g.sandbox.sh(g.node(), "systemctl reset-failed kubelet; systemctl restart kubelet");
    REQUIRE(eventually(60, [&] { return g.registrations() > before; }));
  }
  CHECK(g.allocatable("4"));
  g.run_pod("later", 2);
  REQUIRE(g.is("later", "Running"));
  for (const auto& id : words(g.in_pod("later", "echo $NVIDIA_VISIBLE_DEVICES"), ',')) CHECK_FALSE(held.contains(id));
  CHECK(g.is("steady", "Running"));
  g.remove_pods();
}

TEST_CASE("the agent is killed while pods hold GPUs, and nothing is given twice", "[gpu]") {
  auto& g = shared();
  REQUIRE(g.allocatable("4"));
  g.run_pod("holder", 3);
  REQUIRE(g.is("holder", "Running"));
  const auto held = words(g.in_pod("holder", "echo $NVIDIA_VISIBLE_DEVICES"), ',');
  for (int i = 0; i < 5; ++i) {
    const auto before = g.registrations();
    g.kill_agent();
    REQUIRE(eventually(30, [&] { return g.registrations() > before; }));
  }
  CHECK(g.allocatable("4"));
  g.run_pod("next", 1);
  REQUIRE(g.is("next", "Running"));
  CHECK_FALSE(held.contains(g.in_pod("next", "echo $NVIDIA_VISIBLE_DEVICES")));
  g.remove_pods();
}

// CLOUDOS_GPU_CHAOS_SECONDS=300 ./dev test '[gpu]' is five minutes of it.
TEST_CASE("pods come and go while the agent is killed at random: no GPU is given twice, no label is lost, no zombie is left", "[gpu]") {
  auto& g = shared();
  REQUIRE(g.allocatable("4"));
  const char* wanted = std::getenv("CLOUDOS_GPU_CHAOS_SECONDS");
  const auto until = in(std::chrono::seconds(wanted != nullptr ? std::atoi(wanted) : 45));
  INFO("seed " << Catch::getSeed());
  std::mt19937 random(Catch::getSeed());
  // A pod's life has four moments at which the agent may die.
  const auto perhaps_kill = [&] {
    if (random() % 3 == 0) g.kill_agent();
  };
  const auto labels = g.labels();
  std::map<std::string, std::set<std::string>> holders;
  int started = 0;
  for (int i = 0; i < 4 || std::chrono::steady_clock::now() < until; ++i) {
    const auto pod = std::format("chaos-{}", i);
    INFO(pod);
    perhaps_kill();
    g.run_pod(pod, 2);
    perhaps_kill();
    if (g.settled(pod) == "Running") {
      const auto given = words(g.in_pod(pod, "echo $NVIDIA_VISIBLE_DEVICES"), ',');
      CHECK(given.size() == 2);
      for (const auto& [other, held] : holders)
        for (const auto& id : given) CHECK_FALSE(held.contains(id));
      holders[pod] = given;
      ++started;
    }
    perhaps_kill();
    const auto oldest = holders.size() == 2 ? holders.begin()->first : holders.contains(pod) ? std::string() : pod;
    if (!oldest.empty()) {
      REQUIRE(kubectl(g.sandbox, g.master(), {"delete", "pod", oldest, "--now", "--timeout=60s"}).code == 0);
      holders.erase(oldest);
    }
    for (const auto& [name, value] : labels.items()) CHECK(g.labels().value(name, "") == value.get<std::string>());
  }
  CHECK(started > 0);
  g.remove_pods();
  CHECK(g.allocatable("4"));
  CHECK(g.count("capacity") == "4");
  CHECK(
      trim(g.sandbox.sh(g.node(), "grep -ls '^State:.Z' /proc/[0-9]*/status | xargs -r grep -h '^Name:' | grep cloudos || true")).empty());
}

TEST_CASE("time slicing offers each GPU several times, and MIG instances are resources of their own", "[gpu]") {
  auto& g = shared();
  g.start({.shares = 2});
  CHECK(g.allocatable("8"));
  g.run_pod("shares", 5);
  REQUIRE(g.is("shares", "Running"));
  // Five shares of four GPUs are on all four.
  CHECK(words(g.in_pod("shares", "echo $NVIDIA_VISIBLE_DEVICES"), ',').size() == 4);
  g.remove_pods();

  g.sandbox.sh(
      g.node(),
      "mkdir -p /dev/nvidia-caps /opt/gpu/driver/nvidia/capabilities/gpu0/mig/gi9/ci0; "
      "for n in 66 67; do mknod -m 666 /dev/nvidia-caps/nvidia-cap$n c 1 3; done; "
      "cd /opt/gpu/driver/nvidia/capabilities/gpu0/mig/gi9; echo 'DeviceFileMinor: 66' > access; "
      "echo 'DeviceFileMinor: 67' > ci0/access; "
      // As the unit sees it, which has a /proc of its own (ProtectProc=).
      "printf '[Service]\\nBindPaths=/opt/gpu/driver:/proc/driver\\n' > /etc/systemd/system/cloudos-agent-root.service.d/mig.conf");
  g.say(gpus({{0, "mig=1"}}, "mig gpu=0 uuid=MIG-1d5b9e21-4820-5ae5-abfc-94318197576e gi=9 ci=0 slices=1 compute=1 memory=9856\n"));
  g.start({.mig = "mixed"});
  CHECK(g.allocatable("1", "nvidia.com/mig-1g.10gb"));
  CHECK(g.allocatable("3"));
  g.run_pod("slice", 1, "nvidia.com/mig-1g.10gb");
  REQUIRE(g.is("slice", "Running"));
  CHECK(words(g.in_pod("slice", "ls -d /dev/nvidia[0-9] /dev/nvidia-caps/*"), '\n') ==
        std::set<std::string>{"/dev/nvidia0", "/dev/nvidia-caps/nvidia-cap66", "/dev/nvidia-caps/nvidia-cap67"});
  g.remove_pods();
}

TEST_CASE("the root half's own memory is below two MiB; the rest is pages of the program, which are the page cache's", "[gpu]") {
  auto& g = shared();
  g.say(gpus());
  g.start({});
  REQUIRE(g.allocatable("4"));
  const auto text = g.sandbox.sh(g.node(), "cat /proc/$(systemctl show -p MainPID --value " + std::string(unit) + ")/smaps_rollup");
  int own = -1;
  for (const auto& line : split(text, '\n'))
    if (line.starts_with("Private_Dirty:")) own = std::atoi(line.c_str() + std::string_view("Private_Dirty:").size());
  INFO(text);
  REQUIRE(own > 0);
  CHECK(own < 2 * 1024);
}
