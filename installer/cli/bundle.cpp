#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <format>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "core/base/text.hpp"
#include "core/os/file/file.hpp"
#include "images/build.hpp"
#include "images/bundle.hpp"
#include "installer/cli/command.hpp"
#include "installer/cli/session.hpp"

namespace cloudos::cli {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

void print_json(std::ostream& out, const Json& record) { out << record.dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl; }

// --- keygen ---

Result<int> keygen(const Context& context, const fs::path& name) {
  auto secret = name;
  auto open = name;
  secret += ".key";
  open += ".pub";
  std::error_code ignored;
  for (const auto& file : {secret, open})
    if (fs::exists(file, ignored))
      return fail(ErrorKind::refused, std::format("{} is already there", file.string()),
                  "a key that was used must not be lost: choose another name");
  CLOUDOS_ASSIGN(const auto pair, os::generate_key());
  CLOUDOS_TRY(os::write_atomic(secret, pair.secret_file.reveal(), 0600));
  CLOUDOS_TRY(os::write_atomic(open, os::format(pair.public_key), 0644));
  if (context.json) {
    print_json(std::cout, {{"key", secret.string()}, {"public_key", open.string()}, {"id", pair.public_key.id_hex()}});
  } else if (!context.quiet) {
    std::cout << std::format(
        "secret key  {}  keep it where you build bundles, nowhere else\npublic key  {}  give it to everybody who installs: id {}\n",
        secret.string(), open.string(), pair.public_key.id_hex());
  }
  return 0;
}

// --- build ---

struct BuildFlags {
  fs::path recipe, output, key, cache;
  std::vector<std::string> set;
  bool is_unsigned = false, update_lock = false;
  unsigned jobs = 0;
};

fs::path default_cache() {
  if (const char* base = std::getenv("XDG_CACHE_HOME"); base != nullptr && *base != '\0') return fs::path(base) / "cloudos" / "bundle";
  const char* home = std::getenv("HOME");
  return fs::path(home != nullptr ? home : "/root") / ".cache" / "cloudos" / "bundle";
}

Result<std::map<std::string, std::string>> read_variables(const std::vector<std::string>& words) {
  std::map<std::string, std::string> out;
  for (const auto& word : words) {
    const auto equals = word.find('=');
    if (equals == 0 || equals == std::string::npos) return fail(ErrorKind::usage, std::format("--set takes NAME=VALUE, not '{}'", word));
    // A path as the person who types it sees it, though the recipe's own are relative to the recipe.
    const auto value = fs::path(word.substr(equals + 1));
    out.emplace(word.substr(0, equals), value.is_relative() ? fs::absolute(value).string() : value.string());
  }
  return out;
}

// https://reproducible-builds.org/specs/source-date-epoch/
Result<std::string> created_from_environment() {
  const char* epoch = std::getenv("SOURCE_DATE_EPOCH");
  if (epoch == nullptr || *epoch == '\0') return std::string();
  constexpr std::uint64_t year_9999 = 253'402'300'799;
  auto seconds = parse_number(epoch, 0, year_9999);
  if (!seconds) return fail(ErrorKind::usage, std::format("SOURCE_DATE_EPOCH is '{}', not a number of seconds", sanitise(epoch)));
  return std::format("{:%FT%TZ}", std::chrono::sys_seconds(std::chrono::seconds(*seconds)));
}

Json event_record(const images::BuildEvent& event) {
  constexpr std::array names{"started", "made", "cached", "note"};
  return {{"event", names.at(static_cast<std::size_t>(event.kind))},
          {"what", event.what},
          {"ms", event.took.count()},
          {"bytes", event.size.count},
          {"done", event.done},
          {"of", event.of}};
}

void print_event(const Context& context, const images::BuildEvent& event) {
  using Kind = images::BuildEvent::Kind;
  if (context.quiet) return;
  if (context.json) return print_json(std::cerr, event_record(event));
  const auto count = std::format("[{:>2}/{}]", event.done, event.of);
  switch (event.kind) {
    case Kind::started: std::cerr << std::format("{} building   {}", count, event.what) << std::endl; return;
    case Kind::cached:
      if (context.verbose > 0) std::cerr << std::format("{} as before  {}", count, event.what) << std::endl;
      return;
    case Kind::note: std::cerr << "note: " << event.what << std::endl; return;
    case Kind::made:
      std::cerr << std::format("{} {:>9}  {}{}", count, human(event.took), event.what, event.size.count > 0 ? ", " + human(event.size) : "")
                << std::endl;
      return;
  }
}

Result<int> build(const Context& context, const BuildFlags& flags) {
  images::BuildOptions options{
      .recipe = flags.recipe, .output = flags.output, .cache = flags.cache.empty() ? default_cache() : flags.cache};
  if (flags.key.empty() && !flags.is_unsigned)
    return fail(ErrorKind::usage, "no key to sign with",
                "make one with `cloudos bundle keygen -o NAME` and give it with --key NAME.key, or say --unsigned");
  if (!flags.key.empty()) {
    CLOUDOS_ASSIGN(auto key, os::read(flags.key, 64U << 10));
    options.key = Secret(std::move(key));
  }
  CLOUDOS_ASSIGN(options.variables, read_variables(flags.set));
  CLOUDOS_ASSIGN(options.created, created_from_environment());
  options.update_lock = flags.update_lock;
  options.jobs = flags.jobs > 0 ? flags.jobs : std::clamp(std::thread::hardware_concurrency(), 1U, 8U);
  options.progress = [&](const images::BuildEvent& event) { print_event(context, event); };
  std::stop_source stop;
  options.stop = stop.get_token();
  const StopSignals signals(stop, [] { std::cerr << "stopped; what was made is kept, the same command goes on\n"; });
  const auto start = std::chrono::steady_clock::now();
  CLOUDOS_ASSIGN(const auto report, images::build_bundle(options));
  const auto took = std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now() - start);
  if (context.json) {
    print_json(std::cout, {{"bundle", flags.output.string()},
                           {"digest", report.digest.hex()},
                           {"bytes", report.size.count},
                           {"made", report.made},
                           {"cached", report.cached},
                           {"ms", took.count()},
                           {"lock_written", report.lock_written}});
    return 0;
  }
  if (!context.quiet && report.lock_written) std::cerr << "the lock file was written: review and commit it\n";
  std::cout << std::format("{}  {}  {} pieces made, {} as before, in {}\n", flags.output.string(), human(report.size), report.made,
                           report.cached, human(took));
  return 0;
}

