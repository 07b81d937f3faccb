#include "agent/steps/residue.hpp"

#include <algorithm>

#include "agent/steps/sweep.hpp"
#include "core/model/paths.hpp"

namespace cloudos::steps {
namespace {

// Programs that run from our folders; the agent itself is at work right now.
void add_processes(const Environment& env, std::vector<std::string>& out) {
  std::error_code error;
  for (const auto& process : fs::directory_iterator(env.at("/proc"), error)) {
    std::error_code inner;
    const auto program = fs::read_symlink(process.path() / "exe", inner).string();
    if (!inner && program.starts_with(std::string(paths::state) + "/") && !program.starts_with(std::string(paths::agents) + "/"))
      out.push_back("process " + process.path().filename().string() + " still runs " + program);
  }
}

void add_units(Environment& env, std::vector<std::string>& out) {
  std::error_code error;
  for (const auto& each : fs::recursive_directory_iterator(env.at("/etc/systemd/system"), error))
    if (const auto name = each.path().filename().string(); name.starts_with("cloudos-") && name != join_unit)
      out.push_back("unit file /" + each.path().lexically_relative(env.root).string() + " is still there");
  const auto units = env.services.list_units("cloudos-*");
  if (!units) return;
  for (const auto& unit : *units) {
    if (unit.starts_with("cloudos-apply-") || unit == join_unit) continue;
    const auto state = env.services.state(unit);
    if (state && (state->active == "active" || state->active == "activating")) out.push_back("unit " + unit + " is still active");
  }
}

}  // namespace

std::vector<std::string> residue(Environment& env, bool kubernetes, const std::set<std::string>& tables_before) {
  std::vector<std::string> out;
  std::vector<std::string> folders{paths::config};
  if (kubernetes) std::ranges::copy(our_folders(env), std::back_inserter(folders));
  for (const auto& path : folders)
    if (fs::exists(fs::symlink_status(env.at(path)))) out.push_back(path + " is still there");
  std::error_code error;
  for (const auto& each : fs::directory_iterator(env.at(paths::state), error))
    if (each.path().filename() != "agent") out.push_back("/" + each.path().lexically_relative(env.root).string() + " is still there");
  for (const auto& path : our_mounts(env)) out.push_back(path + " is still mounted");
  add_units(env, out);
  if (kubernetes) {
    for (const auto& group : our_cgroups(env)) out.push_back("cgroup " + group + " is still there");
    for (const auto& link : our_links(env)) out.push_back("link " + link + " is still there");
    for (const auto& table : our_tables(env, tables_before)) out.push_back("nftables table " + table.text() + " is still there");
    add_processes(env, out);
  }
  return out;
}

}  // namespace cloudos::steps
