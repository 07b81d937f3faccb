#include "images/build.hpp"

#include <algorithm>
#include <format>
#include <functional>
#include <mutex>
#include <ranges>
#include <set>

#include "core/base/text.hpp"
#include "images/assemble.hpp"
#include "images/check.hpp"
#include "images/lock.hpp"
#include "images/sbom.hpp"
#include "images/tasks.hpp"
#include "images/write.hpp"

namespace cloudos::images {

namespace {

// Progress and counts, from several threads.
class Report {
 public:
  explicit Report(const BuildOptions& options) : options_(options) {}

  void expect(std::size_t tasks) { of_ = tasks; }
  // Runs one piece of work and tells about it. The work says whether it came from the cache, and its size.
  struct Outcome {
    bool cached = false;
    Bytes size;
  };
  Status tell(const std::string& what, const std::function<Result<Outcome>()>& work) {
    const auto start = std::chrono::steady_clock::now();
    CLOUDOS_ASSIGN(const auto outcome, work());
    const auto took = std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now() - start);
    const std::scoped_lock lock(mutex_);
    ++done_;
    ++(outcome.cached ? cached : made);
    emit({.kind = outcome.cached ? BuildEvent::Kind::cached : BuildEvent::Kind::made, .what = what, .took = took, .size = outcome.size});
    return {};
  }
  void begin(const std::string& what) { say({.kind = BuildEvent::Kind::started, .what = what}); }
  void note(std::string what) { say({.what = std::move(what)}); }

  std::size_t made = 0, cached = 0;

 private:
  void say(BuildEvent event) {
    const std::scoped_lock lock(mutex_);
    emit(std::move(event));
  }
  void emit(BuildEvent event) {
    event.done = done_;
    event.of = of_;
    if (options_.progress) options_.progress(event);
  }
  const BuildOptions& options_;
  std::mutex mutex_ = {};
  std::size_t done_ = 0, of_ = 0;
};

class Builder {
 public:
  Builder(const BuildOptions& options, Recipe recipe, std::optional<LockFile> lock, Cache cache)
      : options_(options), recipe_(std::move(recipe)), lock_(std::move(lock)), cache_(std::move(cache)), report_(options) {}

  Result<BuildReport> run() {
    CLOUDOS_TRY(compare_lock());
    if (!recipe_.go.empty()) { CLOUDOS_ASSIGN(toolchain_, go_toolchain()); }
    plan_tasks();
    report_.expect(tasks_.size());
    CLOUDOS_TRY(run_tasks(tasks_, options_.jobs, options_.stop));
    CLOUDOS_ASSIGN(const auto lock_written, settle_lock());
    return write(lock_written);
  }

 private:
  // --- the lock ---
  [[nodiscard]] bool is_locked() const { return lock_.has_value() && !options_.update_lock; }

  // What the lock says about another recipe than this one, before anything is built.
  Status compare_lock() const {
    if (!is_locked()) return {};
    std::vector<std::string> different;
    for (const auto& [name, go] : recipe_.go) {
      const auto at = lock_->go.find(name);
      if (at == lock_->go.end()) different.push_back(std::format("go.{} is not locked", name));
      else if (at->second.module != go.module || at->second.version != go.version)
        different.push_back(std::format("go.{} is locked at {} {}, the recipe wants {} {}", name, at->second.module, at->second.version,
                                        go.module, go.version));
    }
    for (const auto& [name, deb] : recipe_.deb) {
      const auto at = lock_->deb.find(name);
      if (at == lock_->deb.end()) different.push_back(std::format("deb.{} is not locked", name));
      else if (at->second.request != request_of(deb))
        different.push_back(std::format("deb.{} is locked for other packages than the recipe's", name));
    }
    if (different.empty()) return {};
    return fail(ErrorKind::refused,
                std::format("{} disagrees with the recipe: {}", lock_path(recipe_.file).string(), join(different, "; ")),
                "build with --update-lock, and review the lock's difference");
  }

  // The lock that this build amounts to; written where it may be. With the locked toolchain a program must have come out
  // as it is locked: Go's builds are reproducible (https://go.dev/blog/rebuild).
  Result<bool> settle_lock() {
    LockFile found{.toolchain = toolchain_, .go = {}, .deb = {}};
    for (auto& [name, go] : made_.go) {
      auto locked = go.locked;
      locked.programs.clear();
      if (!recipe_.go.at(name).cgo)
        for (const auto& [program, blob] : go.programs) locked.programs.emplace(program, blob.digest);
      found.go.emplace(name, std::move(locked));
    }
    for (const auto& [name, deb] : made_.deb) found.deb.emplace(name, deb.locked);
    if (is_locked()) return check_programs(found);
    if (lock_ == found) return false;
    CLOUDOS_TRY(os::write_atomic(lock_path(recipe_.file), format(found), 0644));
    return true;
  }

