// One emulated VM with the stock kernel of Debian 13: cgroup v2, the systemd cgroup driver, real kernel modules. The road that
// most real servers take, and slow where no KVM is: `./dev test vm`, outside of what runs on every change.
#include <catch2/catch_test_macros.hpp>
#include <iostream>

#include "core/base/text.hpp"
#include "tests/machines/machines.hpp"

using namespace cloudos;
using namespace cloudos::machines;

namespace {

constexpr auto pod = R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"probe"},"spec":{"terminationGracePeriodSeconds":1,
 "tolerations":[{"operator":"Exists"}],"restartPolicy":"Never",
 "containers":[{"name":"probe","image":"cloudos.local/flannel:v0.28.10","imagePullPolicy":"Never",
  "command":["/bin/busybox","sh","-c","cat /sys/fs/cgroup/memory.max; exec /bin/busybox sleep 100000"],
  "resources":{"limits":{"memory":"48Mi"}}}]}})";

}  // namespace

TEST_CASE("a machine with Debian 13's own kernel, cgroup v2 and the systemd cgroup driver becomes a cluster that runs a pod", "[vm]") {
  const Sandbox sandbox("t-vm", 1, 0, {"--vm", "--release", "trixie"});
  const auto& master = sandbox.named("master-1");
  std::cout << sandbox.sh(master, "uname -srvm; stat -f -c %T /sys/fs/cgroup; systemd-detect-virt || true");
  const auto installed = sandbox.install(master.address, "");
  INFO(installed.out.substr(installed.out.size() > 6000 ? installed.out.size() - 6000 : 0) << installed.err);
  REQUIRE(installed.code == 0);

  REQUIRE(kubectl(sandbox, master, {"apply", "-f", "-"}, pod).code == 0);
  CHECK(kubectl(sandbox, master, {"wait", "--for=condition=Ready", "pod/probe", "--timeout=900s"}).code == 0);
  CHECK(trim(kubectl(sandbox, master, {"logs", "probe"}).out) == "50331648");
  const auto configured = sandbox.sh(master,
                                     "grep -i cgroupDriver /var/lib/kubelet/config.yaml; stat -f -c %T /sys/fs/cgroup; "
                                     "systemctl show -P ControlGroup cloudos-containerd.service");
  CHECK(configured.contains("systemd"));
  CHECK(configured.contains("cgroup2fs"));
  std::cout << configured << kubectl(sandbox, master, {"get", "nodes,pods", "-A", "-o", "wide"}).out;
  CHECK(sandbox.escapes() == 0);

  const auto again = sandbox.install(master.address, "");
  for (const auto& event : lines(again.out))
    if (event.value("event", "") == "run-done") CHECK(event.at("outputs").at("applied") == "0");
  CHECK(again.code == 0);
}
