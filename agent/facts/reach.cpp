#include <algorithm>
#include <cerrno>
#include <cstring>
#include <format>

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <nlohmann/json.hpp>

#include "agent/facts/facts.hpp"
#include "core/base/ip.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::facts {

namespace {

// A socket address of either family.
struct Endpoint {
  sockaddr_storage storage{};
  socklen_t size = 0;
  [[nodiscard]] sockaddr* get() { return static_cast<sockaddr*>(static_cast<void*>(&storage)); }
};

Endpoint endpoint_of(const Ip& ip, std::uint16_t port) {
  Endpoint out;
  void* const raw = &out.storage;
  if (ip.v6) {
    auto& in6 = *static_cast<sockaddr_in6*>(raw);
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(port);
    std::memcpy(&in6.sin6_addr, ip.bytes.data(), 16);
    out.size = sizeof in6;
  } else {
    auto& in4 = *static_cast<sockaddr_in*>(raw);
    in4.sin_family = AF_INET;
    in4.sin_port = htons(port);
    std::memcpy(&in4.sin_addr, ip.bytes.data(), 4);
    out.size = sizeof in4;
  }
  return out;
}

std::string local_address(int fd) {
  Endpoint local;
  local.size = sizeof local.storage;
  if (getsockname(fd, local.get(), &local.size) != 0) return {};
  Ip ip;
  ip.v6 = local.storage.ss_family == AF_INET6;
  const void* raw = &local.storage;
  if (ip.v6) std::memcpy(ip.bytes.data(), &static_cast<const sockaddr_in6*>(raw)->sin6_addr, 16);
  else std::memcpy(ip.bytes.data(), &static_cast<const sockaddr_in*>(raw)->sin_addr, 4);
  return ip.text();
}

// The path MTU as the kernel knows it: that of the link until an ICMP answer, or a route, told it of a smaller one.
int path_mtu(int fd, bool v6) {
  int mtu = 0;
  socklen_t size = sizeof mtu;
  const int failed = v6 ? getsockopt(fd, IPPROTO_IPV6, IPV6_MTU, &mtu, &size) : getsockopt(fd, IPPROTO_IP, IP_MTU, &mtu, &size);
  return failed == 0 ? mtu : 0;
}

// Sends datagrams as large as the path is believed to be, which may not be fragmented: a router on the way with a smaller
// link answers, and the kernel then knows. Nobody needs to listen (RFC 1191; port 9 is "discard").
int probed_mtu(const Ip& ip, Deadline until) {
  const os::Fd fd(socket(ip.v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  auto to = endpoint_of(ip, 9);
  if (!fd || connect(fd.get(), to.get(), to.size) != 0) return 0;
  const int always = IP_PMTUDISC_DO;
  if (ip.v6) setsockopt(fd.get(), IPPROTO_IPV6, IPV6_MTU_DISCOVER, &always, sizeof always);
  else setsockopt(fd.get(), IPPROTO_IP, IP_MTU_DISCOVER, &always, sizeof always);
  int mtu = path_mtu(fd.get(), ip.v6);
  const int headers = ip.v6 ? 48 : 28;
  for (int round = 0; round < 4 && mtu > headers; ++round) {
    const std::vector<char> datagram(static_cast<std::size_t>(std::min(mtu, 65'535) - headers));
    (void)send(fd.get(), datagram.data(), datagram.size(), MSG_NOSIGNAL);
    const auto left = std::chrono::duration_cast<Milliseconds>(until - std::chrono::steady_clock::now()).count();
    pollfd wait{.fd = fd.get(), .events = 0, .revents = 0};
    poll(&wait, 1, static_cast<int>(std::clamp<std::int64_t>(left, 0, 100)));
    int ignored = 0;
    socklen_t size = sizeof ignored;
    getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &ignored, &size);
    const int now = path_mtu(fd.get(), ip.v6);
    if (now == mtu) break;
    mtu = now;
  }
  return mtu;
}

// One target on its way.
struct Attempt {
  const ReachTarget* target = nullptr;
  Ip ip;
  os::Fd fd;
  model::Reach answer;
  bool open = false;  // still waiting

  void fail_with(std::string reason) {
    answer.reason = std::move(reason);
    open = false;
  }
  void fail_with_errno(int error) {
    fail_with(fail_errno(std::format("connecting to {}", host_port(target->host, target->port)), error).error().message);
  }
  void succeed() {
    answer.tcp = true;
    answer.source = local_address(fd.get());
    open = false;
  }
};

Attempt start(const MachineId& from, const ReachTarget& target) {
  Attempt attempt{.target = &target, .ip = {}, .fd = {}, .answer = {.from = from, .to = target.id}};
  const auto ip = Ip::parse(target.host);
  if (!ip) {
    attempt.fail_with(ip.error().message);
    return attempt;
  }
  attempt.ip = *ip;
  attempt.fd = os::Fd(socket(ip->v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  auto to = endpoint_of(*ip, target.port);
  if (attempt.fd && connect(attempt.fd.get(), to.get(), to.size) == 0) attempt.succeed();
  else if (attempt.fd && errno == EINPROGRESS) attempt.open = true;
  else attempt.fail_with_errno(errno);
  return attempt;
}

void settle(Attempt& attempt) {
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(attempt.fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error == 0) attempt.succeed();
  else attempt.fail_with_errno(error);
}

// Waits for all that are open, until the deadline.
void wait_for(std::vector<Attempt>& attempts, Deadline deadline) {
  while (true) {
    std::vector<pollfd> waits;
    std::vector<Attempt*> waiting;
    for (auto& attempt : attempts) {
      if (!attempt.open) continue;
      waits.push_back({.fd = attempt.fd.get(), .events = POLLOUT, .revents = 0});
      waiting.push_back(&attempt);
    }
    const auto left = std::chrono::ceil<Milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    if (waits.empty() || left <= 0 || poll(waits.data(), waits.size(), static_cast<int>(left)) < 0) return;
    for (std::size_t i = 0; i < waits.size(); ++i) {
      if (waits[i].revents != 0) settle(*waiting[i]);
    }
  }
}

}  // namespace

Result<ReachRequest> parse_reach_request(std::string_view text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("targets") || !json["targets"].is_array()) {
    return fail(ErrorKind::input, "a reach request is an object with \"from\" and \"targets\"");
  }
  ReachRequest request;
  try {
    request.from.value = json.value("from", "");
    for (const auto& target : json["targets"]) {
      request.targets.push_back({.id = {target.at("id").get<std::string>()},
                                 .host = target.at("host").get<std::string>(),
                                 .port = target.value("port", std::uint16_t{22}),
                                 .mtu_probe = target.value("mtu_probe", false)});
    }
  } catch (const nlohmann::json::exception& e) { return fail(ErrorKind::input, std::format("a reach request's target: {}", e.what())); }
  return request;
}

std::vector<model::Reach> reach(const ReachRequest& request, Milliseconds patience) {
  const auto deadline = in(patience);
  std::vector<Attempt> attempts;
  for (const auto& target : request.targets) attempts.push_back(start(request.from, target));
  wait_for(attempts, deadline);
  std::vector<model::Reach> answers;
  for (auto& attempt : attempts) {
    if (attempt.open)
      attempt.fail_with(std::format("{} did not answer within {} s", host_port(attempt.target->host, attempt.target->port),
                                    static_cast<double>(patience.count()) / 1000));
    if (attempt.answer.tcp && attempt.target->mtu_probe) attempt.answer.mtu = probed_mtu(attempt.ip, deadline);
    answers.push_back(std::move(attempt.answer));
  }
  return answers;
}

}  // namespace cloudos::facts
