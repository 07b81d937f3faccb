#include "tests/machines/secrets.hpp"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/base/text.hpp"

namespace cloudos::machines {
namespace {

constexpr auto watch = R"(
mkdir -p /root/watched
cd /root/watched
kubectl="/var/lib/cloudos/current/bin/kubectl --cache-dir=/root/watched/cache --kubeconfig=/etc/kubernetes/admin.conf --request-timeout=2s"
while [ ! -e stop ]; do
  cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2> /dev/null | tr '\0' '\n' | sort -u >> processes
  [ ! -e /etc/kubernetes/admin.conf ] || $kubectl get secrets -n kube-system --field-selector=type=bootstrap.kubernetes.io/token \
    -o 'jsonpath={range .items[*]}{.data.token-secret}{"\n"}{end}' >> tokens 2> /dev/null
  sleep 0.1
done
)";

// A line from the middle of each private key: as PEM, and as kubeconfigs hold it (base64 of PEM, from a place where it
// begins a group of three bytes).
constexpr auto keys = R"(
{
sort -u /root/watched/tokens 2> /dev/null | while read -r token; do echo "$token" | base64 -d; echo; done
find /etc/kubernetes /var/lib/kubelet/pki \( -name '*.key' -o -name '*.pem' \) -type f | while read -r file; do
  sed -n '/PRIVATE KEY/,/PRIVATE KEY/p' "$file" | sed -n 2p
done
find /etc/kubernetes -name '*.conf' -type f | while read -r file; do
  sed -n 's/ *client-key-data: //p' "$file" | cut -c 401-460
  sed -n 's/ *client-key-data: //p' "$file" | base64 -d | sed -n 3p
done
} | sed 's/^/found /'
)";

// Everything but where Kubernetes keeps its keys: /etc/kubernetes, /var/lib/kubelet, etcd's data; and what this test wrote.
constexpr auto look = R"(
umask 077
patterns=$(mktemp)
cat > "$patterns"
{
  grep -rsaFl -f "$patterns" /var/lib/cloudos /etc/cloudos /etc/systemd /run /tmp /var/tmp /home /dev/shm || true
  find /root /var/log \( -path /root/watched -o -path /var/log/journal \) -prune -o -type f -exec grep -saFl -f "$patterns" {} + || true
  grep -saFq -f "$patterns" /root/watched/processes && echo processes
  journalctl -aq --no-pager -o export | grep -aFq -f "$patterns" && echo journal
} | grep -vxF "$patterns" | sed 's/^/found /'
rm "$patterns"
)";

// What a script said, without what the machine's greeting says.
std::vector<std::string> marked(const std::string& text) {
  std::vector<std::string> out;
  for (const auto& line : split(text, '\n'))
    if (line.starts_with("found ")) out.emplace_back(trim(line.substr(6)));
  return out;
}

}  // namespace

Watch::Watch(const Sandbox& sandbox) : sandbox_(sandbox) {
  for (const auto& machine : sandbox.machines())
    threads_.emplace_back([&sandbox, machine] { static_cast<void>(sandbox.on(machine, {"sh"}, watch)); });
}

Watch::~Watch() {
  for (const auto& machine : sandbox_.machines()) static_cast<void>(sandbox_.on(machine, {"touch", "/root/watched/stop"}));
}

std::vector<std::string> secrets_of(const Sandbox& sandbox) {
  std::vector<std::string> out;
  for (const auto& machine : sandbox.machines()) {
    const auto found = sandbox.on(machine, {"sh"}, keys);
    INFO(found.err);
    REQUIRE(found.code == 0);
    for (auto& line : marked(found.out))
      if (line.size() >= 16) out.push_back(std::move(line));
  }
  std::ranges::sort(out);
  out.erase(std::ranges::unique(out).begin(), out.end());
  return out;
}

std::vector<std::string> leaks_on(const Sandbox& sandbox, const Machine& machine, const std::vector<std::string>& secrets) {
  // On standard input: else the search itself would be the leak.
  const auto found = sandbox.on(machine, {"sh", "-c", look}, join(secrets, "\n") + "\n");
  return marked(found.out);
}

std::vector<std::string> leaks_below(const std::string& path, const std::vector<std::string>& secrets) {
  std::vector<std::string> out;
  const auto look_at = [&](const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    if (std::ranges::any_of(secrets, [content = text.str()](const auto& secret) { return content.contains(secret); })) out.push_back(file);
  };
  if (std::filesystem::is_regular_file(path)) look_at(path);
  else
    for (const auto& each : std::filesystem::recursive_directory_iterator(path))
      if (each.is_regular_file()) look_at(each.path());
  return out;
}

}  // namespace cloudos::machines
