#include "images/deb_source.hpp"

#include <algorithm>
#include <format>

#include "core/base/text.hpp"
#include "core/os/process/process.hpp"

namespace cloudos::images {

namespace fs = std::filesystem;

namespace {

constexpr auto moved_on =
    "the mirror may have newer versions by now: build with --update-lock to take them, and review the lock's difference";

// apt with lists, cache and status of its own (apt.conf(5)), as if nothing were installed.
class Apt {
 public:
  Apt(const fs::path& work, const std::string& architecture, std::stop_token stop) : work_(work), stop_(std::move(stop)) {
    const auto folder = [&](const char* name) { return (work / name).string(); };
    common_ = {"-q",
               "-o",
               "Dir::State=" + folder("state"),
               "-o",
               "Dir::State::status=" + folder("status"),
               "-o",
               "Dir::Cache=" + folder("cache"),
               "-o",
               "APT::Architecture=" + architecture,
               "-o",
               "APT::Architectures=" + architecture,
               "-o",
               "APT::Install-Recommends=false",
               "-o",
               "APT::Sandbox::User=root",  // its own user could not enter our folder
               "-o",
               "Acquire::Languages=none",
               "-o",
               "Acquire::Retries=3"};
  }

  Status update() const {
    for (const auto* name : {"state/lists/partial", "cache/archives/partial", "debs"}) CLOUDOS_TRY(os::make_folders(work_ / name));
    CLOUDOS_TRY(os::write_atomic(work_ / "status", "", 0644));
    CLOUDOS_TRY(run("apt-get", {"update", "--error-on=any"}));
    return {};
  }

  // What would be installed, as "name=version".
  Result<std::vector<std::string>> closure(const std::vector<std::string>& packages) const {
    std::vector<std::string> words{"install", "--simulate", "--no-install-recommends"};
    words.insert(words.end(), packages.begin(), packages.end());
    CLOUDOS_ASSIGN(const auto text, run("apt-get", words));
    std::vector<std::string> out;
    for (const auto& line : split(text, '\n')) {  // Inst libc6 (2.41-12 Debian:13.1/stable [amd64])
      const auto parts = split(line, ' ');
      if (parts.size() > 2 && parts[0] == "Inst") out.push_back(std::format("{}={}", parts[1], trim(parts[2]).substr(1)));
    }
    return out;
  }

  // Downloads "name=version" into the folder "debs".
  Status download(const std::vector<std::string>& packages) const {
    std::vector<std::string> words{"download"};
    words.insert(words.end(), packages.begin(), packages.end());
    CLOUDOS_TRY(run("apt-get", words));
    return {};
  }

 private:
  Result<std::string> run(const std::string& program, const std::vector<std::string>& words) const {
    Argv argv{program};
    for (const auto& word : common_) argv += word;
    for (const auto& word : words) argv += word;
    return os::must(argv, {.environment = {{"LC_ALL", "C.UTF-8"}, {"DEBIAN_FRONTEND", "noninteractive"}},
                           .directory = (work_ / (words.front() == "download" ? "debs" : ".")).string(),
                           .stop = stop_});
  }

  fs::path work_;
  std::stop_token stop_;
  std::vector<std::string> common_;
};

// Takes the downloaded packages into the cache and says what they are.
Result<std::vector<LockedPackage>> collect(const fs::path& folder, const Cache& cache) {
  std::vector<LockedPackage> out;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(folder, failed)) {
    CLOUDOS_ASSIGN(const auto fields,
                   os::must({"dpkg-deb", "--show", "--showformat=${Package}\t${Version}\t${Architecture}", entry.path().string()}));
    const auto words = split(fields, '\t');
    if (words.size() != 3) return fail(ErrorKind::failed, std::format("{} has no package name", entry.path().filename().string()));
    CLOUDOS_ASSIGN(const auto blob, cache.keep_file(entry.path()));
    out.push_back({.name = words[0], .version = words[1], .architecture = words[2], .digest = blob.digest});
  }
  if (failed) return fail_errno("list the downloaded packages", failed.value());
  std::ranges::sort(out, {}, &LockedPackage::name);
  return out;
}

Status fetch_locked(const LockedPackages& locked, const std::string& architecture, const Work& work) {
  CLOUDOS_ASSIGN(const auto scratch, work.cache.scratch());
  const Apt apt(scratch.folder(), architecture, work.stop);
  CLOUDOS_TRY(apt.update());
  std::vector<std::string> wanted;
  std::error_code ignored;
  for (const auto& package : locked.packages)
    if (!fs::exists(work.cache.object(package.digest), ignored)) wanted.push_back(std::format("{}={}", package.name, package.version));
  if (auto status = apt.download(wanted); !status) return fail(std::move(status).error().advise(moved_on));
  CLOUDOS_ASSIGN(const auto found, collect(scratch.folder() / "debs", work.cache));
  for (const auto& package : found)
    if (!std::ranges::contains(locked.packages, package))
      return fail(ErrorKind::trust,
                  std::format("the mirror's {} {} has the SHA-256 {}, which is not the locked one", package.name, package.version,
                              package.digest.hex()),
                  moved_on);
  return {};
}

Result<LockedPackages> resolve(const DebSource& source, const std::string& architecture, const Work& work) {
  CLOUDOS_ASSIGN(const auto scratch, work.cache.scratch());
  const Apt apt(scratch.folder(), architecture, work.stop);
  CLOUDOS_TRY(apt.update());
  CLOUDOS_ASSIGN(auto closure, apt.closure(source.packages));
  for (const auto& name : source.without)
    if (std::erase_if(closure, [&](const std::string& package) { return package.starts_with(name + "="); }) == 0)
      return fail(ErrorKind::input, std::format("deb.{}: '{}' is left out but nothing depends on it", source.name, name),
                  "take it out of `without`");
  CLOUDOS_TRY(apt.download(closure));
  LockedPackages out{.request = request_of(source), .packages = {}};
  CLOUDOS_ASSIGN(out.packages, collect(scratch.folder() / "debs", work.cache));
  return out;
}

}  // namespace

Result<DebPackages> fetch_debs(const DebSource& source, const std::string& architecture, const LockedPackages* locked, const Work& work) {
  if (locked == nullptr) {
    work.begun();
    auto found = resolve(source, architecture, work);
    if (!found) return fail(std::move(found).error().with(std::format("fetching the Debian packages '{}'", source.name)));
    return DebPackages{.locked = std::move(*found)};
  }
  std::error_code ignored;
  const bool there = std::ranges::all_of(locked->packages, [&](const auto& p) { return fs::exists(work.cache.object(p.digest), ignored); });
  if (!there) CLOUDOS_TRY_WITH(fetch_locked(*locked, architecture, work), std::format("fetching the Debian packages '{}'", source.name));
  return DebPackages{.locked = *locked, .cached = there};
}

}  // namespace cloudos::images
