#include "agent/balancer/balancer.hpp"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <format>
#include <set>
#include <unordered_map>

namespace cloudos::balancer {
namespace {

using Clock = std::chrono::steady_clock;

struct Target {
  Master master;
  sockaddr_storage address{};
  socklen_t length = 0;
  bool local = false;
  bool up = true;
  Clock::time_point probe_at = Clock::time_point::max();  // when it is down
  Clock::time_point settled_at{};                         // when it is up

  enum class Trust : std::uint8_t { settled, fresh, none };
  [[nodiscard]] Trust trust(Clock::time_point now) const { return !up ? Trust::none : settled_at > now ? Trust::fresh : Trust::settled; }
};

std::set<std::string> own_addresses() {
  std::set<std::string> out;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return out;
  for (const auto* at = list; at != nullptr; at = at->ifa_next) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (at->ifa_addr == nullptr) continue;
    const void* raw = nullptr;
    if (at->ifa_addr->sa_family == AF_INET) raw = &reinterpret_cast<const sockaddr_in*>(at->ifa_addr)->sin_addr;
    if (at->ifa_addr->sa_family == AF_INET6) raw = &reinterpret_cast<const sockaddr_in6*>(at->ifa_addr)->sin6_addr;
    if (raw != nullptr && inet_ntop(at->ifa_addr->sa_family, raw, text.data(), text.size()) != nullptr) out.insert(text.data());
  }
  freeifaddrs(list);
  return out;
}

Target target_of(const Master& master, const std::set<std::string>& own) {
  Target target{.master = master, .local = own.contains(master.address)};
  auto* v4 = reinterpret_cast<sockaddr_in*>(&target.address);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&target.address);
  if (inet_pton(AF_INET, master.address.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(master.port);
    target.length = sizeof *v4;
  } else if (inet_pton(AF_INET6, master.address.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(master.port);
    target.length = sizeof *v6;
  }
  return target;
}

// One direction of a connection: bytes read that the other side did not take yet. While there are any, nothing more is
// read, so the memory of a slow peer is one scratch buffer at most.
struct Pipe {
  std::vector<std::byte> waiting;
  std::size_t sent = 0;
  bool ended = false;   // the reader saw the end
  bool closed = false;  // and the writer was told
  [[nodiscard]] bool backlog() const { return sent < waiting.size(); }
};

// A client and the master it talks to; or, with no client, a look at a master that was down.
struct Flow {
  os::Fd client, upstream;
  Master master;
  bool connecting = true;
  bool dead = false;
  Clock::time_point connect_by{};
  std::vector<Master> tried;
  Pipe up, down;
};

int error_of(int fd) {
  int code = 0;
  socklen_t size = sizeof code;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size) == 0 ? code : errno;
}

void set(int fd, int level, int option, int value) { setsockopt(fd, level, option, &value, sizeof value); }

bool exhausted(int code) { return code == EMFILE || code == ENFILE; }
bool silent(int code) { return code == ETIMEDOUT || code == EHOSTUNREACH || code == ENETUNREACH || code == EHOSTDOWN; }

}  // namespace

struct Balancer::State {
  os::Fd listener, epoll;
  std::vector<Target> targets;
  Timing timing;
  Log& log;
  std::unordered_map<int, std::shared_ptr<Flow>> by_fd;
  std::size_t next = 0;
  bool accepting = true;
  std::array<std::byte, 65536> scratch{};

  State(os::Fd l, const Timing& t, Log& g) : listener(std::move(l)), timing(t), log(g) {}

