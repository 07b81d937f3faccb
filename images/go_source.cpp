#include "images/go_source.hpp"

#include <algorithm>
#include <format>
#include <set>

#include "core/base/text.hpp"
#include "core/os/process/process.hpp"

namespace cloudos::images {

namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

constexpr int recipe_of_this_code = 1;  // raise it when the same inputs are built in another way

Result<std::string> text_at(const Json& json, const char* key) {
  const auto at = json.find(key);
  if (at != json.end() && at->is_string()) return at->get<std::string>();
  return fail(ErrorKind::failed, std::format("the go command's answer has no '{}'", key));
}

class GoBuild {
 public:
  GoBuild(const GoSource& source, const std::string& architecture, const std::string& toolchain, const LockedModule* locked,
          const Work& work)
      : source_(source), toolchain_(toolchain), locked_(locked), work_(work) {
    environment_ = {{"GOWORK", "off"},
                    {"GOFLAGS", "-buildvcs=false"},
                    {"GOTOOLCHAIN", "local"},
                    {"CGO_ENABLED", source.cgo ? "1" : "0"},
                    {"GOOS", "linux"},
                    {"GOARCH", architecture},
                    {"GOAMD64", "v1"},
                    {"GOARM64", "v8.0"},
                    // What a developer may have set must not change the bytes.
                    {"GOEXPERIMENT", ""},
                    {"GODEBUG", ""},
                    {"CGO_CFLAGS", ""},
                    {"CGO_LDFLAGS", ""}};
  }

  Result<GoPrograms> run() {
    if (locked_ != nullptr) out_.locked = *locked_;
    else CLOUDOS_TRY(resolve());
    CLOUDOS_ASSIGN(const auto key, make_key());
    if (const auto found = work_.cache.find(key); found && take(*found)) {
      out_.cached = true;
      return std::move(out_);
    }
    work_.begun();
    if (folder_.empty()) CLOUDOS_TRY(resolve());
    CLOUDOS_TRY(build());
    CLOUDOS_TRY(work_.cache.record(key, result()));
    return std::move(out_);
  }

 private:
  os::RunOptions options(const fs::path& folder) const {
    return {.environment = environment_, .directory = folder.string(), .stop = work_.stop};
  }

  // The module's folder and sums, downloaded where it is not there yet and checked by the go command against the sum
  // database (https://go.dev/ref/mod#checksum-database).
  Status resolve() {
    const auto name = std::format("{}@{}", source_.module, source_.version);
    CLOUDOS_ASSIGN(const auto output, os::capture({"go", "mod", "download", "-json", name}, options("/")));
    const auto json = Json::parse(output.out, nullptr, false);
    if (!json.is_object()) return fail(ErrorKind::failed, std::format("go mod download {}: {}", name, sanitise(trim(output.err))));
    if (json.contains("Error") && json["Error"].is_string())
      return fail(ErrorKind::failed, sanitise(json["Error"].get<std::string>()),
                  "the Go module proxy is the one that `go env GOPROXY` names");
    CLOUDOS_ASSIGN(folder_, text_at(json, "Dir"));
    LockedModule found{.module = source_.module, .version = source_.version, .sum = {}, .mod_sum = {}, .programs = {}};
    CLOUDOS_ASSIGN(found.sum, text_at(json, "Sum"));
    CLOUDOS_ASSIGN(found.mod_sum, text_at(json, "GoModSum"));
    if (locked_ != nullptr && (found.sum != locked_->sum || found.mod_sum != locked_->mod_sum))
      return fail(ErrorKind::trust, std::format("{} has the sum {}, but {} is locked", name, found.sum, locked_->sum),
                  "somebody changed a published version; find out who before you build with --update-lock");
    out_.locked = std::move(found);
    return {};
  }

