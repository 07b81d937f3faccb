// What the kernel's log tells: oops, hung tasks, kills for want of memory. And links, whose trouble is counted alike.
#include <algorithm>
#include <format>

#include "agent/health/detectors.hpp"
#include "core/base/text.hpp"

namespace cloudos::health {

namespace {

class Kernel final : public Detector {
 public:
  explicit Kernel(const Thresholds& t) : t_(t) {}

  void look(const Sample& sample, Readings& out) override {
    for (const auto kind : {type::oops, type::hung, type::oom}) out.looked.insert(kind);
    kills_.clear();
    for (const auto& line : sample.kernel_lines) take(line, sample);
    tell_kills(sample, out);
    // Taint flag 7: the kernel has died once. It stands until the machine is started again, and so does the condition.
    constexpr std::uint64_t died = 1U << 7U;
    out.list.push_back(
        {.type = type::oops,
         .subject = "kernel",
         .verdict = (sample.tainted & died) != 0 ? Verdict::bad : Verdict::good,
         .reason = "KernelOops",
         .message = std::format("the kernel has had an error of its own and may misbehave until the machine is restarted{}{}",
                                oops_.empty() ? "" : ": ", oops_)});
    out.list.push_back(since(hung_at_, sample, type::hung, "TaskHung",
                             std::format("{} was blocked for minutes: a disk or a network file system does not answer", hung_)));
    out.list.push_back(since(oom_at_, sample, type::oom, "OutOfMemory", oom_));
  }

 private:
  // When it was said, as the sample's monotonic time. A log that is read from its beginning tells of things long over.
  static std::int64_t said_at(const KernelLine& line, const Sample& sample) {
    const auto at = line.since_boot_us / 1000;
    return at > 0 && at < sample.monotonic_ms ? at : sample.monotonic_ms;
  }

  void take(const KernelLine& line, const Sample& sample) {
    if (is_oops(line.text)) oops_ = sanitise(line.text).substr(0, 200);
    const auto at = said_at(line, sample);
    if (sample.monotonic_ms - at >= t_.quiet_ms) return;
    if (auto task = hung_task_of(line.text); !task.empty()) {
      hung_ = sanitise(task);
      hung_at_ = at;
    }
    if (auto kill = oom_kill_of(line.text)) {
      // Of a storm the first ones are enough.
      if (kills_.size() < 16) kills_.push_back(std::move(*kill));
      ++count_;
      oom_at_ = at;
    }
  }

  void tell_kills(const Sample& sample, Readings& out) {
    for (const auto& kill : kills_) {
      const auto known = sample.pods.find(kill.pod_uid);
      const auto pod = known == sample.pods.end() ? kill.pod_uid : known->second;
      oom_ = std::format("process {} ({}) of {} was killed for want of memory", kill.pid, sanitise(kill.process),
                         pod.empty() ? "no pod" : "pod " + pod);
      out.events.push_back({.reason = "OOMKilling", .message = oom_, .pod = pod, .at_ms = sample.wall_ms});
    }
    if (count_ > kills_.size())
      out.events.push_back({.reason = "OOMKilling",
                            .message = std::format("{} more processes were killed for want of memory", count_ - kills_.size()),
                            .pod = {},
                            .at_ms = sample.wall_ms});
    count_ = 0;
  }

  // Something that happened, and is over when it has not happened again for a while.
  [[nodiscard]] Reading since(const std::optional<std::int64_t>& at, const Sample& sample, std::string_view kind, const char* reason,
                              std::string message) const {
    const bool fresh = at && sample.monotonic_ms - *at < t_.quiet_ms;
    return {.type = kind,
            .subject = "kernel",
            .verdict = fresh ? Verdict::bad : Verdict::good,
            .reason = reason,
            .message = std::move(message)};
  }

  const Thresholds& t_;
  std::string oops_, hung_, oom_;
  std::optional<std::int64_t> hung_at_, oom_at_;
  std::vector<OomKill> kills_;
  std::size_t count_ = 0;
};

class Links final : public Detector {
 public:
  explicit Links(const Thresholds& t) : t_(t) {}

  void look(const Sample& sample, Readings& out) override {
    if (!sample.links) return;
    out.looked.insert(type::flapping);
    out.looked.insert(type::duplex);
    std::map<std::string, Seen> now;
    for (const auto& link : *sample.links) {
      const auto before = seen_.find(link.name);
      auto seen = before == seen_.end() ? Seen{link.carrier_changes, {}} : std::move(before->second);
      // Fewer than before: the device was made anew.
      const auto more = link.carrier_changes >= seen.changes ? link.carrier_changes - seen.changes : 0;
      seen.changes = link.carrier_changes;
      const auto recent = seen.recent.add(sample.monotonic_ms, t_.quiet_ms, more);
      out.list.push_back(
          {.type = type::flapping,
           .subject = link.name,
           .verdict = rising(static_cast<std::int64_t>(recent), t_.flaps, 1),
           .reason = "LinkFlapping",
           .message = std::format("the link {} went up or down {} times within {}: look at its cable, its transceiver and the switch",
                                  link.name, recent, human(Milliseconds(t_.quiet_ms)))});
      out.list.push_back(
          {.type = type::duplex,
           .subject = link.name,
           .verdict = link.carrier && link.duplex == "half" ? Verdict::bad : Verdict::good,
           .reason = "HalfDuplex",
           .message = std::format("the link {} runs half duplex: it and the switch disagree on how they negotiate", link.name)});
      now.emplace(link.name, std::move(seen));
    }
    seen_ = std::move(now);
  }

 private:
  struct Seen {
    std::uint64_t changes;
    Recently recent;
  };
  const Thresholds& t_;
  std::map<std::string, Seen> seen_;
};

}  // namespace

std::unique_ptr<Detector> kernel_detector(const Thresholds& t) { return std::make_unique<Kernel>(t); }
std::unique_ptr<Detector> link_detector(const Thresholds& t) { return std::make_unique<Links>(t); }

}  // namespace cloudos::health
