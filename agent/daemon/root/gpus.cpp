#include "agent/daemon/root/gpus.hpp"

namespace cloudos::daemon {

std::vector<health::Sample::Gpu> sample_of(const std::vector<devices::CardState>& cards) {
  std::vector<health::Sample::Gpu> out;
  for (const auto& card : cards)
    out.push_back({.address = card.address,
                   .uuid = card.uuid,
                   .healthy = card.healthy,
                   .cause = card.cause,
                   .remedy = card.remedy,
                   .answered = card.answered,
                   .too_hot = card.too_hot,
                   .errors = {.corrected = card.ecc_corrected.value_or(0), .uncorrected = card.ecc_uncorrected.value_or(0)}});
  return out;
}

void add_figures(const devices::Plugin& plugin, halves::Figures& figures) {
  for (const auto& card : plugin.cards()) {
    auto& gpu = figures.gpus.emplace_back();
    gpu.address = card.address;
    gpu.vendor = card.vendor;
    gpu.model = card.model;
    if (card.busy) gpu.busy_percent = static_cast<int>(*card.busy);
    if (card.temperature) gpu.temperature = static_cast<int>(*card.temperature);
    if (card.power) gpu.power_mw = static_cast<std::int64_t>(*card.power);
    gpu.memory = card.memory_total.value_or(Bytes{});
    gpu.memory_used = card.memory_used.value_or(Bytes{});
    if (!card.healthy) gpu.trouble = card.cause;
    figures.gpu_errors.push_back({.uuid = card.uuid,
                                  .address = card.address,
                                  .last_xid = card.last_xid.value_or(0),
                                  .ecc_corrected = card.ecc_corrected.value_or(0),
                                  .ecc_uncorrected = card.ecc_uncorrected.value_or(0),
                                  .healthy = card.healthy});
  }
  for (const auto& [resource, counts] : plugin.offered())
    figures.devices[resource] = {{"healthy", counts.healthy}, {"unhealthy", counts.unhealthy}};
}

}  // namespace cloudos::daemon
