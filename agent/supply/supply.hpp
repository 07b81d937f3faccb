// agent/supply: what a node gives to machines that join: what the cluster is, the signed index of the bundle, the blobs of its
// store. It reads and never writes, and gives nothing to whom the API server does not know as the holder of a join token. All
// that it gives is public in the bundle, and signed: it need not be believed. Not here: the listener (agent/http), asking
// (agent/join).
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "agent/http/http.hpp"
#include "agent/kube/kube.hpp"
#include "core/base/log.hpp"
#include "core/base/throttle.hpp"

namespace cloudos::supply {

// The part of a thing of `size` bytes that a Range header (RFC 9110, section 14) asks for: nothing where it is to be ignored (other
// units, several ranges, not one at all), an error (input) where no byte of it is there.
struct Range {
  std::uint64_t first = 0, length = 0;
  bool operator==(const Range&) const = default;
};
[[nodiscard]] Result<std::optional<Range>> range_of(std::string_view header, std::uint64_t size);

class Supply {
 public:
  using Time = std::chrono::steady_clock::time_point;
  struct Options {
    std::filesystem::path root = "/";  // the folders of core/model/paths.hpp are below it
    std::string node;                  // this node's name, for events
    std::string ca;                    // the cluster's CA, PEM
    Log* log = nullptr;                // outlives it
  };
  explicit Supply(Options options) : options_(std::move(options)) {}

  // With what to ask the API server from now on. From any thread.
  void renew(kube::Access access);
  // The handler of http::Server; on its thread.
  [[nodiscard]] http::Answer answer(const http::Asked& asked) { return answer(asked, std::chrono::steady_clock::now()); }
  [[nodiscard]] http::Answer answer(const http::Asked& asked, Time now);

 private:
  enum class Verdict { yes, no, cannot_tell };
  struct Kept {
    Verdict verdict = Verdict::cannot_tell;
    Time until;
  };
  [[nodiscard]] std::optional<http::Answer> refusal(const http::Asked& asked, Time now);
  [[nodiscard]] Verdict check(const Secret& token, Time now);
  [[nodiscard]] Verdict ask(const Secret& token);
  void tell(const http::Asked& asked, std::string_view token, Time now);
  [[nodiscard]] kube::Api* api();
  [[nodiscard]] http::Answer cluster() const;
  [[nodiscard]] http::Answer index(const std::string& name) const;
  [[nodiscard]] http::Answer blob(const http::Asked& asked, std::string_view hex) const;

  Options options_;
  std::mutex mutex_;  // over what renew() brings
  std::optional<kube::Access> renewed_;
  std::optional<kube::Api> api_;
  std::map<std::string, Kept> kept_;  // by the token's digest
  // A peer's wrong tokens: so many a minute are looked at, from so many peers; one event in ten minutes for each.
  std::map<std::string, std::pair<Time, int>> wrong_;
  Throttle told_{std::chrono::minutes{10}, 32};
};

}  // namespace cloudos::supply
