#pragma once

// Beside codec.hpp: the fields of usage that more than one document shares.

#include "core/model/codec.hpp"
#include "core/model/usage.hpp"

namespace cloudos::model {

void fields(auto& a, codec::is<Usage::Gpu> auto& v) {
  a("address", v.address);
  a("vendor", v.vendor);
  a("device", v.device);
  a("model", v.model);
  a("driver", v.driver);
  a("busy_percent", v.busy_percent);
  a("temperature", v.temperature);
  a("power_mw", v.power_mw);
  a("memory", v.memory);
  a("memory_used", v.memory_used);
  a("trouble", v.trouble);
}

}  // namespace cloudos::model
