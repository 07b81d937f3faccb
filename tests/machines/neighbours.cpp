#include "tests/machines/neighbours.hpp"

#include <catch2/catch_test_macros.hpp>

#include "core/os/crypto/crypto.hpp"
#include "images/bundle.hpp"

namespace cloudos::machines {
namespace {

// As the packages of docker.com lay it, with the runtime's programs in a folder of their own.
constexpr auto runtime = R"(
mkdir -p /etc/containerd /etc/docker /etc/cni/net.d /opt/cni/bin
cat > /etc/containerd/config.toml << 'END'
version = 3
disabled_plugins = ["io.containerd.grpc.v1.cri"]
END
cat > /etc/systemd/system/containerd.service << 'END'
[Unit]
Description=containerd container runtime
[Service]
Environment=PATH=/opt/containerd/bin:/usr/sbin:/usr/bin:/sbin:/bin
ExecStart=/opt/containerd/bin/containerd
Type=notify
Delegate=yes
KillMode=process
[Install]
WantedBy=multi-user.target
END
systemctl enable --now containerd.service
root=/opt/containerd/rootfs
mkdir -p $root/proc $root/dev $root/sys
cp --parents -L /bin/sleep $(ldd /bin/sleep | grep -o '/[^ ]*') $root
PATH=/opt/containerd/bin:$PATH ctr run --detach --rootfs $root keeps-running /bin/sleep 1000000
)";

constexpr auto others = R"(
mkdir -p /var/lib/docker/volumes/db/_data /var/lib/docker/containers /var/lib/docker/overlay2/l
echo '{"data-root":"/var/lib/docker"}' > /etc/docker/daemon.json
head -c 300000 /dev/urandom > /var/lib/docker/volumes/db/_data/table
echo 7c1f3f5e > /var/lib/docker/engine-id
echo '{"cniVersion":"1.0.0","name":"podman","plugins":[{"type":"bridge","bridge":"cni-podman0"}]}' > /etc/cni/net.d/87-podman.conflist
cp /bin/true /opt/cni/bin/macvlan
ip link add docker0 type bridge
ip addr add 172.17.0.1/16 dev docker0
ip link set docker0 up
ip rule add fwmark 0x77 lookup 77
ip route add 198.51.100.0/24 dev docker0 table 77
iptables -A INPUT -p tcp --dport 9999 -j DROP
iptables -N DOCKER-USER
iptables -A FORWARD -j DOCKER-USER
iptables -A DOCKER-USER -j RETURN
iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
ip6tables -A INPUT -p tcp --dport 9999 -j DROP
nft add table inet own
nft add chain inet own input '{ type filter hook input priority 5; }'
nft add rule inet own input tcp dport 9998 counter drop
)";

void carry_runtime(const Sandbox& sandbox, const Machine& machine) {
  const auto bundle = images::Bundle::open(machines::bundle(), {.allow_unsigned = true});
  REQUIRE(bundle);
  for (const auto* name : {"containerd", "containerd-shim-runc-v2", "ctr", "runc"}) {
    const auto* file = bundle->index().file(std::string("bin/") + name);
    REQUIRE(file != nullptr);
    auto bytes = bundle->blob(file->digest);
    REQUIRE(bytes);
    std::string content;
    REQUIRE(os::zstd_expand(*bytes, into(content), 256_MiB));
    const auto path = std::string("/opt/containerd/bin/") + name;
    REQUIRE(sandbox.on(machine, {"sh", "-euc", "mkdir -p /opt/containerd/bin; cat > " + path + "; chmod 755 " + path}, content).code == 0);
  }
}

}  // namespace

void lay_neighbours(const Sandbox& sandbox, const Machine& machine) {
  carry_runtime(sandbox, machine);
  for (const auto* script : {runtime, others}) {
    const auto laid = sandbox.on(machine, {"sh", "-eu"}, script);
    INFO(laid.out << laid.err);
    REQUIRE(laid.code == 0);
  }
}

std::string neighbours_alive(const Sandbox& sandbox, const Machine& machine) {
  return sandbox.sh(machine, "systemctl show --value -p MainPID containerd.service; PATH=/opt/containerd/bin:$PATH ctr task ls");
}

}  // namespace cloudos::machines