  Result<Digest> make_key() const {
    Json key{{"kind", "go"},
             {"how", recipe_of_this_code},
             {"toolchain", toolchain_},
             {"architecture", environment_.at("GOARCH")},
             {"module", {source_.module, source_.version, out_.locked.sum, out_.locked.mod_sum}},
             {"programs", source_.programs},
             {"tags", source_.tags},
             {"ldflags", source_.ldflags},
             {"local_replacements", source_.local_replacements},
             {"remove", source_.remove}};
    for (const auto& removal : source_.remove_lines) key["remove_lines"].push_back({removal.file, removal.line});
    if (source_.cgo) {
      CLOUDOS_ASSIGN(key["compiler"], os::must({"cc", "--version"}));
      for (const auto& library : source_.static_libraries) {
        CLOUDOS_ASSIGN(const auto path, os::must({"cc", "-print-file-name=" + library}));
        if (!trim(path).starts_with('/'))
          return fail(ErrorKind::io, std::format("the static library {} is not installed", library), "install its -dev package");
        CLOUDOS_ASSIGN(const auto digest, os::sha256_file(std::string(trim(path))));
        key["libraries"][library] = digest.digest.hex();
      }
    }
    return key_of(key);
  }

  // Gives the folder to build in and, when go.mod has to be another than the module's own, its path.
  struct Place {
    fs::path folder;
    std::string modfile;
  };
  Result<Place> prepare(const fs::path& work) const {
    if (!source_.remove.empty() || !source_.remove_lines.empty()) {
      CLOUDOS_TRY(copy_without(work / "module"));
      return Place{work / "module", ""};
    }
    for (const auto* name : {"go.mod", "go.sum"}) {
      CLOUDOS_ASSIGN(const auto text, os::read_if_any(folder_ / name));
      if (text) CLOUDOS_TRY(os::write_atomic(work / name, *text, 0644));
    }
    CLOUDOS_TRY(rewrite_replacements(work / "go.mod"));
    return Place{folder_, (work / "go.mod").string()};
  }

  // A module's zip does not carry the folders that its go.mod replaces modules by.
  Status rewrite_replacements(const fs::path& modfile) const {
    CLOUDOS_ASSIGN(const auto text, os::must({"go", "mod", "edit", "-json", modfile.string()}, options("/")));
    const auto json = Json::parse(text, nullptr, false);
    Argv edit{"go", "mod", "edit"};
    if (json.is_object() && json.contains("Replace") && json["Replace"].is_array())
      for (const auto& replace : json["Replace"]) {
        const auto from = replace.at("Old").value("Path", "");
        if (!replace.at("New").value("Path", "").starts_with(".")) continue;
        edit += source_.local_replacements.empty() ? "-dropreplace=" + from
                                                   : std::format("-replace={}={}@{}", from, from, source_.local_replacements);
      }
    if (edit.words.size() == 3) return {};
    edit += modfile.string();
    CLOUDOS_TRY(os::must(edit, options("/")));
    return {};
  }

  // A writable copy of the module without some of its parts: overlays are refused for files of the module cache.
  Status copy_without(const fs::path& to) const {
    std::error_code failed;
    fs::copy(folder_, to, fs::copy_options::recursive, failed);
    if (failed) return fail_errno("copy " + folder_.string(), failed.value());
    for (auto at = fs::recursive_directory_iterator(to, failed); !failed && at != fs::recursive_directory_iterator(); at.increment(failed))
      if (at->is_directory()) fs::permissions(at->path(), fs::perms::owner_write, fs::perm_options::add, failed);
    fs::permissions(to, fs::perms::owner_write, fs::perm_options::add, failed);
    for (const auto& path : source_.remove) {
      if (!fs::exists(to / path, failed))
        return fail(ErrorKind::input, std::format("go.{}: {} has no '{}' to remove", source_.name, source_.module, path));
      CLOUDOS_TRY(os::remove_tree(to / path));
    }
    for (const auto& removal : source_.remove_lines) CLOUDOS_TRY(remove_lines(to / removal.file, removal.line));
    return {};
  }

  Status remove_lines(const fs::path& file, const std::string& containing) const {
    CLOUDOS_ASSIGN(const auto text, os::read(file));
    auto lines = split(text, '\n');
    if (std::erase_if(lines, [&](const std::string& line) { return line.contains(containing); }) == 0)
      return fail(ErrorKind::input, std::format("go.{}: no line of {} contains '{}'", source_.name, file.filename().string(), containing));
    return os::write_atomic(file, join(lines, "\n"), 0644);
  }

