#include "images/lock.hpp"

#include <algorithm>
#include <format>

#include "images/fields.hpp"

namespace cloudos::images {

namespace {

Digest read_digest(Fields& f, std::string_view key, const std::string& text) {
  if (auto digest = Digest::parse(text)) return *digest;
  f.mistake(key, "expected a SHA-256 of 64 hexadecimal digits");
  return {};
}

LockedModule read_module(const std::string& name, const toml::table& table, Mistakes& mistakes) {
  Fields f(table, "go." + name, mistakes);
  LockedModule out{
      .module = f.text("module"), .version = f.text("version"), .sum = f.text("sum"), .mod_sum = f.text("mod_sum"), .programs = {}};
  for (const auto& [program, digest] : f.text_map("programs")) out.programs.emplace(program, read_digest(f, "programs", digest));
  f.done();
  return out;
}

LockedPackages read_packages(const std::string& name, const toml::table& table, Mistakes& mistakes) {
  Fields f(table, "deb." + name, mistakes);
  LockedPackages out{.request = f.texts("request", Need::required), .packages = {}};
  for (const auto* package : f.tables("packages")) {
    Fields p(*package, std::format("deb.{}.packages", name), mistakes);
    out.packages.push_back({.name = p.text("name"),
                            .version = p.text("version"),
                            .architecture = p.text("architecture"),
                            .digest = read_digest(p, "sha256", p.text("sha256"))});
    p.done();
  }
  f.done();
  return out;
}

// A TOML basic string (TOML 1.0, "String"); what is locked holds no control characters.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

}  // namespace

std::filesystem::path lock_path(const std::filesystem::path& recipe) {
  auto path = recipe;
  return path.replace_extension(".lock.toml");
}

Result<std::optional<LockFile>> read_lock(const std::filesystem::path& file) {
  std::error_code missing;
  if (!std::filesystem::exists(file, missing)) return std::nullopt;
  CLOUDOS_ASSIGN(const auto table, parse_toml(file));
  Mistakes mistakes(file);
  Fields f(table, "", mistakes);
  LockFile lock;
  if (f.number("schema", 0, 1, 1) != 1) f.mistake("schema", "this program reads schema = 1");
  lock.toolchain = f.text("toolchain", Need::optional);
  for (const auto& [name, entry] : f.named_tables("go")) lock.go.emplace(name, read_module(name, *entry, mistakes));
  for (const auto& [name, entry] : f.named_tables("deb")) lock.deb.emplace(name, read_packages(name, *entry, mistakes));
  f.done();
  CLOUDOS_TRY(mistakes.status());
  return lock;
}

std::string format(const LockFile& lock) {
  std::string out = "# What the recipe beside this file resolved to. Written by `cloudos bundle build --update-lock`.\nschema = 1\n";
  if (!lock.toolchain.empty()) out += std::format("toolchain = {}\n", quoted(lock.toolchain));
  for (const auto& [name, module] : lock.go) {
    out += std::format("\n[go.{}]\nmodule = {}\nversion = {}\nsum = {}\nmod_sum = {}\n", name, quoted(module.module),
                       quoted(module.version), quoted(module.sum), quoted(module.mod_sum));
    if (module.programs.empty()) continue;
    out += std::format("[go.{}.programs]\n", name);
    for (const auto& [program, digest] : module.programs) out += std::format("{} = {}\n", quoted(program), quoted(digest.hex()));
  }
  for (const auto& [name, deb] : lock.deb) {
    out += std::format("\n[deb.{}]\nrequest = [", name);
    for (const auto& word : deb.request) out += std::format("{}{}", &word == deb.request.data() ? "" : ", ", quoted(word));
    out += "]\npackages = [\n";
    for (const auto& p : deb.packages)
      out += std::format("  {{ name = {}, version = {}, architecture = {}, sha256 = {} }},\n", quoted(p.name), quoted(p.version),
                         quoted(p.architecture), quoted(p.digest.hex()));
    out += "]\n";
  }
  return out;
}

std::vector<std::string> request_of(const DebSource& deb) {
  auto out = deb.packages;
  std::ranges::sort(out);
  auto without = deb.without;
  std::ranges::sort(without);
  for (const auto& name : without) out.push_back("-" + name);
  return out;
}

}  // namespace cloudos::images