  Result<bool> check_programs(const LockFile& found) {
    if (lock_->toolchain != toolchain_) {
      report_.note(
          std::format("built with {}, locked with {}: the sources are the locked ones, the bytes differ", toolchain_, lock_->toolchain));
      return false;
    }
    for (const auto& [name, module] : found.go)
      for (const auto& [program, digest] : module.programs) {
        const auto& locked = lock_->go.at(name).programs;
        const auto at = locked.find(program);
        if (at != locked.end() && at->second == digest) continue;
        return fail(ErrorKind::trust,
                    std::format("go.{}: {} came out as {}, which is not the locked {}", name, program, digest.hex(),
                                at == locked.end() ? "(none)" : at->second.hex()),
                    "if the recipe's flags changed, build with --update-lock; else the build is not what the lock's was");
      }
    return false;
  }

  // --- the work ---
  void plan_tasks() {
    // What has most programs takes longest: it comes first, so that nothing waits for it in the end.
    std::vector<const GoSource*> sources;
    sources.reserve(recipe_.go.size());
    for (const auto& [name, go] : recipe_.go) sources.push_back(&go);
    std::ranges::stable_sort(sources, std::greater{}, [](const GoSource* go) { return go->programs.size(); });
    for (const auto* go : sources) plan_go(go->name, *go);
    for (const auto& [name, deb] : recipe_.deb) plan_deb(name, deb);
    for (const auto& [name, part] : recipe_.layers) plan_layer("layer " + name, part, made_.layers[name]);
    made_.components.resize(recipe_.components.size());
    for (std::size_t i = 0; i < recipe_.components.size(); ++i) plan_component(recipe_.components[i], made_.components[i]);
  }

  void plan_component(const ComponentPart& part, Made::Component& made) {
    made.files.resize(part.files.size());
    made.manifests.resize(part.manifests.size());
    made.own_layers.resize(part.images.size());
    for (std::size_t i = 0; i < part.files.size(); ++i) plan_file(part.files[i], made.files[i]);
    for (std::size_t i = 0; i < part.manifests.size(); ++i) plan_file(part.manifests[i], made.manifests[i]);
    for (std::size_t i = 0; i < part.images.size(); ++i)
      if (part.images[i].own != LayerPart{}) plan_layer("image " + part.images[i].ref, part.images[i].own, made.own_layers[i]);
  }

  void add_task(const std::string& what, std::vector<std::size_t> after, std::function<Result<Report::Outcome>()> work) {
    tasks_.push_back({.work = [this, what, work = std::move(work)] { return report_.tell(what, work); }, .after = std::move(after)});
  }

  void plan_go(const std::string& name, const GoSource& source) {
    auto& made = made_.go[name];
    source_tasks_["go " + name] = tasks_.size();
    const auto names = std::views::keys(source.programs);
    const auto what =
        std::format("go {} {}: {}", source.module, source.version, join(std::vector<std::string>(names.begin(), names.end()), ", "));
    add_task(what, {}, [this, &source, &made, name, what]() -> Result<Report::Outcome> {
      const auto* locked = is_locked() ? &lock_->go.at(name) : nullptr;
      CLOUDOS_ASSIGN(made, build_go(source, recipe_.architecture(), toolchain_, locked, work_on(what)));
      Bytes size;
      for (const auto& [program, blob] : made.programs) size += blob.size;
      return Report::Outcome{.cached = made.cached, .size = size};
    });
  }

  void plan_deb(const std::string& name, const DebSource& source) {
    auto& made = made_.deb[name];
    source_tasks_["deb " + name] = tasks_.size();
    const auto what = std::format("deb {}: {}", name, join(source.packages, ", "));
    add_task(what, {}, [this, &source, &made, name, what]() -> Result<Report::Outcome> {
      const auto* locked = is_locked() ? &lock_->deb.at(name) : nullptr;
      CLOUDOS_ASSIGN(made, fetch_debs(source, recipe_.architecture(), locked, work_on(what)));
      return Report::Outcome{.cached = made.cached, .size = {}};
    });
  }

  Work work_on(const std::string& what) {
    return {.cache = cache_, .stop = options_.stop, .begun = [this, what] { report_.begin(what); }};
  }

