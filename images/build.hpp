// images, the builder: a recipe in, a signed bundle out. Everything that was made is kept in a content-addressed cache, so
// that a build that was stopped goes on and one where little changed is short.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <stop_token>
#include <string>

#include "core/base/secret.hpp"
#include "core/base/units.hpp"
#include "core/model/bundle_index.hpp"

namespace cloudos::images {

// One line of progress: something that may take long began, was made, or was taken from the cache.
struct BuildEvent {
  enum class Kind { started, made, cached, note };
  Kind kind = Kind::note;
  std::string what;  // "go kubernetes v1.37.2: kube-apiserver, kubelet"
  Milliseconds took{0};
  Bytes size = {};               // of what was made
  std::size_t done = 0, of = 0;  // pieces of work
};

struct BuildOptions {
  std::filesystem::path recipe, output, cache;
  std::map<std::string, std::string> variables = {};  // in place of the recipe's
  Secret key = {};                                    // the text of a minisign secret key; none: unsigned
  bool update_lock = false;
  std::string created = {};  // RFC 3339, in place of the recipe's
  unsigned jobs = 2;         // pieces of work at once
  // Called from the threads of the build, one at a time.
  std::function<void(const BuildEvent&)> progress = {};
  std::stop_token stop = {};  // ends what runs; what was made is kept
};

struct BuildReport {
  model::BundleIndex index;
  Digest digest;  // of bundle.json
  Bytes size;     // of the file
  std::size_t made = 0, cached = 0;
  bool lock_written = false;
};

// Writes OUTPUT, OUTPUT.spdx.json and, with update_lock or where there is none, RECIPE.lock.toml. Errors: input (the
// recipe), refused (the lock is about something else than the recipe), trust (what came is not what is locked), failed
// (a source could not be built), network, io, cancelled.
[[nodiscard]] Result<BuildReport> build_bundle(const BuildOptions& options);

}  // namespace cloudos::images
