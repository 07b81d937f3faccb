// Clock, durable writes, PIDs, connection tracking, services, certificates.
#include <cstdlib>
#include <format>

#include "agent/health/detectors.hpp"
#include "core/base/text.hpp"

namespace cloudos::health {

namespace {

std::string millis(std::int64_t us) { return std::format("{:.1f} ms", static_cast<double>(us) / 1000.0); }

class Clock final : public Detector {
 public:
  explicit Clock(const Thresholds& t) : t_(t) {}
  void look(const Sample& sample, Readings& out) override {
    tell_jump(sample, out);
    if (!sample.clock) return;
    out.looked.insert(type::clock);
    const auto off = std::llabs(sample.clock->offset_us);
    Reading reading{.type = type::clock, .subject = "clock", .verdict = rising(off, t_.clock_bad_us, t_.clock_good_us)};
    if (reading.verdict == Verdict::bad) {
      reading.reason = "ClockOffset";
      reading.message = std::format("the clock is {} off; certificates, leases and etcd need it right", millis(off));
    } else if (!sample.clock->synchronised) {
      reading.verdict = Verdict::bad;
      reading.reason = "ClockNotSynchronised";
      reading.message = "nothing keeps the clock right: chrony, systemd-timesyncd or another time service is not synchronised";
    }
    out.list.push_back(std::move(reading));
  }

 private:
  // A clock that somebody sets moves against the one that nobody can set.
  void tell_jump(const Sample& sample, Readings& out) {
    const auto now = sample.wall_ms - sample.monotonic_ms;
    if (difference_ && std::llabs(now - *difference_) > 1000)
      out.events.push_back({.reason = "ClockJumped",
                            .message = std::format("the clock was set {} by {}", now > *difference_ ? "forward" : "back",
                                                   human(Milliseconds(std::llabs(now - *difference_)))),
                            .pod = {},
                            .at_ms = sample.wall_ms});
    difference_ = now;
  }
  const Thresholds& t_;
  std::optional<std::int64_t> difference_;
};

class Limits final : public Detector {
 public:
  explicit Limits(const Thresholds& t) : t_(t) {}
  void look(const Sample& sample, Readings& out) override {
    use(sample.pids, type::pids, "PIDsNearlyExhausted", "processes and threads", "kernel.pid_max", out);
    use(sample.conntrack, type::conntrack, "ConnectionTrackingNearlyFull", "tracked connections", "net.netfilter.nf_conntrack_max", out);
    for (const auto& [folder, us] : sample.sync_p99_us) {
      out.looked.insert(type::sync);
      out.list.push_back({.type = type::sync,
                          .subject = folder,
                          .verdict = rising(us, t_.sync_bad_us, t_.sync_good_us),
                          .reason = "SlowDurableWrites",
                          .message = std::format("1 % of the writes to {} take more than {} to be durable; etcd wants less than {}", folder,
                                                 millis(us), millis(t_.sync_bad_us))});
    }
  }

 private:
  void use(const std::optional<Sample::Use>& use, std::string_view kind, const char* reason, const char* what, const char* setting,
           Readings& out) const {
    if (!use || use->limit == 0) return;
    out.looked.insert(kind);
    const auto percent = static_cast<std::int64_t>(static_cast<double>(use->used) * 100.0 / static_cast<double>(use->limit));
    out.list.push_back(
        {.type = kind,
         .subject = setting,
         .verdict = rising(percent, t_.used_bad_percent, t_.used_good_percent),
         .reason = reason,
         .message = std::format("{} of {} {} ({} %) are in use; {} is the limit", use->used, use->limit, what, percent, setting)});
  }
  const Thresholds& t_;
};

class Services final : public Detector {
 public:
  explicit Services(const RestartLimits& limits) : limits_(limits) {}
  void look(const Sample& sample, Readings& out) override {
    for (const auto& service : sample.services) {
      const auto kind = service.name == "kubelet" ? type::kubelet : type::runtime;
      out.looked.insert(kind);
      auto& policy = policies_[service.name];
      const auto verdict = policy.look(sample.monotonic_ms, service.answered, limits_);
      out.list.push_back(reading(service, kind, verdict, policy.attempts()));
      if (verdict == RestartPolicy::Verdict::restart)
        out.restarts.push_back({.service = service.name, .reason = sanitise(service.reason), .attempt = policy.attempts()});
    }
  }

 private:
  static Reading reading(const Sample::Service& service, std::string_view kind, RestartPolicy::Verdict verdict, int attempts) {
    Reading out{.type = kind, .subject = service.name, .verdict = service.answered ? Verdict::good : Verdict::bad};
    if (verdict == RestartPolicy::Verdict::left_alone && attempts > 0) {
      out.reason = "NotRestartedAgain";
      out.message =
          std::format("{} does not answer ({}) and was restarted {} times within an hour: it is left alone now, look at its journal",
                      service.name, sanitise(service.reason), attempts);
    } else {
      out.reason = "DoesNotAnswer";
      out.message = std::format("{} does not answer: {}", service.name, sanitise(service.reason));
    }
    return out;
  }
  const RestartLimits& limits_;
  std::map<std::string, RestartPolicy> policies_;
};

class Certificates final : public Detector {
 public:
  explicit Certificates(const Thresholds& t) : t_(t) {}
  void look(const Sample& sample, Readings& out) override {
    if (!sample.certificates) return;
    out.looked.insert(type::certificate);
    for (const auto& certificate : *sample.certificates) {
      const auto left = certificate.expires_s - sample.wall_ms / 1000;
      const auto when = date_text(certificate.expires_s * 1000);
      out.list.push_back({.type = type::certificate,
                          .subject = certificate.path,
                          .verdict = rising(-left, -t_.certificate_bad_s, -t_.certificate_good_s),
                          .reason = left <= 0 ? "CertificateExpired" : "CertificateExpiresSoon",
                          .message = left <= 0 ? std::format("{} expired on {}", certificate.path, when)
                                               : std::format("{} expires on {}", certificate.path, when)});
    }
  }

 private:
  const Thresholds& t_;
};

}  // namespace

std::unique_ptr<Detector> clock_detector(const Thresholds& t) { return std::make_unique<Clock>(t); }
std::unique_ptr<Detector> limit_detector(const Thresholds& t) { return std::make_unique<Limits>(t); }
std::unique_ptr<Detector> service_detector(const RestartLimits& limits) { return std::make_unique<Services>(limits); }
std::unique_ptr<Detector> certificate_detector(const Thresholds& t) { return std::make_unique<Certificates>(t); }

RestartPolicy::Verdict RestartPolicy::look(std::int64_t now_ms, bool answered, const Limits& limits) {
  constexpr std::int64_t hour = 3600LL * 1000;
  std::erase_if(restarts_, [&](auto at) { return at <= now_ms - hour; });
  if (answered) {
    failures_ = 0;
    return Verdict::fine;
  }
  if (++failures_ < limits.failures) return Verdict::waiting;
  if (attempts() >= limits.an_hour) return Verdict::left_alone;
  if (!restarts_.empty()) {
    auto pause = limits.first_pause_ms;
    for (int i = 1; i < attempts() && pause < limits.longest_pause_ms; ++i) pause *= 2;
    if (now_ms - restarts_.back() < std::min(pause, limits.longest_pause_ms)) return Verdict::waiting;
  }
  restarts_.push_back(now_ms);
  failures_ = 0;
  return Verdict::restart;
}

}  // namespace cloudos::health