// --- verify and inspect ---

struct OpenFlags {
  fs::path file;
  std::vector<fs::path> keys;
  bool allow_unsigned = false;
};

Result<images::Bundle> open(const OpenFlags& flags) {
  std::vector<os::PublicKey> keys;
  for (const auto& file : flags.keys) {
    CLOUDOS_ASSIGN(const auto text, os::read(file, 64U << 10));
    auto key = os::parse_public_key(text);
    if (!key) return fail(std::move(key).error().with("reading " + file.string()));
    keys.push_back(*key);
  }
  return images::Bundle::open(flags.file, {.keys = keys, .allow_unsigned = flags.allow_unsigned});
}

Result<int> verify(const Context& context, const OpenFlags& flags) {
  CLOUDOS_ASSIGN(const auto bundle, open(flags));
  CLOUDOS_TRY_WITH(images::verify_all(bundle), "verifying " + flags.file.string());
  std::uint64_t bytes = 0;
  for (const auto& [hex, blob] : bundle.index().blobs) bytes += blob.size.count;
  if (context.json) {
    print_json(std::cout, {{"bundle", flags.file.string()},
                           {"digest", bundle.digest().hex()},
                           {"trusted_comment", bundle.trusted_comment()},
                           {"blobs", bundle.index().blobs.size()},
                           {"bytes", bytes},
                           {"holds", true}});
  } else if (!context.quiet) {
    std::cout << std::format("{}: every byte is as signed ({} blobs, {}; {})\n", flags.file.string(), bundle.index().blobs.size(),
                             human(Bytes{bytes}), sanitise(bundle.trusted_comment()));
  }
  return 0;
}

Json component_record(const model::BundleIndex& index, const model::BundleComponent& component) {
  Json out{{"name", component.name}, {"version", component.version}, {"licence", component.licence}, {"source", component.source},
           {"files", Json::array()}, {"images", Json::array()},      {"manifests", Json::array()}};
  const auto file_record = [&](const model::BundleFile& f) -> Json {
    return {{"path", f.path},
            {"mode", std::format("{:04o}", f.mode)},
            {"digest", f.content_digest.hex()},
            {"bytes", f.content_size.count},
            {"stored_bytes", index.blobs.at(f.digest.hex()).size.count}};
  };
  for (const auto& file : component.files) out["files"].push_back(file_record(file));
  for (const auto& file : component.manifests) out["manifests"].push_back(file_record(file));
  for (const auto& image : component.images) {
    std::uint64_t stored = 0;
    for (const auto& layer : image.layers) stored += index.blobs.at(layer.hex()).size.count;
    out["images"].push_back({{"ref", image.ref},
                             {"digest", image.digest.oci()},
                             {"phase", image.phase},
                             {"stored_bytes", stored},
                             {"bytes", image.unpacked.count}});
  }
  return out;
}

void print_component(const Json& component) {
  const auto text = [&](const Json& json, const char* key) { return sanitise(json[key].get<std::string>()); };
  const auto size = [&](const Json& json, const char* key) { return human(Bytes{json[key].get<std::uint64_t>()}); };
  std::cout << std::format("\n{} {}  {}\n", text(component, "name"), text(component, "version"), text(component, "licence"));
  for (const auto* kind : {"files", "manifests"})
    for (const auto& file : component[kind])
      std::cout << std::format("  {:<52} {:>14} {:>10} {:>10}\n", text(file, "path"),
                               kind == std::string_view("files") ? "file" : "manifest", size(file, "stored_bytes"), size(file, "bytes"));
  for (const auto& image : component["images"])
    std::cout << std::format("  {:<52} {:>14} {:>10} {:>10}\n", text(image, "ref"), text(image, "phase"), size(image, "stored_bytes"),
                             size(image, "bytes"));
}