  void plan_layer(const std::string& what, const LayerPart& part, Layer& made) {
    std::set<std::size_t> after;
    for (const auto& file : part.files)
      if (file.from.kind == Origin::Kind::go) after.insert(source_tasks_.at("go " + file.from.source));
    if (!part.deb.empty()) after.insert(source_tasks_.at("deb " + part.deb));
    add_task(what, {after.begin(), after.end()}, [this, &part, &made]() -> Result<Report::Outcome> {
      LayerInputs inputs{.part = &part, .files = {}, .deb = nullptr, .debs = {}};
      for (const auto& file : part.files) { CLOUDOS_ASSIGN(inputs.files[file.path], content_of(file.from)); }
      if (!part.deb.empty()) {
        inputs.deb = &recipe_.deb.at(part.deb);
        for (const auto& package : made_.deb.at(part.deb).locked.packages) inputs.debs.push_back(package.digest);
      }
      CLOUDOS_ASSIGN(made, make_layer(inputs, recipe_.level, cache_));
      return Report::Outcome{.cached = made.cached, .size = made.blob.size};
    });
  }

  void plan_file(const BundledPart& part, MadeFile& made) {
    std::vector<std::size_t> after;
    if (part.file.from.kind == Origin::Kind::go) after.push_back(source_tasks_.at("go " + part.file.from.source));
    add_task("file " + part.file.path, std::move(after), [this, &part, &made]() -> Result<Report::Outcome> {
      CLOUDOS_ASSIGN(made.content, content_of(part.file.from));
      CLOUDOS_ASSIGN(made.packed, pack_file(made.content, part.compress, recipe_.level, cache_));
      return Report::Outcome{.cached = made.packed.cached, .size = made.packed.blob.size};
    });
  }

  Result<Content> content_of(const Origin& origin) const {
    if (origin.kind == Origin::Kind::go) {
      const auto& blob = made_.go.at(origin.source).programs.at(origin.program);
      return Content{.file = cache_.object(blob.digest), .digest = blob.digest, .size = blob.size};
    }
    auto sum = os::sha256_file(origin.file.string());
    if (!sum)
      return fail(
          std::move(sum).error().advise(std::format("{} names it: build it first, or give another with --set", recipe_.file.string())));
    return Content{.file = origin.file, .digest = sum->digest, .size = sum->size};
  }

  // --- the end ---
  Result<BuildReport> write(bool lock_written) {
    const auto& created = options_.created.empty() ? recipe_.created : options_.created;
    CLOUDOS_ASSIGN(auto index, assemble(recipe_, created, made_, cache_));
    CLOUDOS_TRY(check_index(index));
    CLOUDOS_ASSIGN(const auto head, sign_index(index, options_.key));
    CLOUDOS_TRY(write_bundle(options_.output, head, index, [&](const Digest& digest) { return file_source(cache_.object(digest)); }));
    BuildReport report{.index = std::move(index),
                       .digest = os::sha256(head.json),
                       .made = report_.made,
                       .cached = report_.cached,
                       .lock_written = lock_written};
    std::error_code failed;
    report.size = {std::filesystem::file_size(options_.output, failed)};
    if (failed) return fail_errno("stat " + options_.output.string(), failed.value());
    Materials materials;
    for (const auto& [name, go] : made_.go) materials.modules.insert(materials.modules.end(), go.modules.begin(), go.modules.end());
    for (const auto& [name, deb] : made_.deb)
      materials.packages.insert(materials.packages.end(), deb.locked.packages.begin(), deb.locked.packages.end());
    auto beside = options_.output;
    beside += ".spdx.json";
    CLOUDOS_TRY(os::write_atomic(beside, make_sbom(report.index, report.digest, materials), 0644));
    return report;
  }

  const BuildOptions& options_;
  Recipe recipe_;
  std::optional<LockFile> lock_;
  Cache cache_;
  Report report_;
  std::string toolchain_ = {};
  Made made_ = {};
  std::vector<Task> tasks_ = {};
  std::map<std::string, std::size_t> source_tasks_ = {};
};

}  // namespace

Result<BuildReport> build_bundle(const BuildOptions& options) {
  CLOUDOS_ASSIGN(auto recipe, read_recipe(options.recipe, options.variables));
  CLOUDOS_ASSIGN(auto lock, read_lock(lock_path(options.recipe)));
  CLOUDOS_ASSIGN(auto cache, Cache::open(options.cache));
  auto report = Builder(options, std::move(recipe), std::move(lock), std::move(cache)).run();
  if (!report && report.error().kind == ErrorKind::cancelled)
    return fail(ErrorKind::cancelled, "the build was stopped", "what was made is kept: the same command goes on from there");
  return report;
}

}  // namespace cloudos::images
