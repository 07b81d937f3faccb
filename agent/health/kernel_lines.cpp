#include <algorithm>
#include <array>
#include <chrono>
#include <format>

#include "agent/facts/parse_devices.hpp"
#include "agent/health/detectors.hpp"
#include "core/base/text.hpp"

namespace cloudos::health {

namespace {

// What stands between the first `before` and the next `after`; "" when either is missing.
std::string_view between(std::string_view text, std::string_view before, std::string_view after) {
  const auto start = text.find(before);
  if (start == std::string_view::npos) return {};
  const auto rest = text.substr(start + before.size());
  const auto end = rest.find(after);
  return end == std::string_view::npos ? std::string_view{} : rest.substr(0, end);
}

// The digits that a text begins with.
int leading_number(std::string_view text) {
  const auto digits = text.substr(0, std::min(text.find_first_not_of("0123456789"), text.size()));
  return static_cast<int>(parse_number(digits, 0, 1U << 30U).value_or(0));
}

}  // namespace

KernelLine parse_kernel_line(std::string_view record) {
  KernelLine line;
  const auto text = record.substr(0, record.find('\n'));
  const auto semicolon = text.find(';');
  const auto head = split(text.substr(0, std::min(semicolon, text.size())), ',');
  if (semicolon == std::string_view::npos || head.size() < 3) {
    line.text = text;
    return line;
  }
  const auto priority = parse_number(head[0], 0, 1U << 16U), sequence = parse_number(head[1], 0, ~0ULL),
             time = parse_number(head[2], 0, ~0ULL >> 1U);
  if (!priority || !sequence || !time) {
    line.text = text;
    return line;
  }
  line.priority = static_cast<int>(*priority & 7U);
  line.sequence = *sequence;
  line.since_boot_us = static_cast<std::int64_t>(*time);
  line.text = text.substr(semicolon + 1);
  return line;
}

std::string pod_of_cgroup(std::string_view path) {
  for (const auto& part : split(path, '/')) {
    // systemd: "kubepods-burstable-pod<uid with _>.slice"; cgroupfs: "pod<uid>".
    const auto at = part.starts_with("kubepods") ? part.find("-pod") : part.starts_with("pod") ? 0 : std::string::npos;
    if (at == std::string::npos) continue;
    auto uid = part.substr(at + (part[at] == '-' ? 4 : 3));
    if (uid.ends_with(".slice")) uid.resize(uid.size() - 6);
    std::ranges::replace(uid, '_', '-');
    // A static pod's uid is a hash without dashes.
    if (uid.size() >= 32 && uid.find_first_not_of("0123456789abcdef-") == std::string::npos) return uid;
  }
  return {};
}

std::optional<OomKill> oom_kill_of(std::string_view line) {
  // mm/oom_kill.c: "oom-kill:constraint=…,task_memcg=/…,task=NAME,pid=N,uid=N". The name may hold anything.
  if (!line.starts_with("oom-kill:")) return std::nullopt;
  const auto memcg = between(line, ",task_memcg=", ",task=");
  const auto task = line.find(",task=");
  const auto pid = line.rfind(",pid=");
  if (task == std::string_view::npos || pid == std::string_view::npos || pid < task + 6) return std::nullopt;
  return OomKill{.process = std::string(line.substr(task + 6, pid - task - 6)),
                 .pod_uid = pod_of_cgroup(memcg),
                 .pid = leading_number(line.substr(pid + 5))};
}

bool is_oops(std::string_view line) {
  static constexpr std::array beginnings = {"BUG: unable to handle", "BUG: kernel NULL pointer", "kernel BUG at ",          "Oops: ",
                                            "Internal error: Oops",  "general protection fault", "Unable to handle kernel "};
  return std::ranges::any_of(beginnings, [&](std::string_view begin) { return line.starts_with(begin); });
}

std::string hung_task_of(std::string_view line) {
  if (!line.starts_with("INFO: task ")) return {};
  return std::string(between(line, "INFO: task ", " blocked for more than "));
}

std::optional<Xid> xid_of(std::string_view line) {
  // "NVRM: Xid (PCI:0000:1b:00): 79, pid=1234, name=python, GPU has fallen off the bus."
  const auto place = between(line, "NVRM: Xid (PCI:", ")");
  if (place.empty()) return std::nullopt;
  const auto after = line.substr(line.find(')') + 1);
  if (!after.starts_with(": ")) return std::nullopt;
  const auto number = leading_number(after.substr(2));
  if (number == 0) return std::nullopt;
  auto address = facts::pci_address(place);
  if (!address.contains('.')) address += ".0";
  const auto comma = after.find(", ");
  return Xid{.address = std::move(address),
             .number = static_cast<std::uint64_t>(number),
             .text = comma == std::string_view::npos ? "" : std::string(after.substr(comma + 2))};
}

std::string remounted_device_of(std::string_view line) {
  if (!line.ends_with("Remounting filesystem read-only") && !line.contains("forced readonly")) return {};
  return std::string(between(line, "(", ")"));
}

std::string date_text(std::int64_t wall_ms) {
  using namespace std::chrono;
  return std::format("{:%Y-%m-%d %H:00} UTC", floor<hours>(sys_time<milliseconds>(milliseconds(wall_ms))));
}

std::uint64_t Recently::add(std::int64_t now_ms, std::int64_t span_ms, std::uint64_t value) {
  while (!entries_.empty() && entries_.front().first <= now_ms - span_ms) entries_.pop_front();
  if (value > 0) {
    if (!entries_.empty() && now_ms - entries_.back().first < span_ms / 60) entries_.back().second += value;
    else entries_.emplace_back(now_ms, value);
  }
  std::uint64_t sum = 0;
  for (const auto& entry : entries_) sum += entry.second;
  return sum;
}

}  // namespace cloudos::health
