#include "installer/cli/bundle_choice.hpp"

#include <algorithm>
#include <cstdlib>
#include <format>

#include "core/os/file/file.hpp"

namespace cloudos::cli {

namespace fs = std::filesystem;

void BundleFlags::add_to(CLI::App& command) {
  constexpr auto group = "Bundle";
  command.add_option("--bundle", file, "The bundle to install; else the newest *.bundle beside the program or in ./build")->group(group);
  command
      .add_option("--bundle-key", keys, "Public key that must have signed it; else bundle.pub beside it, else ~/.config/cloudos/keys/*.pub")
      ->group(group);
  command.add_flag("--allow-unsigned", allow_unsigned, "Take an unsigned bundle: nobody vouches for its content")->group(group);
}

namespace {

std::vector<fs::path> files_with(const fs::path& folder, std::string_view extension) {
  std::vector<fs::path> out;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (entry.path().extension() == extension && entry.is_regular_file(ignored)) out.push_back(entry.path());
  std::ranges::sort(out);
  return out;
}

Result<fs::path> find_bundle() {
  std::error_code ignored;
  const auto program = fs::read_symlink("/proc/self/exe", ignored);
  std::vector<fs::path> folders{fs::current_path(ignored), fs::current_path(ignored) / "build"};
  // The program lies in <folder>/bin or <folder>/lib of its relocatable folder; the bundle beside that folder or in it.
  auto folder = program.parent_path();
  for (int up = 0; up < 3 && folder.has_relative_path(); ++up, folder = folder.parent_path()) folders.push_back(folder);
  std::vector<fs::path> found;
  for (const auto& one : folders) std::ranges::move(files_with(one, ".bundle"), std::back_inserter(found));
  if (found.empty())
    return fail(ErrorKind::input, "no bundle was given and none lies beside the program or in ./build", "name it with --bundle FILE");
  return *std::ranges::max_element(found, {}, [&](const fs::path& path) { return fs::last_write_time(path, ignored); });
}

fs::path pinned_keys() {
  const char* config = std::getenv("XDG_CONFIG_HOME");
  const char* home = std::getenv("HOME");
  const fs::path base = config != nullptr && *config == '/' ? fs::path{config} : fs::path{home != nullptr ? home : "/root"} / ".config";
  return base / "cloudos/keys";
}

Result<std::vector<os::PublicKey>> trusted_keys(const BundleFlags& flags, const fs::path& bundle) {
  std::vector<fs::path> files(flags.keys.begin(), flags.keys.end());
  std::error_code ignored;
  if (const auto beside = bundle.parent_path() / "bundle.pub"; files.empty() && fs::exists(beside, ignored)) files.push_back(beside);
  if (files.empty()) files = files_with(pinned_keys(), ".pub");
  std::vector<os::PublicKey> keys;
  for (const auto& file : files) {
    const auto where = std::format("reading the public key {}", file.string());
    auto text = os::read(file, 4096);
    if (!text) return fail(Error{.kind = ErrorKind::input, .message = text.error().message, .context = {where}});
    auto key = os::parse_public_key(*text);
    if (!key) return fail(std::move(key).error().with(where));
    keys.push_back(*key);
  }
  if (keys.empty() && !flags.allow_unsigned)
    return fail(ErrorKind::input, std::format("no public key to check {} with", bundle.string()),
                "give --bundle-key FILE, put bundle.pub beside the bundle, or pin keys in ~/.config/cloudos/keys");
  return keys;
}

}  // namespace

Result<images::Bundle> open_bundle(const BundleFlags& flags) {
  fs::path file = flags.file;
  if (file.empty()) { CLOUDOS_ASSIGN(file, find_bundle()); }
  if (std::error_code ignored; !fs::is_regular_file(file, ignored))
    return fail(ErrorKind::input, std::format("there is no bundle {}", file.string()),
                "build one with `cloudos bundle build`, or name it with --bundle");
  CLOUDOS_ASSIGN(const auto keys, trusted_keys(flags, file));
  return images::Bundle::open(file, {.keys = keys, .allow_unsigned = flags.allow_unsigned});
}

}  // namespace cloudos::cli
