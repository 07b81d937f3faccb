#include "tests/machines/recorder.hpp"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <sstream>

namespace cloudos::machines {

namespace {

// "C <seconds> <CPU time, ns>" every few milliseconds and "M <seconds> <bytes>" ten times less often. The machine is a
// container: the root of the control groups that it sees is its own. What was read from files and not used since is no use.
constexpr auto script = R"(
rm -f /run/recorded; touch /run/recording
for d in /sys/fs/cgroup/cpuacct /sys/fs/cgroup/cpu,cpuacct; do [ -f $d/cpuacct.usage ] && cpu=$d; done
memory() {
  local used= inactive= key value
  if [ -n "$cpu" ]; then
    read -r used < /sys/fs/cgroup/memory/memory.usage_in_bytes
    while read -r key value; do [ $key = total_inactive_file ] && inactive=$value; done < /sys/fs/cgroup/memory/memory.stat
  else
    read -r used < /sys/fs/cgroup/memory.current
    while read -r key value; do [ $key = inactive_file ] && inactive=$value; done < /sys/fs/cgroup/memory.stat
  fi
  echo M $EPOCHREALTIME $((used - inactive))
}
cpu() {
  local key used at=$EPOCHREALTIME
  if [ -n "$cpu" ]; then read -r used < $cpu/cpuacct.usage
  else read -r key used < /sys/fs/cgroup/cpu.stat; used=${used}000; fi
  echo C $at $used
}
while [ ! -e /run/recorded ] && [ $SECONDS -lt 180 ]; do
  memory
  for ((n = 0; n < 10; n++)); do cpu; for ((i = 0; i < 300; i++)); do :; done; done
done
rm -f /run/recorded /run/recording
)";

}  // namespace

Recorder::Recorder(const Sandbox& sandbox, Machine machine) : sandbox_(sandbox), machine_(std::move(machine)) {
  running_ = std::async(std::launch::async, [this] { return sandbox_.on(machine_, {"bash", "-c", script}); });
  REQUIRE(eventually(20, [&] { return sandbox_.on(machine_, {"test", "-e", "/run/recording"}).code == 0; }));
}

Recorder::~Recorder() {
  if (running_.valid()) static_cast<void>(sandbox_.on(machine_, {"touch", "/run/recorded"}));
}

void Recorder::stop() {
  sandbox_.sh(machine_, "touch /run/recorded");
  const auto ran = running_.get();
  INFO(ran.err);
  REQUIRE(ran.code == 0);
  std::istringstream in(ran.out);
  char kind = 0;
  for (double seconds = 0, value = 0; in >> kind >> seconds >> value;) {
    if (kind == 'C') time_.push_back({.at_us = seconds * 1e6, .value = value / 1000});
    else memory_.push_back({.at_us = seconds * 1e6, .value = value});
  }
  REQUIRE(time_.size() > 100);
}

double Recorder::time_at(double at_us) const {
  const auto after = std::ranges::lower_bound(time_, at_us, {}, &Point::at_us);
  REQUIRE(after != time_.begin());
  REQUIRE(after != time_.end());
  const auto before = after - 1;
  return before->value + (after->value - before->value) * (at_us - before->at_us) / (after->at_us - before->at_us);
}

double Recorder::cpu_us(std::int64_t from_us, std::int64_t to_us) const {
  return time_at(static_cast<double>(to_us)) - time_at(static_cast<double>(from_us));
}

Recorder::Range Recorder::memory(std::int64_t at_us) const {
  constexpr double around_us = 1e6;
  Range range{.least = 1e18, .most = 0};
  for (const auto& point : memory_) {
    if (std::abs(point.at_us - static_cast<double>(at_us)) > around_us) continue;
    range = {.least = std::min(range.least, point.value), .most = std::max(range.most, point.value)};
  }
  REQUIRE(range.most > 0);
  return range;
}

}  // namespace cloudos::machines
