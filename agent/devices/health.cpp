#include "agent/devices/health.hpp"

#include <algorithm>

namespace cloudos::devices {
namespace {

// One bad look may be the driver's moment; two in a row are a GPU that does not work.
constexpr int doubtful_limit = 2;
constexpr int most_doublings = 10;

}  // namespace

Seen seen_of(const nvml::Reading& reading) {
  using enum xid::Remedy;
  if (reading.lost) return {.problem = "the GPU has fallen off the bus", .sure = true, .remedy = restart, .reset_done = false};
  if (reading.reset_required) return {.problem = "the GPU must be reset", .sure = true, .remedy = reset, .reset_done = false};
  if (reading.error) return {.problem = reading.error->message};
  if (reading.remap_failed) return {.problem = "no spare rows of memory are left; replace the GPU", .sure = true, .remedy = replace};
  Seen out;
  if (!reading.recovery) return out;
  switch (*reading.recovery) {
    case nvml::Recovery::reset:
    case nvml::Recovery::drain_and_reset: out = {.problem = "the driver wants the GPU reset", .remedy = reset}; break;
    case nvml::Recovery::reboot: out = {.problem = "the driver wants the machine restarted", .remedy = restart}; break;
    // Peer-to-peer traffic is off; a program on this GPU alone is well served.
    case nvml::Recovery::drain_p2p:
    case nvml::Recovery::none: break;
  }
  out.sure = !out.problem.empty();
  out.reset_done = out.problem.empty();
  return out;
}

bool Health::fall(std::string cause, xid::Remedy remedy, Time now) {
  well_since_.reset();
  remedy_ = std::max(remedy_, remedy);
  // What is wrong first is the cause; what follows from it is not.
  if (!fit_) return false;
  relapses_ = recovered_ && now - *recovered_ < timing_.relapse ? std::min(relapses_ + 1, most_doublings) : 0;
  fit_ = false;
  cause_ = std::move(cause);
  return true;
}

bool Health::xid(std::uint64_t number, Time now) {
  const auto remedy = xid::remedy_of(number);
  if (remedy == xid::Remedy::none) return false;
  wants_reset_ = wants_reset_ || remedy > xid::Remedy::time;
  return fall(xid::describe(number), remedy, now);
}

bool Health::look(const Seen& seen, Time now) {
  if (!seen.problem.empty()) {
    doubtful_ = seen.sure ? doubtful_limit : doubtful_ + 1;
    if (doubtful_ >= doubtful_limit) return fall(seen.problem, seen.remedy, now);
    well_since_.reset();
    return false;
  }
  doubtful_ = 0;
  if (fit_) return false;
  if (!well_since_) well_since_ = now;
  auto span = std::min(timing_.recover * (1 << relapses_), timing_.longest);
  if (wants_reset_ && !seen.reset_done) span = std::max(span, timing_.unreset);
  if (now - *well_since_ < span) return false;
  fit_ = true;
  wants_reset_ = false;
  remedy_ = xid::Remedy::none;
  recovered_ = now;
  well_since_.reset();
  return true;
}

}  // namespace cloudos::devices
