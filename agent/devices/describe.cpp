#include <nlohmann/json.hpp>

#include "agent/devices/vendors.hpp"

namespace cloudos::devices {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const nvml::Gpu& gpu) {
  Json out = {{"uuid", gpu.uuid},
              {"name", gpu.name},
              {"pci_bus", gpu.pci_bus},
              {"minor", gpu.minor},
              {"memory", gpu.memory.count},
              {"compute", {gpu.compute_major, gpu.compute_minor}},
              {"mig_capable", gpu.mig_capable},
              {"mig_enabled", gpu.mig_enabled},
              {"linked", gpu.linked},
              {"instances", Json::array()}};
  for (const auto& i : gpu.instances)
    out["instances"].push_back({{"uuid", i.uuid},
                                {"profile", i.profile},
                                {"gpu_instance", i.gpu_instance},
                                {"compute_instance", i.compute_instance},
                                {"memory", i.memory.count}});
  return out;
}

template <class T>
void put(Json& out, const char* key, const std::optional<T>& value) {
  if (value) out[key] = *value;
}

Json json_of(const nvml::Reading& reading) {
  Json out = {{"uuid", reading.uuid}};
  if (reading.error) out["error"] = reading.error->message;
  put(out, "temperature_celsius", reading.temperature);
  put(out, "power_milliwatts", reading.power);
  put(out, "busy_percent", reading.busy);
  put(out, "memory_busy_percent", reading.memory_busy);
  if (reading.memory_used) out["memory_used"] = reading.memory_used->count;
  if (reading.memory_free) out["memory_free"] = reading.memory_free->count;
  put(out, "ecc_corrected", reading.ecc_corrected);
  put(out, "ecc_uncorrected", reading.ecc_uncorrected);
  if (reading.recovery) out["recovery"] = static_cast<int>(*reading.recovery);
  if (reading.throttle) out["throttled_by"] = nvml::throttle_reasons(*reading.throttle);
  const auto seen = seen_of(reading);
  out["fit"] = seen.problem.empty();
  if (!seen.problem.empty()) out["problem"] = seen.problem;
  return out;
}

Json json_of(const Vendor& vendor) {
  auto out = Json::array();
  for (const auto& resource : vendor.resources) {
    Json units = Json::array();
    for (const auto& unit : resource.units) {
      Json entry = {{"id", unit.id}, {"cdi", resource.kind + "=" + unit.device}};
      put(entry, "numa", unit.numa);
      if (!unit.island.empty()) entry["island"] = unit.island;
      units.push_back(std::move(entry));
    }
    out.push_back({{"name", resource.name}, {"devices", std::move(units)}});
  }
  return out;
}

}  // namespace

std::string describe(const Options& options) {
  Json out = {{"errors", Json::array()}, {"resources", Json::array()}};
  const auto add = [&](const Vendor& vendor) {
    for (auto& resource : json_of(vendor)) out["resources"].push_back(resource);
    for (const auto& remark : vendor.remarks) out["errors"].push_back(remark);
  };
  if (!options.nvml.empty() || has_nvidia(options)) {
    std::vector<std::string> skipped;
    auto library = nvml::Library::open(options.nvml);
    auto inventory = library ? library->inventory(&skipped) : fail(library.error());
    if (inventory) {
      Json driver = {{"driver", inventory->driver},
                     {"cuda", {inventory->cuda_major, inventory->cuda_minor}},
                     {"libraries", library->folder().string()},
                     {"gpus", Json::array()},
                     {"readings", Json::array()}};
      for (const auto& gpu : inventory->gpus) driver["gpus"].push_back(json_of(gpu));
      for (const auto& reading : library->readings()) driver["readings"].push_back(json_of(reading));
      out["nvidia"] = std::move(driver);
      add(offer_nvidia(*inventory, library->folder(), options));
    } else {
      out["errors"].push_back(inventory.error().message);
    }
    for (const auto& text : skipped) out["errors"].push_back(text);
  }
  const auto gpus = drm_gpus(options);
  for (const auto* vendor : {amd, intel}) add(offer_drm(vendor, gpus, options));
  // What a driver says is not sure to be UTF-8.
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace cloudos::devices
