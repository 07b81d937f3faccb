// Unit: a unit file, its enablement and its run state.

#include <sys/stat.h>

#include <algorithm>
#include <format>

#include "agent/steps/actions.hpp"
#include "agent/steps/files.hpp"
#include "core/os/crypto/crypto.hpp"

namespace cloudos::steps {
namespace {

constexpr Milliseconds start_limit{120'000};

std::string unit_path(const std::string& name) { return "/etc/systemd/system/" + name; }

// When a path last changed, or what it points to, in microseconds since the epoch; 0 when it is not there.
std::int64_t changed_us(const fs::path& path) {
  std::int64_t newest = 0;
  for (const auto look : {&::lstat, &::stat}) {
    struct stat s{};
    if (look(path.c_str(), &s) == 0) newest = std::max(newest, std::int64_t{s.st_mtim.tv_sec} * 1'000'000 + s.st_mtim.tv_nsec / 1000);
  }
  return newest;
}

bool is_active(const os::UnitState& state) { return state.active == "active" || state.active == "reloading"; }
// systemctl(1) is-enabled: these need no enabling, or cannot be enabled.
bool is_enabled(const os::UnitState& state) {
  return state.file_state == "enabled" || state.file_state == "static" || state.file_state == "indirect" || state.file_state == "generated";
}

// What changed after the unit's start, or "".
std::string newer_than_start(const model::Unit& a, const Session& session, const os::UnitState& state) {
  auto watched = a.watches;
  if (!a.content.empty()) watched.insert(watched.begin(), unit_path(a.name));
  for (const auto& path : watched)
    if (changed_us(session.at(path)) > state.active_since_us) return path;
  return "";
}

Result<Check> check_run(const model::Unit& a, Session& session) {
  CLOUDOS_ASSIGN(auto state, session.env.services.state(a.name));
  if (state.load == "masked") return Check::conflict(a.name + " is masked: `systemctl unmask " + a.name + "` first");
  if (state.load == "not-found" || state.needs_reload) return Check::needed("systemd has not read it yet");
  if (a.enable && !is_enabled(state)) return Check::needed("is not enabled for the next boot");
  if (!a.start) return Check::satisfied();
  if (!is_active(state)) return Check::needed(std::format("is {}", state.active));
  if (const auto path = newer_than_start(a, session, state); !path.empty())
    return Check::needed("runs since before " + path + " was changed");
  return Check::satisfied();
}

}  // namespace

Result<Check> check(const model::Unit& a, Session& session) {
  if (!a.content.empty()) {
    CLOUDOS_ASSIGN(auto file, check_file(session, unit_path(a.name), a.content, 0644));
    if (file.state != Check::State::satisfied) return file;
  }
  return check_run(a, session);
}

Result<Undo> before(const model::Unit& a, Session& session) {
  Undo undo;
  if (!a.content.empty()) { CLOUDOS_ASSIGN(undo, keep_before(session, unit_path(a.name), os::sha256(a.content))); }
  CLOUDOS_ASSIGN(auto state, session.env.services.state(a.name));
  undo["name"] = a.name;
  undo["enabled-before"] = is_enabled(state) ? "yes" : "no";
  undo["active-before"] = is_active(state) ? "yes" : "no";
  return undo;
}

Status apply(const model::Unit& a, Session& session) {
  auto& services = session.env.services;
  if (!a.content.empty()) {
    CLOUDOS_ASSIGN(auto file, check_file(session, unit_path(a.name), a.content, 0644));
    if (file.state != Check::State::satisfied) CLOUDOS_TRY(write_file(session, unit_path(a.name), a.content, 0644));
  }
  CLOUDOS_ASSIGN(auto state, services.state(a.name));
  if (a.enable && !is_enabled(state)) {
    CLOUDOS_TRY(services.enable(a.name));
    CLOUDOS_ASSIGN(state, services.state(a.name));
  }
  // After enabling: from systemd 256 on the new link alone asks for a reload.
  if (state.load == "not-found" || state.needs_reload) {
    CLOUDOS_TRY(services.daemon_reload());
    CLOUDOS_ASSIGN(state, services.state(a.name));
  }
  if (!a.start) return {};
  if (!is_active(state)) {
    if (state.active == "failed") static_cast<void>(services.reset_failed(a.name));
    return services.start(a.name, in(start_limit));
  }
  return newer_than_start(a, session, state).empty() ? Status{} : services.restart(a.name, in(start_limit));
}

}  // namespace cloudos::steps