  void watch(int fd, std::uint32_t events) const {
    epoll_event event{.events = events, .data = {.fd = fd}};
    epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event);
  }

  // epoll tells of a hang-up whether asked or not, and again and again until the descriptor goes. One that is waited for in
  // neither direction (the other side does not take what was read) is therefore taken out until it is.
  void rewatch(int fd, std::uint32_t events) const {
    epoll_event event{.events = events, .data = {.fd = fd}};
    if (events == 0) epoll_ctl(epoll.get(), EPOLL_CTL_DEL, fd, nullptr);
    else if (epoll_ctl(epoll.get(), EPOLL_CTL_MOD, fd, &event) != 0 && errno == ENOENT) epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event);
  }

  Target* find(const Master& master) {
    const auto at = std::ranges::find(targets, master, &Target::master);
    return at == targets.end() ? nullptr : &*at;
  }

  // The master for a new connection: among those that have answered for a while one here, then the others in turn; when there
  // is none, among those that answer since a moment ago; then among those that did not.
  Target* choose(const std::vector<Master>& tried) {
    const auto now = Clock::now();
    for (const auto trust : {Target::Trust::settled, Target::Trust::fresh, Target::Trust::none}) {
      const auto fits = [&](const Target& t) { return t.trust(now) == trust && std::ranges::find(tried, t.master) == tried.end(); };
      for (auto& t : targets)
        if (t.local && fits(t)) return &t;
      for (std::size_t i = 0; i < targets.size(); ++i) {
        auto& t = targets[(next + i) % targets.size()];
        if (!fits(t)) continue;
        next = (next + i + 1) % targets.size();
        return &t;
      }
    }
    return nullptr;
  }

  void forget(int fd) {
    if (fd < 0) return;
    epoll_ctl(epoll.get(), EPOLL_CTL_DEL, fd, nullptr);
    by_fd.erase(fd);
  }

  // Closing is left to the end of the round (reap): a descriptor must not be reused while its old events are still in hand.
  std::vector<std::shared_ptr<Flow>> graves;
  void bury(const std::shared_ptr<Flow>& flow) {
    if (flow->dead) return;
    flow->dead = true;
    forget(flow->client.get());
    forget(flow->upstream.get());
    graves.push_back(flow);
  }

  void mark_down(const Master& master, std::string_view why) {
    auto* target = find(master);
    if (target == nullptr || !target->up) return;
    log.warning("master {}:{} does not answer ({}); using the others", master.address, master.port, why);
    target->up = false;
    target->probe_at = Clock::now() + timing.probe;
    // Those who talk through it would wait for a machine that is gone.
    std::vector<std::shared_ptr<Flow>> through;
    for (const auto& [fd, flow] : by_fd)
      if (flow->master == master && !flow->connecting) through.push_back(flow);
    for (const auto& flow : through) bury(flow);
  }

  void mark_up(const Master& master) {
    if (auto* target = find(master); target != nullptr && !target->up) {
      log.info("master {}:{} answers again", master.address, master.port);
      target->up = true;
      target->probe_at = Clock::time_point::max();
      target->settled_at = Clock::now() + timing.settle;
    }
  }

  // Starts a connection to a master. False when it failed at once.
  bool dial(const std::shared_ptr<Flow>& flow, const Target& target) {
    os::Fd fd(socket(target.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) return false;
    const auto silence = static_cast<int>(timing.silence.count());
    set(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
    set(fd.get(), SOL_SOCKET, SO_KEEPALIVE, 1);
    set(fd.get(), IPPROTO_TCP, TCP_KEEPIDLE, std::max(1, silence / 2000));
    set(fd.get(), IPPROTO_TCP, TCP_KEEPINTVL, 1);
    set(fd.get(), IPPROTO_TCP, TCP_KEEPCNT, std::max(1, silence / 2000));
    set(fd.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, silence);
    if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&target.address), target.length) != 0 && errno != EINPROGRESS) return false;
    flow->master = target.master;
    flow->tried.push_back(target.master);
    flow->connecting = true;
    flow->connect_by = Clock::now() + timing.connect;
    flow->upstream = std::move(fd);
    by_fd[flow->upstream.get()] = flow;
    watch(flow->upstream.get(), EPOLLOUT);
    return true;
  }

  void dial_next(const std::shared_ptr<Flow>& flow) {
    for (auto* target = choose(flow->tried); target != nullptr; target = choose(flow->tried)) {
      const auto master = target->master;
      if (dial(flow, *target)) return;
      if (exhausted(errno)) break;
      flow->tried.push_back(master);
      mark_down(master, "cannot be dialled");
    }
    bury(flow);  // nobody answers: the client learns it at once and tries again in its own time
  }

  void accept_from(bool backlog) {
    if (backlog == accepting) return;
    accepting = backlog;
    if (!backlog) log.warning("all file descriptors are in use: new connections wait until one ends");
    rewatch(listener.get(), backlog ? std::uint32_t{EPOLLIN} : 0U);
  }

  void reap() {
    if (graves.empty()) return;
    graves.clear();
    accept_from(true);
  }

  void accept_all() {
    for (;;) {
      os::Fd client(accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!client) {
        // Out of descriptors: whoever waits stays in the backlog until a connection ends (reap), and costs no time.
        if (exhausted(errno)) accept_from(false);
        return;
      }
      set(client.get(), IPPROTO_TCP, TCP_NODELAY, 1);
      auto flow = std::make_shared<Flow>();
      flow->client = std::move(client);
      by_fd[flow->client.get()] = flow;
      watch(flow->client.get(), 0);
      dial_next(flow);
    }
  }

  void refused(const std::shared_ptr<Flow>& flow, std::string_view why) {
    const auto master = flow->master;
    forget(flow->upstream.get());
    flow->upstream.reset();
    if (auto* target = find(master); target != nullptr && !target->up) target->probe_at = Clock::now() + timing.probe;
    mark_down(master, why);
    if (flow->client) dial_next(flow);
    else bury(flow);
  }

  void connected(const std::shared_ptr<Flow>& flow) {
    if (const int code = error_of(flow->upstream.get()); code != 0) return refused(flow, strerror(code));
    mark_up(flow->master);
    if (!flow->client) return bury(flow);  // it was a look
    flow->connecting = false;
    interest(*flow);
  }

  // What each side is to be woken for, from what is still to be moved.
  void interest(const Flow& flow) const {
    const auto events = [](const Pipe& reads, const Pipe& writes) {
      std::uint32_t wanted = 0;
      if (!reads.ended && !reads.backlog()) wanted |= EPOLLIN;
      if (writes.backlog()) wanted |= EPOLLOUT;
      return wanted;
    };
    rewatch(flow.client.get(), events(flow.up, flow.down));
    rewatch(flow.upstream.get(), events(flow.down, flow.up));
  }

  // Moves what can be moved. False: the connection broke, errno says how.
  bool flush(Pipe& pipe, int to) const {
    while (pipe.backlog()) {
      const auto n = send(to, pipe.waiting.data() + pipe.sent, pipe.waiting.size() - pipe.sent, MSG_NOSIGNAL);
      if (n < 0) return errno == EAGAIN || errno == EINTR;
      pipe.sent += static_cast<std::size_t>(n);
    }
    pipe.waiting = {};  // gives the memory back
    pipe.sent = 0;
    if (pipe.ended && !pipe.closed) {
      pipe.closed = true;
      shutdown(to, SHUT_WR);
    }
    return true;
  }

  bool pump(Pipe& pipe, int from, int to) {
    if (!pipe.ended && !pipe.backlog()) {
      const auto n = recv(from, scratch.data(), scratch.size(), 0);
      if (n < 0) return errno == EAGAIN || errno == EINTR;
      if (n == 0) pipe.ended = true;
      else pipe.waiting.assign(scratch.begin(), scratch.begin() + n);
    }
    return flush(pipe, to);
  }

  void move(const std::shared_ptr<Flow>& flow, int fd, std::uint32_t events) {
    const int client = flow->client.get();
    const int upstream = flow->upstream.get();
    if ((events & EPOLLERR) != 0) {
      const int code = error_of(fd);
      if (fd == upstream && silent(code)) mark_down(flow->master, strerror(code));
      return bury(flow);
    }
    const bool ok = pump(flow->up, client, upstream) && pump(flow->down, upstream, client);
    if (!ok && silent(errno)) mark_down(flow->master, strerror(errno));
    if (!ok || (flow->up.closed && flow->down.closed)) return bury(flow);
    interest(*flow);
  }

  void handle(int fd, std::uint32_t events) {
    if (fd == listener.get()) return accept_all();
    const auto at = by_fd.find(fd);
    if (at == by_fd.end()) return;
    const auto flow = at->second;
    if (!flow->connecting) return move(flow, fd, events);
    if (fd == flow->upstream.get()) return connected(flow);
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) bury(flow);  // the client went while we dialled
  }

  void look_at(const Target& target) {
    auto look = std::make_shared<Flow>();
    if (!dial(look, target)) bury(look);
  }

  void expire() {
    const auto now = Clock::now();
    std::vector<std::shared_ptr<Flow>> late;
    for (const auto& [fd, flow] : by_fd)
      if (flow->connecting && fd == flow->upstream.get() && flow->connect_by <= now) late.push_back(flow);
    for (const auto& flow : late) refused(flow, "no answer in time");
    for (auto& target : targets)
      if (!target.up && target.probe_at <= now) {
        target.probe_at = now + timing.probe;
        look_at(target);
      }
  }

  int patience() const {
    auto until = Clock::time_point::max();
    for (const auto& [fd, flow] : by_fd)
      if (flow->connecting) until = std::min(until, flow->connect_by);
    for (const auto& target : targets) until = std::min(until, target.probe_at);
    if (until == Clock::time_point::max()) return -1;
    const auto left = std::chrono::ceil<Milliseconds>(until - Clock::now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
  }
};

