#include <algorithm>
#include <format>
#include <unordered_set>

#include "core/base/text.hpp"
#include "core/os/archive/library.hpp"

namespace cloudos::os {
namespace {

constexpr std::size_t longest_name = 255;   // NAME_MAX
constexpr std::size_t longest_path = 4095;  // PATH_MAX with its NUL
constexpr std::size_t deepest = 64;

std::unexpected<Error> refuse(const Entry& entry, std::string_view why) {
  return fail(ErrorKind::trust, std::format("archive entry '{}' {}", sanitise(entry.path), why),
              "the archive is damaged or hostile; get it again from where it was published");
}

// Why a path is not one below the root; "" when it is.
std::string_view fault_of(std::string_view path) {
  if (path.empty()) return "is empty";
  if (path.starts_with('/')) return "is absolute";
  if (path.size() > longest_path) return "is too long";
  const auto parts = components(path);
  if (std::ranges::contains(parts, "..")) return "has '..' in it";
  if (parts.size() > deepest) return "is nested too deeply";
  if (std::ranges::any_of(parts, [](const auto& part) { return part.size() > longest_name; })) return "has too long a name in it";
  return "";
}

// A link's target is resolved from its folder, which is a real one (nothing lies below a link). Only leading ".." can be
// judged by their number: after a name, that may be a link itself, ".." leads wherever its target's parent is.
bool leaves_root(const std::vector<std::string>& link, std::string_view target) {
  if (target.empty() || target.starts_with('/')) return true;
  const auto parts = components(target);
  const auto first_name = std::ranges::find_if(parts, [](const auto& part) { return part != ".."; });
  if (std::find(first_name, parts.end(), "..") != parts.end()) return true;
  return static_cast<std::size_t>(first_name - parts.begin()) >= std::max<std::size_t>(link.size(), 1);
}

}  // namespace

std::vector<std::string> components(std::string_view path) {
  auto parts = split(path, '/');
  std::erase_if(parts, [](const auto& part) { return part.empty() || part == "."; });
  return parts;
}

struct Inspector::State {
  ReadLimits limits;
  std::uint64_t bytes = 0;
  std::uint64_t entries = 0;
  std::unordered_set<std::string> links = {};  // joined components

  [[nodiscard]] bool below_link(std::vector<std::string> parts) const {
    while (!links.empty() && parts.size() > 1) {
      parts.pop_back();
      if (links.contains(join(parts, "/"))) return true;
    }
    return false;
  }
};

Inspector::Inspector(const ReadLimits& limits) : state_(std::make_unique<State>(State{.limits = limits})) {}
Inspector::~Inspector() = default;

Status Inspector::inspect(const Entry& entry) {
  if (++state_->entries > state_->limits.entries)
    return refuse(entry, std::format("is one more than the {} entries that it may have", state_->limits.entries));
  if (entry.size.count > state_->limits.bytes.count - state_->bytes)
    return refuse(entry, std::format("exceeds the {} that all its contents may have", human(state_->limits.bytes)));
  state_->bytes += entry.size.count;
  if (const auto fault = fault_of(entry.path); !fault.empty()) return refuse(entry, fault);
  if (entry.kind == Entry::Kind::other) return refuse(entry, "is a device, FIFO or socket");
  if ((entry.mode & 06000U) != 0) return refuse(entry, "is setuid or setgid");

  const auto parts = components(entry.path);
  if (parts.empty() && entry.kind != Entry::Kind::folder) return refuse(entry, "replaces the root");
  if (state_->below_link(parts)) return refuse(entry, "lies below a link");
  if (state_->links.contains(join(parts, "/"))) return refuse(entry, "replaces a link");
  if (entry.kind == Entry::Kind::hardlink) {
    if (!fault_of(entry.target).empty() || state_->below_link(components(entry.target)))
      return refuse(entry, std::format("links to '{}', which is outside", sanitise(entry.target)));
  }
  if (entry.kind == Entry::Kind::symlink) {
    if (leaves_root(parts, entry.target)) return refuse(entry, std::format("links to '{}', which is outside", sanitise(entry.target)));
    state_->links.insert(join(parts, "/"));
  }
  return {};
}

}  // namespace cloudos::os
