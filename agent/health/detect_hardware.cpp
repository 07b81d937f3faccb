// Heat and memory errors.
#include <algorithm>
#include <format>

#include "agent/health/detectors.hpp"

namespace cloudos::health {

namespace {

constexpr std::int64_t hour = 3600LL * 1000;

// What counters that only grow have grown by since the last look. The first look tells nothing: they count since boot.
class Growth {
 public:
  std::uint64_t take(const std::string& name, std::uint64_t value) {
    const auto [at, first] = last_.try_emplace(name, value);
    const auto more = !first && value > at->second ? value - at->second : 0;
    at->second = value;
    return more;
  }
  // Whether it is less than at the last look.
  [[nodiscard]] bool fell(const std::string& name, std::uint64_t value) const {
    const auto at = last_.find(name);
    return at != last_.end() && value < at->second;
  }

 private:
  std::map<std::string, std::uint64_t> last_;
};

class Hardware final : public Detector {
 public:
  explicit Hardware(const Thresholds& t) : t_(t) {}

  void look(const Sample& sample, Readings& out) override {
    heat(sample, out);
    memory(sample, out);
  }

 private:
  void heat(const Sample& sample, Readings& out) {
    if (sample.cpu_throttles.empty() && !sample.gpus) return;
    out.looked.insert(type::thermal);
    for (const auto& [place, count] : sample.cpu_throttles) {
      if (throttles_.take(place, count) > 0) hot_at_[place] = sample.monotonic_ms;
      tell_heat("CPU " + place, hot(place, sample), out);
    }
    if (!sample.gpus) return;
    for (const auto& gpu : *sample.gpus) {
      if (gpu.too_hot) hot_at_[gpu.address] = sample.monotonic_ms;
      if (gpu.answered) tell_heat("GPU " + gpu.address, hot(gpu.address, sample), out);
    }
    if (hot_at_.size() > 1024) hot_at_.clear();
  }
  [[nodiscard]] bool hot(const std::string& place, const Sample& sample) const {
    const auto at = hot_at_.find(place);
    return at != hot_at_.end() && sample.monotonic_ms - at->second < t_.quiet_ms;
  }
  static void tell_heat(const std::string& subject, bool hot, Readings& out) {
    out.list.push_back({.type = type::thermal,
                        .subject = subject,
                        .verdict = hot ? Verdict::bad : Verdict::good,
                        .reason = "TooHot",
                        .message = std::format("{} slows itself down because it is too hot: look at fans, filters and the room", subject)});
  }

  void memory(const Sample& sample, Readings& out) {
    if (sample.memory_errors.empty() && !sample.gpus) return;
    out.looked.insert(type::memory);
    for (const auto& [place, errors] : sample.memory_errors) tell_memory(place, "memory controller " + place, errors, sample, out);
    if (!sample.gpus) return;
    for (const auto& gpu : *sample.gpus) {
      if (gpu.answered) tell_memory(gpu.address, "GPU " + gpu.address, gpu.errors, sample, out);
    }
  }
  void tell_memory(const std::string& place, const std::string& subject, const Sample::MemoryErrors& errors, const Sample& sample,
                   Readings& out) {
    // Counters that were set back (reset_counters, Documentation/admin-guide/ras.rst), or began anew with another module or driver:
    // somebody has seen to it.
    if (corrected_.fell(place, errors.corrected) || uncorrected_.fell(place, errors.uncorrected)) errors_.erase(place);
    auto& seen = errors_[place];
    const auto corrected = seen.corrected.add(sample.monotonic_ms, hour, corrected_.take(place, errors.corrected));
    const auto uncorrected = seen.uncorrected.add(sample.monotonic_ms, 24 * hour, uncorrected_.take(place, errors.uncorrected));
    Reading reading{.type = type::memory, .subject = subject};
    const auto many = static_cast<std::int64_t>(t_.corrected_an_hour);
    reading.verdict = uncorrected > 0 ? Verdict::bad : rising(static_cast<std::int64_t>(corrected), many, many / 10);
    reading.reason = uncorrected > 0 ? "UncorrectedMemoryErrors" : "ManyCorrectedMemoryErrors";
    reading.message =
        uncorrected > 0
            ? std::format("{} had {} memory errors within a day that could not be corrected: data may be wrong, replace the module",
                          subject, uncorrected)
            : std::format("{} corrected {} memory errors within an hour: the module is likely to fail", subject, corrected);
    out.list.push_back(std::move(reading));
    if (errors_.size() > 1024) errors_.clear();
  }

  struct Seen {
    Recently corrected, uncorrected;
  };
  const Thresholds& t_;
  Growth throttles_, corrected_, uncorrected_;
  std::map<std::string, std::int64_t> hot_at_;
  std::map<std::string, Seen> errors_;
};

}  // namespace

std::unique_ptr<Detector> hardware_detector(const Thresholds& t) { return std::make_unique<Hardware>(t); }

}  // namespace cloudos::health
