// agent/xid: what the numbers mean that NVIDIA's driver reports a GPU's errors with (NVIDIA, "Xid Errors"). The one table of
// them, for whoever hears of one: through the driver's library (agent/devices) or in the kernel's log (agent/health). Not
// here: how one is heard of, and for how long a GPU is unfit by it.
#pragma once

#include <cstdint>
#include <string>

namespace cloudos::xid {

// What it takes until a GPU is fit for work again, the gravest last.
enum class Remedy {
  none,     // it is fit: a program's own fault, or a report
  time,     // it may have recovered by itself: it must show that
  reset,    // not before it was reset, or the machine restarted
  restart,  // it is lost to the machine until that is started again
  replace,  // the others may help for now; the GPU should be replaced
};

// Of a number that is in no catalog: time.
[[nodiscard]] Remedy remedy_of(std::uint64_t number);
// "Xid 79: the GPU has fallen off the bus".
[[nodiscard]] std::string describe(std::uint64_t number);

}  // namespace cloudos::xid