Balancer::Balancer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Balancer::~Balancer() = default;
Balancer::Balancer(Balancer&&) noexcept = default;
Balancer& Balancer::operator=(Balancer&&) noexcept = default;

Result<Balancer> Balancer::make(os::Fd listener, const std::vector<Master>& masters, const Timing& timing, Log& log) {
  auto state = std::make_unique<State>(std::move(listener), timing, log);
  state->epoll = os::Fd(epoll_create1(EPOLL_CLOEXEC));
  if (!state->epoll) return fail_errno("epoll_create1", errno);
  state->watch(state->listener.get(), EPOLLIN);
  Balancer balancer(std::move(state));
  balancer.set_masters(masters);
  return balancer;
}

void Balancer::set_masters(const std::vector<Master>& masters) {
  const auto own = own_addresses();
  std::vector<Target> targets;
  for (const auto& master : masters) {
    const auto* known = state_->find(master);
    targets.push_back(known != nullptr ? *known : target_of(master, own));
  }
  state_->targets = std::move(targets);
  state_->next = 0;
  // Known before it is needed, so that one that starts later is seen to start.
  for (const auto& target : state_->targets) state_->look_at(target);
}

Status Balancer::serve(int wake, const std::function<bool()>& on_wake) {
  state_->watch(wake, EPOLLIN);
  std::array<epoll_event, 64> events{};
  for (;;) {
    const int n = epoll_wait(state_->epoll.get(), events.data(), events.size(), state_->patience());
    if (n < 0 && errno != EINTR) return fail_errno("epoll_wait", errno);
    for (int i = 0; i < n; ++i) {
      const auto& event = events[static_cast<std::size_t>(i)];
      if (event.data.fd != wake) state_->handle(event.data.fd, event.events);
      else if (!on_wake()) return {};
    }
    state_->expire();
    state_->reap();
  }
}

}  // namespace cloudos::balancer
