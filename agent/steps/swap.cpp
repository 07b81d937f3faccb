// SwapOff: the kubelet's memory limits do not hold with swap (kubelet --fail-swap-on). Off now by swapoff(2); for the next
// boot the fstab entries become comments and swap units are masked (systemd.unit(5): a symlink to /dev/null).

#include <sys/swap.h>

#include <cerrno>
#include <sstream>

#include "agent/steps/actions.hpp"
#include "agent/steps/files.hpp"
#include "core/base/text.hpp"
#include "core/os/crypto/crypto.hpp"

namespace cloudos::steps {
namespace {

constexpr auto fstab = "/etc/fstab";
constexpr std::string_view mark = "#cloudos# ";

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

bool is_swap_entry(const std::string& line) {
  const auto words = words_of(line);
  return words.size() >= 3 && !words[0].starts_with('#') && words[2] == "swap";
}

Result<std::vector<std::string>> active_swaps(const Session& session) {
  CLOUDOS_ASSIGN(auto text, os::read_if_any(session.at("/proc/swaps")));
  std::vector<std::string> paths;
  for (const auto& line : split(text.value_or(""), '\n'))
    if (const auto words = words_of(line); words.size() >= 3 && words[0] != "Filename") paths.push_back(words[0]);
  return paths;
}

Result<std::string> fstab_now(const Session& session) {
  CLOUDOS_ASSIGN(auto text, os::read_if_any(session.at(fstab)));
  return text.value_or("");
}

std::string without_swap(const std::string& text) {
  auto lines = split(text, '\n');
  for (auto& line : lines)
    if (is_swap_entry(line)) line.insert(0, mark);
  return join(lines, "\n");
}

}  // namespace

Result<Check> check(const model::SwapOff&, Session& session) {
  CLOUDOS_ASSIGN(auto swaps, active_swaps(session));
  if (!swaps.empty()) return Check::needed("swap is on: " + join(swaps, ", "));
  CLOUDOS_ASSIGN(auto table, fstab_now(session));
  if (without_swap(table) != table) return Check::needed("/etc/fstab turns swap on at the next boot");
  CLOUDOS_ASSIGN(auto units, session.env.services.list_units("*.swap"));
  for (const auto& unit : units) {
    CLOUDOS_ASSIGN(auto state, session.env.services.state(unit));
    if (state.load == "loaded" && state.active == "active") return Check::needed(unit + " is active");
  }
  return Check::satisfied();
}

Result<Undo> before(const model::SwapOff&, Session& session) {
  CLOUDOS_ASSIGN(auto table, fstab_now(session));
  CLOUDOS_ASSIGN(auto undo, keep_before(session, fstab, os::sha256(without_swap(table))));
  CLOUDOS_ASSIGN(auto swaps, active_swaps(session));
  CLOUDOS_ASSIGN(auto units, session.env.services.list_units("*.swap"));
  undo["swaps"] = join(swaps, " ");
  std::vector<std::string> masked;
  for (const auto& unit : units)
    if (!fs::exists(fs::symlink_status(session.at("/etc/systemd/system/" + unit)))) masked.push_back(unit);
  undo["masked"] = join(masked, " ");
  return undo;
}

Status apply(const model::SwapOff&, Session& session) {
  CLOUDOS_ASSIGN(auto units, session.env.services.list_units("*.swap"));
  for (const auto& unit : units) {
    const auto path = session.at("/etc/systemd/system/" + unit);
    if (!fs::exists(fs::symlink_status(path))) CLOUDOS_TRY(os::link_atomic(path, "/dev/null"));
  }
  CLOUDOS_ASSIGN(auto swaps, active_swaps(session));
  for (const auto& path : swaps)
    if (::swapoff(path.c_str()) != 0) return fail_errno("turn swap off on " + path, errno);
  CLOUDOS_ASSIGN(auto table, fstab_now(session));
  if (const auto changed = without_swap(table); changed != table) {
    CLOUDOS_ASSIGN(auto state, state_of(session.at(fstab)));
    CLOUDOS_TRY(write_file(session, fstab, changed, state.mode));
  }
  return units.empty() ? Status{} : session.env.services.daemon_reload();
}

}  // namespace cloudos::steps
