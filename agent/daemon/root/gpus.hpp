// Inside agent/daemon: what the device plugin knows of the GPUs, for everybody else: health, labels, metrics. Nobody asks a driver
// a second time.
#pragma once

#include "agent/devices/devices.hpp"
#include "agent/halves/halves.hpp"
#include "agent/health/sample.hpp"

namespace cloudos::daemon {

[[nodiscard]] std::vector<health::Sample::Gpu> sample_of(const std::vector<devices::CardState>& cards);
// The part of the figures that is about GPUs.
void add_figures(const devices::Plugin& plugin, halves::Figures& figures);

}  // namespace cloudos::daemon
