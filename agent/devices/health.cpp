#include "agent/devices/health.hpp"

#include <algorithm>
#include <format>

namespace cloudos::devices {
namespace {

// One bad look may be the driver's moment; two in a row are a GPU that does not work.
constexpr int doubtful_limit = 2;
constexpr int most_doublings = 10;

struct Known {
  std::uint64_t number;
  XidClass kind;
  const char* meaning;
};

// NVIDIA, "Xid Errors", chapter "Xid Catalog"; those of class application are also what NVIDIA's plugin passes over.
constexpr Known catalog[] = {
    {13, XidClass::application, "a program's graphics engine exception"},
    {31, XidClass::application, "a program's memory page fault"},
    {32, XidClass::transient, "an invalid or corrupted push buffer"},
    {38, XidClass::reset, "a driver firmware error"},
    {43, XidClass::application, "a program was stopped by its own fault"},
    {45, XidClass::application, "clean-up after a program that ended"},
    {48, XidClass::reset, "a double bit ECC error"},
    {61, XidClass::reset, "the microcontroller stopped at a breakpoint"},
    {62, XidClass::reset, "the microcontroller halted"},
    {63, XidClass::application, "a row of memory was remapped or a page retired"},
    {64, XidClass::replace, "a row of memory could not be remapped"},
    {68, XidClass::application, "a program's video decoder exception"},
    {69, XidClass::application, "a program's graphics engine class error"},
    {74, XidClass::reset, "an NVLink error"},
    {79, XidClass::reset, "the GPU has fallen off the bus"},
    {92, XidClass::application, "many single bit ECC errors"},
    {94, XidClass::application, "an uncorrectable memory error that was contained to its program"},
    {95, XidClass::reset, "an uncorrectable memory error that was not contained"},
    {109, XidClass::application, "a program's context switch timed out"},
    {110, XidClass::reset, "a security fault"},
    {119, XidClass::reset, "the GPU's system processor does not answer"},
    {120, XidClass::reset, "the GPU's system processor failed"},
    {121, XidClass::transient, "a corrected error of the chip-to-chip link"},
    {140, XidClass::reset, "an ECC error that was not recovered"},
    {143, XidClass::reset, "the GPU could not be initialised"},
    // Only says that the recovery action changed, which each look asks for.
    {154, XidClass::application, "the driver wants something done"},
};

const Known* known(std::uint64_t xid) {
  const auto* const at = std::ranges::find(catalog, xid, &Known::number);
  return at == std::end(catalog) ? nullptr : at;
}

}  // namespace

XidClass class_of(std::uint64_t xid) {
  const auto* at = known(xid);
  return at == nullptr ? XidClass::transient : at->kind;
}

std::string describe(std::uint64_t xid) {
  const auto* at = known(xid);
  return at == nullptr ? std::format("Xid {}", xid) : std::format("Xid {}: {}", xid, at->meaning);
}

Seen seen_of(const nvml::Reading& reading) {
  if (reading.lost) return {.problem = "the GPU has fallen off the bus", .sure = true, .reset_done = false};
  if (reading.reset_required) return {.problem = "the GPU must be reset", .sure = true, .reset_done = false};
  if (reading.error) return {.problem = reading.error->message, .sure = false};
  if (reading.remap_failed) return {.problem = "no spare rows of memory are left; replace the GPU", .sure = true};
  Seen out;
  if (!reading.recovery) return out;
  switch (*reading.recovery) {
    case nvml::Recovery::reset:
    case nvml::Recovery::drain_and_reset: out.problem = "the driver wants the GPU reset"; break;
    case nvml::Recovery::reboot: out.problem = "the driver wants the machine restarted"; break;
    // Peer-to-peer traffic is off; a program on this GPU alone is well served.
    case nvml::Recovery::drain_p2p:
    case nvml::Recovery::none: break;
  }
  out.sure = !out.problem.empty();
  out.reset_done = out.problem.empty();
  return out;
}

bool Health::fall(std::string cause, Time now) {
  well_since_.reset();
  // What is wrong first is the cause; what follows from it is not.
  if (!fit_) return false;
  relapses_ = recovered_ && now - *recovered_ < timing_.relapse ? std::min(relapses_ + 1, most_doublings) : 0;
  fit_ = false;
  cause_ = std::move(cause);
  return true;
}

bool Health::xid(std::uint64_t number, Time now) {
  const auto kind = class_of(number);
  if (kind == XidClass::application) return false;
  wants_reset_ = wants_reset_ || kind != XidClass::transient;
  return fall(describe(number), now);
}

bool Health::look(const Seen& seen, Time now) {
  if (!seen.problem.empty()) {
    doubtful_ = seen.sure ? doubtful_limit : doubtful_ + 1;
    if (doubtful_ >= doubtful_limit) return fall(seen.problem, now);
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
  recovered_ = now;
  well_since_.reset();
  return true;
}

}  // namespace cloudos::devices
