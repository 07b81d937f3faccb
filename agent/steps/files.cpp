#include "agent/steps/files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <format>

#include "agent/steps/actions.hpp"
#include "core/base/text.hpp"
#include "core/os/crypto/crypto.hpp"

namespace cloudos::steps {
namespace {

FileState::Kind kind_of_mode(mode_t mode) {
  if (S_ISREG(mode)) return FileState::Kind::file;
  if (S_ISDIR(mode)) return FileState::Kind::folder;
  return S_ISLNK(mode) ? FileState::Kind::link : FileState::Kind::other;
}

// "line 3: was X, becomes Y": the first difference is enough to see what it is about.
std::string first_difference(std::string_view was, std::string_view becomes) {
  const auto a = split(was, '\n'), b = split(becomes, '\n');
  const auto [x, y] = std::ranges::mismatch(a, b);
  const auto line = static_cast<std::size_t>(x - a.begin()) + 1;
  const auto show = [](const auto& it, const auto& all) {
    return it == all.end() ? std::string("nothing") : "\"" + sanitise(it->substr(0, 80)) + "\"";
  };
  return std::format("line {} is {}, becomes {}", line, show(x, a), show(y, b));
}

mode_t mode_of(const Undo& undo) {
  unsigned mode = 0644;
  if (const auto text = undo.find("mode"); text != undo.end())
    std::from_chars(text->second.data(), text->second.data() + text->second.size(), mode, 8);
  return static_cast<mode_t>(mode);
}

std::string get(const Undo& undo, const std::string& key) {
  const auto found = undo.find(key);
  return found == undo.end() ? "" : found->second;
}

}  // namespace

Result<FileState> state_of(const fs::path& path) {
  struct stat s{};
  if (::lstat(path.c_str(), &s) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return FileState{};
    return fail_errno("look at " + path.string(), errno);
  }
  return FileState{.kind = kind_of_mode(s.st_mode),
                   .mode = static_cast<unsigned>(s.st_mode & 07777),
                   .size = static_cast<std::uint64_t>(s.st_size),
                   .mtime_ns = std::int64_t{s.st_mtim.tv_sec} * 1'000'000'000 + s.st_mtim.tv_nsec,
                   .inode = s.st_ino,
                   .uid = s.st_uid,
                   .gid = s.st_gid};
}

Result<Check> check_file(const Session& session, const std::string& path, std::string_view content, unsigned mode) {
  CLOUDOS_ASSIGN(auto state, state_of(session.at(path)));
  if (state.kind == FileState::Kind::absent) return Check::needed("is not there");
  if (state.kind == FileState::Kind::folder) return Check::conflict(path + " is a folder, and a file is to be written there");
  if (state.kind != FileState::Kind::file) return Check::needed("is not a plain file");
  CLOUDOS_ASSIGN(auto present, os::read(session.at(path)));
  if (present != content) return Check::needed(first_difference(present, content));
  if (state.mode != mode) return Check::needed(std::format("mode is {:04o}, becomes {:04o}", state.mode, mode));
  return Check::satisfied();
}

Result<Undo> keep_before(Session& session, const std::string& path, const Digest& after) {
  Undo undo{{"path", path}, {"before", ""}, {"after", after.hex()}};
  const auto at = session.at(path);
  CLOUDOS_ASSIGN(auto state, state_of(at));
  if (state.kind == FileState::Kind::link) {
    undo["before-link"] = fs::read_symlink(at).string();
    return undo;
  }
  if (state.kind != FileState::Kind::file) return undo;
  CLOUDOS_ASSIGN(auto content, os::read(at, 512U << 20));
  const auto digest = os::sha256(content);
  undo["mode"] = std::format("{:o}", state.mode);
  undo["before"] = digest.hex();
  const auto backup = session.at(paths::backups) / digest.hex();
  CLOUDOS_TRY(os::make_folders(backup.parent_path(), 0700));
  if (!fs::exists(backup)) CLOUDOS_TRY_WITH(os::write_atomic(backup, content, 0600), "keeping what stands at " + path);
  return undo;
}

Status write_file(Session& session, const std::string& path, std::string_view content, unsigned mode) {
  return os::write_atomic(session.at(path), content, static_cast<mode_t>(mode));
}

Result<std::optional<std::string>> take_back_file(Environment& env, const Undo& undo) {
  const auto name = get(undo, "path");
  const auto path = env.at(name);
  CLOUDOS_ASSIGN(auto state, state_of(path));
  if (state.kind == FileState::Kind::absent) return std::nullopt;
  if (state.kind != FileState::Kind::file) return name + " is not the file that was written here; it is left";
  CLOUDOS_ASSIGN(auto now, os::sha256_file(path.string()));
  const auto before = get(undo, "before");
  if (now.digest.hex() == before) return std::nullopt;
  if (now.digest.hex() != get(undo, "after")) return name + " was changed since it was written here; it is left";
  if (const auto link = get(undo, "before-link"); !link.empty()) {
    CLOUDOS_TRY(os::link_atomic(path, link));
    return std::nullopt;
  }
  if (before.empty()) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno("remove " + name, errno);
    return std::nullopt;
  }
  CLOUDOS_ASSIGN(auto content, os::read(env.at(paths::backups) / before, 512U << 20));
  CLOUDOS_TRY(os::write_atomic(path, content, mode_of(undo)));
  return std::nullopt;
}