Result<int> inspect(const Context& context, const OpenFlags& flags) {
  CLOUDOS_ASSIGN(const auto bundle, open(flags));
  const auto& index = bundle.index();
  std::error_code ignored;
  Json record{{"name", index.name},
              {"version", index.version},
              {"platform", index.platform},
              {"created", index.created},
              {"min_installer", index.min_installer},
              {"digest", bundle.digest().hex()},
              {"trusted_comment", bundle.trusted_comment()},
              {"bytes", fs::file_size(flags.file, ignored)},
              {"blobs", index.blobs.size()},
              {"components", Json::array()}};
  for (const auto& component : index.components) record["components"].push_back(component_record(index, component));
  if (context.json) {
    print_json(std::cout, record);
    return 0;
  }
  std::cout << std::format("{} {} for {}, {} in {} blobs, created {}\nsigned: {}\n", sanitise(index.name), sanitise(index.version),
                           sanitise(index.platform), human(Bytes{record["bytes"].get<std::uint64_t>()}), index.blobs.size(),
                           sanitise(index.created), sanitise(bundle.trusted_comment()));
  std::cout << std::format("{:<54} {:>14} {:>10} {:>10}\n", "", "", "stored", "unpacked");
  for (const auto& component : record["components"]) print_component(component);
  return 0;
}

// --- the flags ---

void add_keygen(CLI::App& parent, Context& context) {
  auto* app = parent.add_subcommand("keygen", "Make a key pair: NAME.key signs bundles, NAME.pub checks them");
  const auto name = std::make_shared<fs::path>();
  app->add_option("-o,--output", *name, "Where to: NAME.key and NAME.pub are made")->required()->type_name("NAME");
  app->callback([&context, name] { context.work = [&context, name] { return keygen(context, *name); }; });
}

void add_build(CLI::App& parent, Context& context) {
  auto* app = parent.add_subcommand("build", "Build a bundle from a recipe");
  const auto flags = std::make_shared<BuildFlags>();
  app->add_option("recipe", flags->recipe, "The recipe, a TOML file")->required()->type_name("RECIPE");
  app->add_option("-o,--output", flags->output, "The bundle to write; FILE.spdx.json beside it is its bill of materials")
      ->required()
      ->type_name("FILE");
  app->add_option("--key", flags->key, "The secret key to sign with (NAME.key)")->type_name("FILE");
  app->add_flag("--unsigned", flags->is_unsigned, "Do not sign: such a bundle is taken with --allow-unsigned only");
  app->add_option("--set", flags->set, "Replace one of the recipe's [variables]")->type_name("NAME=VALUE")->allow_extra_args(false);
  app->add_option("--cache", flags->cache, "What was built before (default: ~/.cache/cloudos/bundle)")->type_name("FOLDER");
  app->add_flag("--update-lock", flags->update_lock, "Resolve versions anew and write RECIPE.lock.toml");
  app->add_option("-j,--jobs", flags->jobs, "Pieces of work at once (default: one a core)")->type_name("N")->check(CLI::Range(1, 64));
  app->footer("Example: cloudos bundle build images/kubernetes-1.37.toml -o kubernetes-1.37.bundle --key bundle.key");
  app->callback([&context, flags] { context.work = [&context, flags] { return build(context, *flags); }; });
}

void add_open(CLI::App& parent, Context& context, const char* name, const char* what,
              Result<int> (*work)(const Context&, const OpenFlags&)) {
  auto* app = parent.add_subcommand(name, what);
  const auto flags = std::make_shared<OpenFlags>();
  app->add_option("file", flags->file, "The bundle")->required()->type_name("FILE");
  app->add_option("--key", flags->keys, "A public key that is trusted (NAME.pub); may be given again")
      ->type_name("FILE")
      ->allow_extra_args(false);
  app->add_flag("--allow-unsigned", flags->allow_unsigned, "Take a bundle without a signature");
  app->callback([&context, flags, work] { context.work = [&context, flags, work] { return work(context, *flags); }; });
}

}  // namespace

void add_bundle(CLI::App& parent, Context& context) {
  auto* app = parent.add_subcommand("bundle", "Make and check bundles: one signed file with every byte of an install");
  app->require_subcommand(1);
  add_keygen(*app, context);
  add_build(*app, context);
  add_open(*app, context, "verify", "Check the signature and every byte", verify);
  add_open(*app, context, "inspect", "Show what a bundle holds", inspect);
}

}  // namespace cloudos::cli
