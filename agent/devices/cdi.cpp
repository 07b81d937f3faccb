#include "agent/devices/cdi.hpp"

#include <nlohmann/json.hpp>

#include "core/os/file/file.hpp"

namespace cloudos::devices {
namespace {

using Json = nlohmann::ordered_json;

Json encode(const Edits& edits, const std::filesystem::path& devfs) {
  auto out = Json::object();
  for (const auto& node : edits.nodes) {
    Json entry = {{"path", "/dev/" + node}};
    if (devfs != "/dev") entry["hostPath"] = (devfs / node).string();
    entry["permissions"] = "rw";
    out["deviceNodes"].push_back(std::move(entry));
  }
  for (const auto& [here, there] : edits.mounts)
    out["mounts"].push_back({{"hostPath", here}, {"containerPath", there}, {"options", {"ro", "nosuid", "nodev", "bind"}}});
  return out;
}

}  // namespace

std::string encode(const Spec& spec, const std::filesystem::path& devfs) {
  Json out = {{"cdiVersion", "0.6.0"}, {"kind", spec.kind}, {"devices", Json::array()}};
  for (const auto& [name, edits] : spec.devices) out["devices"].push_back({{"name", name}, {"containerEdits", encode(edits, devfs)}});
  out["containerEdits"] = encode(spec.all, devfs);
  return out.dump(1) + "\n";
}

Status write_spec(const Spec& spec, const std::string& vendor, const std::filesystem::path& folder, const std::filesystem::path& devfs) {
  const auto path = folder / ("cloudos-" + vendor + ".json");
  if (spec.devices.empty()) {
    std::error_code failed;
    std::filesystem::remove(path, failed);
    if (failed) return fail_errno("remove " + path.string(), failed.value());
    return {};
  }
  const auto text = encode(spec, devfs);
  CLOUDOS_ASSIGN(const auto before, os::read_if_any(path));
  if (before == text) return {};
  return os::write_atomic(path, text, 0644);
}

}  // namespace cloudos::devices
