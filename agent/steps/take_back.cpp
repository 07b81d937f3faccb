#include "agent/steps/take_back.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "agent/steps/files.hpp"
#include "core/base/text.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::steps {
namespace {

using Left = Result<std::optional<std::string>>;

constexpr Milliseconds start_limit{60'000};

std::string get(const model::JournalRecord& record, const std::string& key) {
  const auto found = record.undo.find(key);
  return found == record.undo.end() ? "" : found->second;
}

Left take_back_symlink(Environment& env, const model::JournalRecord& record) {
  const auto path = env.at(get(record, "path"));
  std::error_code error;
  const auto target = fs::read_symlink(path, error).string();
  if (error || target != get(record, "after")) return std::nullopt;
  if (const auto before = get(record, "before"); !before.empty()) {
    CLOUDOS_TRY(os::link_atomic(path, before));
  } else {
    ::unlink(path.c_str());
  }
  return std::nullopt;
}

Left take_back_sysctl(Environment& env, const model::JournalRecord& record) {
  auto key = get(record, "key");
  std::ranges::replace(key, '.', '/');
  const auto path = env.at("/proc/sys/" + key);
  auto now = os::read_if_any(path);
  if (now && *now) {
    auto value = std::string(trim(**now));
    std::ranges::replace(value, '\t', ' ');
    const auto before = get(record, "value-before");
    if (value == get(record, "value-after") && value != before) {
      CLOUDOS_ASSIGN(auto fd, os::open(path, O_WRONLY));
      CLOUDOS_TRY_WITH(os::write_all(fd.get(), std::as_bytes(std::span(before))), "setting " + get(record, "key") + " back to " + before);
    }
  }
  return take_back_file(env, record.undo);
}

// The unit was stopped already, with all others. One that was here before us is what it was again.
Left take_back_unit(Environment& env, const model::JournalRecord& record, bool oldest) {
  const auto name = get(record, "name");
  if (!oldest) return record.undo.contains("path") ? take_back_file(env, record.undo) : Left(std::nullopt);
  if (get(record, "enabled-before") != "yes") static_cast<void>(env.services.disable(name));
  if (!record.undo.contains("path")) return std::nullopt;
  auto left = take_back_file(env, record.undo);
  if (!left || get(record, "before").empty()) return left;
  CLOUDOS_TRY(env.services.daemon_reload());
  if (get(record, "active-before") == "yes") CLOUDOS_TRY(env.services.start(name, in(start_limit)));
  return left;
}

Left take_back_swap(Environment& env, const model::JournalRecord& record) {
  auto left = take_back_file(env, record.undo);
  if (!left) return left;
  for (const auto& unit : split(get(record, "masked"), ' ')) {
    const auto path = env.at("/etc/systemd/system/" + unit);
    std::error_code error;
    if (!unit.empty() && fs::read_symlink(path, error) == "/dev/null") ::unlink(path.c_str());
  }
  CLOUDOS_TRY(env.services.daemon_reload());
  for (const auto& path : split(get(record, "swaps"), ' '))
    if (!path.empty() && ::swapon(path.c_str(), 0) != 0 && errno != EBUSY) return "swap on " + path + " could not be turned on again";
  return left;
}

bool ours_as_a_whole(const std::string& path) {
  return path.starts_with(std::string(paths::state) + "/") || path.starts_with(std::string(paths::config) + "/") ||
         path.starts_with(std::string(paths::runtime) + "/");
}

}  // namespace

Left take_back(Environment& env, const model::JournalRecord& record, bool oldest) {
  if (record.kind == model::Unit::kind) return take_back_unit(env, record, oldest);
  if (record.kind == model::Sysctl::kind) return take_back_sysctl(env, record);
  if (record.kind == model::SwapOff::kind) return take_back_swap(env, record);
  // What is in our own folders goes with them.
  if (ours_as_a_whole(get(record, "path"))) return std::nullopt;
  if (record.kind == model::Symlink::kind) return take_back_symlink(env, record);
  if (record.kind == model::WriteFile::kind || record.kind == model::InstallFile::kind || record.kind == model::KernelModule::kind)
    return take_back_file(env, record.undo);
  if (record.kind == model::PodNetwork::kind) ::unlink(env.at(get(record, "path")).c_str());
  return std::nullopt;
}

void take_back_folder(Environment& env, const model::JournalRecord& record) {
  const auto path = env.at(get(record, "path"));
  const auto mode = get(record, "mode");
  if (mode.empty()) {
    ::rmdir(path.c_str());
    return;
  }
  unsigned value = 0;
  if (std::from_chars(mode.data(), mode.data() + mode.size(), value, 8).ec == std::errc{})
    ::chmod(path.c_str(), static_cast<mode_t>(value));
}

}  // namespace cloudos::steps