// --- Folder ---

Result<Check> check(const model::Folder& a, Session& session) {
  CLOUDOS_ASSIGN(auto state, state_of(session.at(a.path)));
  if (state.kind == FileState::Kind::absent) return Check::needed("is not there");
  if (state.kind == FileState::Kind::link && fs::is_directory(session.at(a.path))) return Check::satisfied();
  if (state.kind != FileState::Kind::folder) return Check::conflict(a.path + " is there and is not a folder");
  if (state.mode != a.mode) return Check::needed(std::format("mode is {:04o}, becomes {:04o}", state.mode, a.mode));
  return Check::satisfied();
}
Result<Undo> before(const model::Folder& a, Session& session) {
  CLOUDOS_ASSIGN(auto state, state_of(session.at(a.path)));
  Undo undo{{"path", a.path}};
  if (state.kind == FileState::Kind::folder) undo["mode"] = std::format("{:o}", state.mode);
  return undo;
}
Status apply(const model::Folder& a, Session& session) {
  const auto path = session.at(a.path);
  CLOUDOS_TRY(os::make_folders(path, static_cast<mode_t>(a.mode)));
  if (::chmod(path.c_str(), static_cast<mode_t>(a.mode)) != 0) return fail_errno("chmod " + a.path, errno);
  return {};
}

// --- WriteFile ---

Result<Check> check(const model::WriteFile& a, Session& session) {
  if (a.keep_existing) {
    CLOUDOS_ASSIGN(const auto state, state_of(session.at(a.path)));
    if (state.kind == FileState::Kind::file || state.kind == FileState::Kind::link) return Check::satisfied();
  }
  return check_file(session, a.path, a.content, a.mode);
}
Result<Undo> before(const model::WriteFile& a, Session& session) { return keep_before(session, a.path, os::sha256(a.content)); }
Status apply(const model::WriteFile& a, Session& session) { return write_file(session, a.path, a.content, a.mode); }

// --- Symlink ---

Result<Check> check(const model::Symlink& a, Session& session) {
  CLOUDOS_ASSIGN(auto state, state_of(session.at(a.path)));
  if (state.kind == FileState::Kind::absent) return Check::needed("is not there");
  if (a.keep_existing) return Check::satisfied();
  if (state.kind != FileState::Kind::link) return Check::conflict(a.path + " is there and is not a symbolic link");
  std::error_code error;
  const auto target = fs::read_symlink(session.at(a.path), error).string();
  if (target != a.target) return Check::needed("points to " + target + ", will point to " + a.target);
  return Check::satisfied();
}
Result<Undo> before(const model::Symlink& a, Session& session) {
  std::error_code error;
  const auto target = fs::read_symlink(session.at(a.path), error).string();
  return Undo{{"path", a.path}, {"before", error ? "" : target}, {"after", a.target}};
}
Status apply(const model::Symlink& a, Session& session) { return os::link_atomic(session.at(a.path), a.target); }

// --- KeepOnly ---

namespace {

Result<std::vector<fs::path>> others_in(const model::KeepOnly& a, const Session& session) {
  // Folders that others use are not swept, whatever a request says.
  const auto in_ours = [&](const char* ours) { return a.path.starts_with(std::string(ours) + "/") && !a.path.contains(".."); };
  if (!in_ours(paths::state) && !in_ours(paths::config)) return fail(ErrorKind::input, a.path + " is not below a folder of cloudos");
  std::vector<fs::path> others;
  std::error_code error;
  for (const auto& each : fs::directory_iterator(session.at(a.path), error))
    if (!std::ranges::contains(a.names, each.path().filename().string())) others.push_back(each.path());
  std::ranges::sort(others);
  if (error && error != std::errc::no_such_file_or_directory) return fail_errno("look into " + a.path, error.value());
  return others;
}

}  // namespace

Result<Check> check(const model::KeepOnly& a, Session& session) {
  CLOUDOS_ASSIGN(const auto others, others_in(a, session));
  if (others.empty()) return Check::satisfied();
  return Check::needed(std::format("{} goes", sanitise(others.front().filename().string())));
}
// What goes is ours, and another run of whoever wrote it brings it back.
Result<Undo> before(const model::KeepOnly&, Session&) { return Undo{}; }
Status apply(const model::KeepOnly& a, Session& session) {
  CLOUDOS_ASSIGN(const auto others, others_in(a, session));
  for (const auto& each : others) CLOUDOS_TRY(os::remove_tree(each));
  return {};
}

}  // namespace cloudos::steps
