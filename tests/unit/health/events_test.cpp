#include "agent/health/detectors.hpp"
#include "samples.hpp"

using namespace cloudos;
using namespace cloudos::health;
using namespace cloudos::health::test;

namespace {

constexpr const char* oom_line =
    "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=cri-containerd-5d2f.scope,mems_allowed=0,"
    "oom_memcg=/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0f1e2d3c_4b5a_6978_8796_a5b4c3d2e1f0.slice,"
    "task_memcg=/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0f1e2d3c_4b5a_6978_8796_a5b4c3d2e1f0.slice/"
    "cri-containerd-5d2f.scope,task=stress,pid=4711,uid=0";

}  // namespace

TEST_CASE("a kill for want of memory names the pod, and is over after ten quiet minutes") {
  Machine machine;
  machine.sample.pods["0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"] = "shop/cart-7";
  machine.says(oom_line);
  const auto out = machine.look();
  CHECK(machine.bad(type::oom));
  REQUIRE_FALSE(out.events.empty());
  CHECK(out.events[0].reason == "OOMKilling");
  CHECK(out.events[0].pod == "shop/cart-7");
  CHECK(out.events[0].message == "process 4711 (stress) of pod shop/cart-7 was killed for want of memory");
  machine.looks(9);
  CHECK(machine.bad(type::oom));
  machine.look();
  CHECK_FALSE(machine.bad(type::oom));
}