  Argv command(const Place& place, const fs::path& output) const {
    Argv argv{"go", "build",        "-mod=mod", "-trimpath", "-tags", join(source_.tags, ","), "-ldflags", "-s -w " + source_.ldflags,
              "-o", output.string()};
    if (!place.modfile.empty()) argv += "-modfile=" + place.modfile;
    return argv;
  }

  // Programs that are called as their package go into one command, so that what they share is compiled once.
  Status build() {
    CLOUDOS_ASSIGN(const auto work, work_.cache.scratch());
    CLOUDOS_ASSIGN(const auto place, prepare(work.folder()));
    environment_["GOTMPDIR"] = work.folder().string();  // so that nothing is left where it is stopped
    const auto bin = work.folder() / "bin";
    CLOUDOS_TRY(os::make_folders(bin));
    auto together = command(place, bin.string() + "/");
    const auto alone = together.words.size();
    for (const auto& [program, package] : source_.programs) {
      if (fs::path(package).filename() == program) {
        together += package;
        continue;
      }
      auto single = command(place, bin / program);
      single += package;
      CLOUDOS_TRY(os::must(single, options(place.folder)));
    }
    if (together.words.size() > alone) CLOUDOS_TRY(os::must(together, options(place.folder)));
    return collect(bin);
  }

  Status collect(const fs::path& bin) {
    std::set<UsedModule> modules;
    for (const auto& [program, package] : source_.programs) {
      CLOUDOS_ASSIGN(const auto listing, os::must({"go", "version", "-m", (bin / program).string()}, options("/")));
      for (const auto& line : split(listing, '\n'))
        if (const auto words = split(line, '\t'); words.size() >= 4 && (words[1] == "dep" || words[1] == "=>"))
          modules.insert({.path = words[2], .version = words[3], .sum = words.size() > 4 ? words[4] : ""});
      CLOUDOS_ASSIGN(auto blob, work_.cache.keep_file(bin / program));
      out_.programs.emplace(program, std::move(blob));
    }
    out_.modules.assign(modules.begin(), modules.end());
    return {};
  }

  [[nodiscard]] Json result() const {
    Json json{{"objects", Json::array()}, {"programs", Json::object()}, {"modules", Json::array()}};
    for (const auto& [program, blob] : out_.programs) {
      json["objects"].push_back(blob.digest.hex());
      json["programs"][program] = to_json(blob);
    }
    for (const auto& module : out_.modules) json["modules"].push_back({module.path, module.version, module.sum});
    return json;
  }

  // False when the cached result is not what this program writes: it is then made again.
  bool take(const Json& json) {
    out_.programs.clear();
    for (const auto& [program, package] : source_.programs) {
      const auto blob =
          json.contains("programs") && json["programs"].contains(program) ? blob_from(json["programs"][program]) : std::nullopt;
      if (!blob) return false;
      out_.programs.emplace(program, *blob);
    }
    if (json.contains("modules") && json["modules"].is_array())
      for (const auto& m : json["modules"])
        if (m.is_array() && m.size() == 3)
          out_.modules.push_back({m[0].get<std::string>(), m[1].get<std::string>(), m[2].get<std::string>()});
    return true;
  }

  const GoSource& source_;
  const std::string& toolchain_;
  const LockedModule* locked_;
  const Work& work_;
  std::map<std::string, std::string> environment_;
  fs::path folder_ = {};
  GoPrograms out_ = {};
};

}  // namespace

Result<std::string> go_toolchain() {
  auto version = os::must({"go", "env", "GOVERSION"}, {.environment = {{"GOTOOLCHAIN", "local"}}, .directory = "/"});
  if (version) return std::string(trim(*version));
  return fail(
      std::move(version).error().advise("install Go 1.26 or later and have it in PATH (Debian 13: golang-1.26-go from trixie-backports)"));
}

Result<GoPrograms> build_go(const GoSource& source, const std::string& architecture, const std::string& toolchain,
                            const LockedModule* locked, const Work& work) {
  auto built = GoBuild(source, architecture, toolchain, locked, work).run();
  if (built) return built;
  return fail(std::move(built).error().with(std::format("building {} {}", source.module, source.version)));
}

}  // namespace cloudos::images
