#pragma once

#include <functional>

#include "installer/driver/driver.hpp"

namespace cloudos::driver {

// Streams blobs to one machine over a connection of its own, in the order given, and resumes where a lost connection left
// it. `stored` is told of each blob that the machine has whole. Bytes are checked against the bundle's index here, while
// they are read, and again on the machine. Gives up when the connection does not come back (network), on a digest that
// does not hold (trust), and when `setting.stop` is requested (cancelled).
[[nodiscard]] Status transfer(const Machine& machine, std::vector<MissingBlob> blobs, const images::Bundle& bundle, const Setting& setting,
                              const std::function<void(const Digest&)>& stored);

// The nth wait before a lost connection is tried again: doubles from retry_first to retry_most.
[[nodiscard]] Milliseconds retry_delay(const Timing& timing, int attempt);
// Sleeps, or wakes up early when stop is requested.
void sleep_for(Milliseconds span, const std::stop_token& stop);

}  // namespace cloudos::driver