TEST_CASE("a log that is read from its beginning does not tell of kills and hangs that are long over") {
  Machine machine;
  machine.looks(120);
  const auto now_us = machine.sample.monotonic_ms * 1000;
  machine.sample.kernel_lines.push_back({.since_boot_us = now_us - 3'600'000'000, .text = oom_line});
  machine.sample.kernel_lines.push_back(
      {.since_boot_us = now_us - 3'600'000'000, .text = "INFO: task dd:12 blocked for more than 120 seconds."});
  const auto out = machine.look();
  CHECK(out.events.empty());
  CHECK_FALSE(machine.bad(type::oom));
  CHECK_FALSE(machine.bad(type::hung));
  // One of five minutes ago is over five minutes earlier than one of now.
  machine.sample.kernel_lines.push_back({.since_boot_us = machine.sample.monotonic_ms * 1000 - 300'000'000, .text = oom_line});
  machine.look();
  CHECK(machine.bad(type::oom));
  machine.looks(6);
  CHECK_FALSE(machine.bad(type::oom));
}

TEST_CASE("a storm of kills is a few events, not thousands") {
  Machine machine;
  for (int i = 0; i < 5000; ++i) machine.says(oom_line);
  const auto out = machine.look();
  CHECK(out.events.size() < 20);
  CHECK(std::ranges::any_of(out.events, [](const auto& e) { return e.message.contains("4984 more processes"); }));
}

TEST_CASE("pods are known by the names that both cgroup drivers give") {
  CHECK(pod_of_cgroup("/kubepods/burstable/pod0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0/5d2f") == "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0");
  CHECK(pod_of_cgroup("/kubepods.slice/kubepods-pod0f1e2d3c_4b5a_6978_8796_a5b4c3d2e1f0.slice/x.scope") ==
        "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0");
  CHECK(pod_of_cgroup("/kubepods/besteffort/pod0f1e2d3c4b5a69788796a5b4c3d2e1f0/5d2f") == "0f1e2d3c4b5a69788796a5b4c3d2e1f0");
  CHECK(pod_of_cgroup("/system.slice/podman.service").empty());
  CHECK(oom_kill_of("oom-kill:constraint=CONSTRAINT_NONE,task_memcg=/user.slice,task=a,pid=1,b,pid=77,uid=0")->pid == 77);
  CHECK_FALSE(oom_kill_of("oom-kill:nonsense"));
}

TEST_CASE("an error of the kernel's own stands until the machine is restarted") {
  Machine machine;
  machine.says("BUG: unable to handle page fault for address: ffffffffdeadbeef");
  machine.sample.tainted = 1U << 7U | 1U << 12U;
  machine.look();
  CHECK(machine.bad(type::oops));
  CHECK(machine.condition(type::oops).message.contains("ffffffffdeadbeef"));
  CHECK(machine.told("KernelOops") == 1);
  machine.looks(1000);
  CHECK(machine.bad(type::oops));
  machine.sample.tainted = 1U << 12U;  // after a restart: only the module from outside the tree
  machine.look();
  CHECK_FALSE(machine.bad(type::oops));
}

TEST_CASE("a hung task is told by name, and is over after ten quiet minutes") {
  Machine machine;
  machine.says("INFO: task jbd2/sda1-8:411 blocked for more than 120 seconds.");
  machine.look();
  CHECK(machine.bad(type::hung));
  CHECK(machine.condition(type::hung).message.contains("jbd2/sda1-8:411"));
  machine.looks(5);
  machine.says("INFO: task jbd2/sda1-8:411 blocked for more than 241 seconds.");
  machine.looks(10);
  CHECK(machine.bad(type::hung));
  CHECK(machine.told("TaskHung") == 1);
  machine.looks(1);
  CHECK_FALSE(machine.bad(type::hung));
  CHECK(machine.told("TasksHungCleared") == 1);
}

TEST_CASE("a link that flaps is told, and when it has been steady for a while") {
  Machine machine;
  machine.look();
  auto& link = machine.sample.links->front();
  for (int i = 0; i < 3; ++i) {
    link.carrier_changes += 2;
    machine.look();
  }
  CHECK(machine.bad(type::flapping));
  CHECK(machine.is_problem(type::flapping, "eth0"));
  machine.looks(9);  // within ten minutes of the last change
  CHECK(machine.bad(type::flapping));
  machine.look();
  CHECK_FALSE(machine.bad(type::flapping));
  CHECK(machine.told("LinkFlapping") == 1);
  CHECK(machine.told("LinkFlappingCleared") == 1);
}

TEST_CASE("a link that is taken out takes its trouble with it") {
  Machine machine;
  machine.sample.links->front().duplex = "half";
  machine.looks(2);
  CHECK(machine.bad(type::duplex));
  CHECK(machine.told("HalfDuplex") == 1);
  machine.sample.links->clear();
  machine.looks(2);
  CHECK_FALSE(machine.bad(type::duplex));
  CHECK(machine.monitor.problems().empty());
}

TEST_CASE("a link that runs half duplex is told, and when it does not any more") {
  Machine machine;
  machine.sample.links->front().duplex = "half";
  machine.look();
  CHECK_FALSE(machine.bad(type::duplex));  // it may still negotiate
  machine.look();
  CHECK(machine.bad(type::duplex));
  machine.sample.links->front().duplex = "full";
  machine.looks(2);
  CHECK_FALSE(machine.bad(type::duplex));
}

TEST_CASE("a runtime that hangs is restarted with growing pauses, thrice an hour, then left alone and said") {
  Machine machine;
  auto& runtime = machine.sample.services[0];
  runtime.answered = false;
  runtime.reason = "no answer to Version within 10 s";
  std::vector<std::int64_t> restarts;
  for (int i = 0; i < 6 * 59; ++i) {  // nearly an hour, every ten seconds
    const auto out = machine.look(10'000);
    for (const auto& restart : out.restarts) {
      CHECK(restart.service == "containerd");
      CHECK(restart.reason == runtime.reason);
      restarts.push_back(machine.now_ms);
    }
  }
  REQUIRE(restarts.size() == 3);
  CHECK(restarts[0] == 30'000);  // the third time that it did not answer
  CHECK(restarts[1] - restarts[0] >= 30'000);
  CHECK(restarts[2] - restarts[1] >= 60'000);
  CHECK(machine.condition(type::runtime).reason == "NotRestartedAgain");
  CHECK(machine.told("ServiceRestarted") == 3);
  CHECK_FALSE(machine.bad(type::kubelet));
  runtime.answered = true;
  machine.looks(2);
  CHECK_FALSE(machine.bad(type::runtime));
  CHECK(machine.told("ContainerRuntimeHungCleared") == 1);
}

TEST_CASE("other thresholds count from the next look on; what stands and what was done within the hour is not forgotten") {
  Machine machine;
  machine.says(oom_line);
  auto& kubelet = machine.sample.services[1];
  kubelet.answered = false;
  std::size_t restarts = 0;
  for (int i = 0; i < 20; ++i) restarts += machine.look(20'000).restarts.size();
  REQUIRE(restarts == 3);
  REQUIRE(machine.bad(type::oom));
  REQUIRE_FALSE(machine.bad(type::pids));

  Thresholds strict;
  strict.used_bad_percent = strict.used_good_percent = 1;
  for (int i = 0; i < 9; ++i) {
    machine.monitor.set(strict, {.first_pause_ms = 1000});
    restarts += machine.look(20'000).restarts.size();
  }
  CHECK(restarts == 3);
  CHECK(machine.condition(type::kubelet).reason == "NotRestartedAgain");
  CHECK(machine.bad(type::oom));
  CHECK(machine.told("OOMKilling") == 1);
  CHECK(machine.bad(type::pids));
}

TEST_CASE("a service that is slow once or twice is not restarted") {
  RestartPolicy policy;
  for (std::int64_t i = 0; i < 300; ++i) {
    const auto verdict = policy.look(i * 10'000, i % 3 == 2);
    CHECK(verdict != RestartPolicy::Verdict::restart);
  }
}

TEST_CASE("an hour after its restarts a service that hangs again is restarted again") {
  RestartPolicy policy;
  int restarts = 0;
  for (std::int64_t i = 0; i < 6 * 60 * 3; ++i) restarts += policy.look(i * 10'000, false) == RestartPolicy::Verdict::restart ? 1 : 0;
  CHECK(restarts >= 7);
  CHECK(restarts <= 9);
}

TEST_CASE("a GPU is as ill as whoever gives it out says, for as long as they say, and for their cause") {
  Machine machine;
  machine.sample.gpus = {{.address = "0000:1b:00.0", .answered = true}, {.address = "0000:43:00.0", .answered = true}};
  machine.look();
  CHECK_FALSE(machine.bad(type::gpu));
  auto& gpu = machine.sample.gpus->front();
  gpu.healthy = false;
  gpu.cause = "Xid 119: the GPU's system processor does not answer";
  gpu.remedy = xid::Remedy::reset;
  machine.look();
  CHECK(machine.condition(type::gpu).reason == "GPUNeedsReset");
  CHECK(machine.condition(type::gpu).message.contains("GPU 0000:1b:00.0: Xid 119"));
  CHECK(machine.is_problem(type::gpu, "0000:1b:00.0"));
  CHECK_FALSE(machine.is_problem(type::gpu, "0000:43:00.0"));
  CHECK(machine.told("GPUNeedsReset") == 1);
  machine.looks(100);
  CHECK(machine.bad(type::gpu));
  machine.sample.gpus->front() = {.address = "0000:1b:00.0", .answered = true};
  machine.look();
  CHECK_FALSE(machine.bad(type::gpu));
  CHECK(machine.told("GPUUnhealthyCleared") == 1);
}

TEST_CASE("what a GPU needs is the condition's reason") {
  for (const auto& [remedy, answered, reason] :
       {std::tuple{xid::Remedy::time, true, "GPUUnfit"}, std::tuple{xid::Remedy::time, false, "GPUDoesNotAnswer"},
        std::tuple{xid::Remedy::reset, false, "GPUNeedsReset"}, std::tuple{xid::Remedy::restart, false, "GPULost"},
        std::tuple{xid::Remedy::replace, true, "GPUNeedsReplacement"}}) {
    Machine machine;
    machine.sample.gpus = {{.address = "0000:1b:00.0", .healthy = false, .cause = "ill", .remedy = remedy, .answered = answered}};
    machine.look();
    CHECK(machine.condition(type::gpu).reason == reason);
  }
}

TEST_CASE("an error in the kernel's log is told of a GPU that is watched, and takes nothing from it that its watcher does not") {
  Machine machine;
  machine.sample.gpus = {{.address = "0000:1b:00.0", .answered = true}};
  machine.says("NVRM: Xid (PCI:0000:1b:00): 79, pid=1, name=x, GPU has fallen off the bus.");
  machine.look();
  CHECK(machine.told("GPUFault") == 1);
  CHECK_FALSE(machine.bad(type::gpu));
}

TEST_CASE("what the kernel's log tells from before is no illness until the watcher has had time to look") {
  Machine machine;
  machine.sample.gpus.emplace();
  machine.says("NVRM: Xid (PCI:0000:1b:00): 79, pid=1, name=x, GPU has fallen off the bus.");
  machine.look();
  CHECK_FALSE(machine.bad(type::gpu));
  Machine other = std::move(machine);
  other.sample.gpus = {{.address = "0000:1b:00.0", .answered = true}};
  other.looks(10);
  CHECK(other.told("GPULost") == 0);
  // A GPU that the watcher never finds is lost, as the log said.
  other.sample.gpus = {{.address = "0000:43:00.0", .answered = true}};
  other.says("NVRM: Xid (PCI:0000:1b:00): 79, pid=1, name=x, GPU has fallen off the bus.");
  other.look();
  CHECK(other.condition(type::gpu).reason == "GPULost");
}

TEST_CASE("where nobody watches GPUs, one that reports a fault in the kernel's log needs a reset, and stays so") {
  Machine machine;
  machine.says("NVRM: Xid (PCI:0000:1b:00): 119, pid=1234, name=python, Timeout after 6s of waiting for RPC response from GPU0 GSP!");
  machine.look();
  CHECK(machine.condition(type::gpu).reason == "GPUNeedsReset");
  CHECK(machine.condition(type::gpu).message.contains("Xid 119"));
  CHECK(machine.is_problem(type::gpu, "0000:1b:00.0"));
  CHECK(machine.told("GPUFault") == 1);
  machine.looks(100);
  CHECK(machine.bad(type::gpu));
}

TEST_CASE("where nobody watches GPUs, an error that nobody knows is an illness until nothing came for a while") {
  Machine machine;
  machine.says("NVRM: Xid (PCI:0000:1b:00): 4711, what?");
  machine.looks(9);
  CHECK(machine.condition(type::gpu).reason == "GPUUnfit");
  machine.looks(4);
  CHECK_FALSE(machine.bad(type::gpu));
  CHECK(machine.told("GPUUnhealthyCleared") == 1);
}

TEST_CASE("an application's fault is an event, and its GPU stays well") {
  Machine machine;
  machine.sample.gpus = {{.address = "0000:1b:00.0", .answered = true}};
  machine.says("NVRM: Xid (PCI:0000:1b:00): 31, pid=99, name=train.py, Ch 00000008, intr 00000000. MMU Fault");
  machine.look();
  CHECK(machine.told("GPUApplicationFault") == 1);
  CHECK_FALSE(machine.bad(type::gpu));
}

TEST_CASE("a GPU that fell off the bus is lost, also when nobody can ask its driver") {
  Machine machine;
  machine.says("NVRM: Xid (PCI:0000:1b:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.");
  machine.looks(100);
  CHECK(machine.condition(type::gpu).reason == "GPULost");
  machine.sample.gpus = {{.address = "0000:1b:00.0", .healthy = false, .cause = "no answer", .answered = false}};
  machine.looks(10);
  CHECK(machine.bad(type::gpu));
  machine.sample.gpus->front() = {.address = "0000:1b:00.0", .answered = true};
  machine.looks(3);
  CHECK_FALSE(machine.bad(type::gpu));
}

TEST_CASE("what Xid errors mean is known, and an unknown one is taken seriously") {
  CHECK(xid::remedy_of(13) == xid::Remedy::none);
  CHECK(xid::remedy_of(79) == xid::Remedy::restart);
  CHECK(xid::remedy_of(64) == xid::Remedy::replace);
  CHECK(xid::remedy_of(48) == xid::Remedy::reset);
  CHECK(xid::remedy_of(12345) == xid::Remedy::time);
  CHECK_FALSE(xid_of("NVRM: Xid (PCI:0000:1b:00) garbage"));
  CHECK(xid_of("NVRM: Xid (PCI:0000:1b:00): 63, Row remapper")->address == "0000:1b:00.0");
}

TEST_CASE("a CPU or GPU that slows down for heat is told, and when it has been cool for a while") {
  Machine machine;
  machine.sample.gpus = {{.address = "0000:1b:00.0", .answered = true}};
  machine.look();
  CHECK_FALSE(machine.bad(type::thermal));  // what was counted before we came is past
  machine.sample.cpu_throttles["package 0"] += 3;
  machine.sample.gpus->front().too_hot = true;
  machine.look();
  CHECK(machine.is_problem(type::thermal, "CPU package 0"));
  CHECK(machine.is_problem(type::thermal, "GPU 0000:1b:00.0"));
  CHECK(machine.told("TooHot") == 2);
  machine.sample.gpus->front().too_hot = false;
  machine.looks(10);
  CHECK_FALSE(machine.bad(type::thermal));
}

TEST_CASE("memory errors that could not be corrected are told for a day, many corrected ones for their hour") {
  Machine machine;
  machine.look();
  machine.sample.memory_errors["mc0"].uncorrected = 1;
  machine.look();
  CHECK(machine.condition(type::memory).reason == "UncorrectedMemoryErrors");
  machine.looks(23, 60 * minute);
  CHECK(machine.bad(type::memory));
  machine.looks(2, 60 * minute);
  CHECK_FALSE(machine.bad(type::memory));
  machine.sample.memory_errors["mc0"].corrected += 150;
  machine.look();
  CHECK(machine.condition(type::memory).reason == "ManyCorrectedMemoryErrors");
  machine.looks(60);
  CHECK_FALSE(machine.bad(type::memory));
}

TEST_CASE("memory errors are forgotten when their counters are set back") {
  Machine machine;
  machine.sample.memory_errors["mc0"] = {.corrected = 7, .uncorrected = 7};
  machine.look();
  machine.sample.memory_errors["mc0"].uncorrected = 8;
  machine.look();
  CHECK(machine.bad(type::memory));
  machine.sample.memory_errors["mc0"] = {.corrected = 0, .uncorrected = 0};
  machine.look();
  CHECK_FALSE(machine.bad(type::memory));
  machine.sample.memory_errors["mc0"].uncorrected = 1;
  machine.look();
  CHECK(machine.bad(type::memory));
}

TEST_CASE("the memory of a monitor is bounded whatever a sample holds") {
  Machine machine;
  for (int i = 0; i < 3000; ++i) {
    machine.sample.links->push_back({.name = "x" + std::to_string(i), .carrier = true, .duplex = "half"});
    machine.says("NVRM: Xid (PCI:0000:" + std::to_string(i) + ":00): 79, x");
  }
  machine.looks(2);
  CHECK(machine.monitor.problems().size() <= 1024);
}
