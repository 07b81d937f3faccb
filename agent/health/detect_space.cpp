// File systems: full, filling, out of inodes, read-only.
#include <algorithm>
#include <format>

#include "agent/health/detectors.hpp"
#include "core/base/text.hpp"

namespace cloudos::health {

namespace {

constexpr std::int64_t minute = 60'000;

// Free space over time, as far as a trend needs it: a point every few minutes, at most 48.
class Trend {
 public:
  void add(std::int64_t now_ms, std::uint64_t free) {
    if (!points_.empty() && now_ms - points_.back().at < 5 * minute) return;
    points_.push_back({now_ms, static_cast<double>(free)});
    if (points_.size() > 48) points_.pop_front();
  }
  // When nothing will be left, in milliseconds from the last point, by the straight line nearest to the points (least
  // squares). Nothing while it does not fill, or is watched for less than half an hour.
  [[nodiscard]] std::optional<std::int64_t> empty_in() const {
    if (points_.size() < 4 || points_.back().at - points_.front().at < 30 * minute) return std::nullopt;
    const auto count = static_cast<double>(points_.size());
    double time = 0, free = 0;
    for (const auto& p : points_) {
      time += hours(p);
      free += p.free;
    }
    double together = 0, square = 0;
    for (const auto& p : points_) {
      together += (hours(p) - time / count) * (p.free - free / count);
      square += (hours(p) - time / count) * (hours(p) - time / count);
    }
    const double an_hour = square > 0 ? together / square : 0;
    if (an_hour > -1.0) return std::nullopt;
    const double left = points_.back().free / -an_hour;
    return left > 24.0 * 3650 ? std::nullopt : std::optional(static_cast<std::int64_t>(left * 3'600'000.0));
  }

 private:
  struct Point {
    std::int64_t at;
    double free;
  };
  [[nodiscard]] double hours(const Point& p) const { return static_cast<double>(p.at - points_.front().at) / 3'600'000.0; }
  std::deque<Point> points_;
};

class Space final : public Detector {
 public:
  explicit Space(const Thresholds& t) : t_(t) {}

  void look(const Sample& sample, Readings& out) override {
    if (!sample.file_systems) return;
    for (const auto kind : {type::read_only, type::filling, type::inodes}) out.looked.insert(kind);
    for (const auto& line : sample.kernel_lines) {
      if (auto device = remounted_device_of(line.text); !device.empty()) remounted_.insert(std::move(device));
    }
    std::set<std::string> seen;
    for (const auto& fs : *sample.file_systems) {
      seen.insert(fs.path);
      writable(fs, out);
      space(fs, sample, out);
      inodes(fs, out);
    }
    std::erase_if(trends_, [&](const auto& t) { return !seen.contains(t.first); });
    std::erase_if(written_, [&](const auto& path) { return !seen.contains(path); });
    if (remounted_.size() > 64) remounted_.clear();
  }

 private:
  // One that was never writable is meant to be so (a CD, an image); one that was is broken, or the kernel said so.
  void writable(const Sample::FileSystem& fs, Readings& out) {
    const auto device = fs.device.substr(fs.device.rfind('/') + 1);
    if (!fs.read_only) {
      written_.insert(fs.path);
      remounted_.erase(device);
    }
    const bool broken = fs.read_only && (written_.contains(fs.path) || remounted_.contains(device));
    out.list.push_back({.type = type::read_only,
                        .subject = fs.path,
                        .verdict = broken ? Verdict::bad : Verdict::good,
                        .reason = "FilesystemIsReadOnly",
                        .message = std::format("{} ({} on {}) has become read-only: the kernel does that when its disk fails", fs.path,
                                               fs.type, fs.device)});
  }

  void space(const Sample::FileSystem& fs, const Sample& sample, Readings& out) {
    if (fs.total.count == 0) return;
    auto& trend = trends_[fs.path];
    trend.add(sample.monotonic_ms, fs.free.count);
    const auto used = percent_used(fs.free.count, fs.total.count);
    Reading reading{.type = type::filling, .subject = fs.path, .verdict = rising(used, t_.full_bad_percent, t_.full_good_percent)};
    const auto left = trend.empty_in();
    if (reading.verdict == Verdict::bad) {
      reading.reason = "DiskNearlyFull";
      reading.message = std::format("{} is {} % full, {} are left", fs.path, used, human(fs.free));
    }
    // A trend says nothing about a disk that is half empty: a download or a build is not the end.
    if (left && *left < t_.full_within_ms && used >= 50) {
      reading.verdict = Verdict::bad;
      if (reading.reason.empty()) reading.reason = "DiskFilling";
      reading.message = std::format("{} will be full on {} if it goes on like this: it is {} % full, {} are left", fs.path,
                                    date_text(sample.wall_ms + *left), used, human(fs.free));
    } else if (left && *left < t_.full_within_ms * 3 / 2 && reading.verdict == Verdict::good && used >= 50) {
      reading.verdict = Verdict::between;
    }
    out.list.push_back(std::move(reading));
  }

  void inodes(const Sample::FileSystem& fs, Readings& out) const {
    if (fs.inodes_total == 0) return;  // btrfs makes them as it needs them
    const auto used = percent_used(fs.inodes_free, fs.inodes_total);
    out.list.push_back({.type = type::inodes,
                        .subject = fs.path,
                        .verdict = rising(used, t_.full_bad_percent, t_.full_good_percent),
                        .reason = "InodesNearlyExhausted",
                        .message = std::format("{} has {} of {} inodes left: many small files fill it before its space is used", fs.path,
                                               fs.inodes_free, fs.inodes_total)});
  }

  static std::int64_t percent_used(std::uint64_t free, std::uint64_t total) {
    return static_cast<std::int64_t>(100.0 - static_cast<double>(std::min(free, total)) * 100.0 / static_cast<double>(total));
  }

  const Thresholds& t_;
  std::map<std::string, Trend> trends_;
  std::set<std::string> written_, remounted_;
};

}  // namespace

std::unique_ptr<Detector> space_detector(const Thresholds& t) { return std::make_unique<Space>(t); }

}  // namespace cloudos::health
