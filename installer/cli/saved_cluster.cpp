#include "installer/cli/saved_cluster.hpp"

#include <algorithm>
#include <cstdlib>
#include <format>

#include "core/base/text.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::cli {

namespace fs = std::filesystem;

fs::path saved_clusters() {
  const char* config = std::getenv("XDG_CONFIG_HOME");
  const char* home = std::getenv("HOME");
  const fs::path base = config != nullptr && *config == '/' ? fs::path{config} : fs::path{home != nullptr ? home : "/root"} / ".config";
  return base / "cloudos/clusters";
}

Status save_cluster(const config::Loaded& loaded) {
  auto kept = loaded;
  std::error_code ignored;
  for (auto& machine : kept.config.machines)
    if (!machine.key.empty()) machine.key = fs::absolute(machine.key, ignored).string();
  return os::write_atomic(saved_clusters() / (kept.config.name + ".toml"), config::print(kept), 0600);
}

void forget_cluster(const std::string& name) {
  std::error_code ignored;
  fs::remove(saved_clusters() / (name + ".toml"), ignored);
}

namespace {

model::Finding finding(std::string message, std::string remedy) {
  return {.code = "no-cluster", .where = "--masters", .message = std::move(message), .remedy = std::move(remedy)};
}

std::vector<fs::path> saved() {
  std::vector<fs::path> out;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(saved_clusters(), ignored))
    if (entry.path().extension() == ".toml") out.push_back(entry.path());
  std::ranges::sort(out);
  return out;
}

}  // namespace

model::Checked<config::Loaded> load_cluster(const InventoryFlags& inventory, const ConnectionFlags& connection) {
  auto flags = merge(inventory, connection);
  if (flags.file || !flags.masters.empty()) return config::load(flags);
  const auto files = saved();
  const auto found = inventory.name.empty()
                         ? (files.size() == 1 ? files.begin() : files.end())
                         : std::ranges::find_if(files, [&](const fs::path& file) { return file.stem() == inventory.name; });
  if (found == files.end()) {
    std::vector<std::string> names;
    for (const auto& file : files) names.push_back(file.stem().string());
    const auto known = names.empty() ? std::string{"none is saved on this computer"} : std::format("saved here: {}", join(names, ", "));
    return std::unexpected(
        std::vector{finding(std::format("which cluster? {}", known), "give --masters HOST, --config FILE or --name NAME")});
  }
  flags.file = *found;
  flags.name.reset();
  return config::load(flags);
}

}  // namespace cloudos::cli
