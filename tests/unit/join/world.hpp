// A small world for a machine that joins: stores and an API server of this process, real HTTPS on the loopback.
#pragma once

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <filesystem>
#include <format>
#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "agent/http/http.hpp"
#include "agent/join/clock.hpp"
#include "agent/join/join.hpp"
#include "agent/store/store.hpp"
#include "core/base/clock.hpp"
#include "core/base/text.hpp"
#include "core/join_file/join_file.hpp"
#include "core/os/crypto/crypto.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::test {

namespace fs = std::filesystem;

inline constexpr auto token = "abcdef.0123456789abcdef";
inline constexpr auto cluster_id = "0123456789abcdef";

class CollectedLog final : public Log {
 public:
  void write(Level level, std::string_view line) override {
    const std::lock_guard lock(mutex_);
    if (level > Level::debug) lines_ += std::string(line) + "\n";
  }
  std::string text() {
    const std::lock_guard lock(mutex_);
    return lines_;
  }

 private:
  std::mutex mutex_;
  std::string lines_;
};

inline http::Identity identity() {
  auto made = os::make_identity("store", {"127.0.0.1"});
  REQUIRE(made);
  return std::move(*made);
}
inline std::string spki(const http::Identity& identity) { return *os::spki_hash(identity.certificate); }

// A server that answers what stands in `files` to who has the token; `first` may answer before.
class Served {
 public:
  using First = std::function<std::optional<http::Answer>(const http::Asked&)>;
  explicit Served(std::map<std::string, std::string> files = {}, First first = {})
      : identity_(identity()), files_(std::move(files)), first_(std::move(first)), server_(start()) {}

  [[nodiscard]] std::string address() const { return std::format("127.0.0.1:{}", server_.port()); }
  [[nodiscard]] join_file::Store store() const { return {.address = address(), .spki = spki(identity_)}; }
  [[nodiscard]] const http::Identity& who() const { return identity_; }
  [[nodiscard]] int asked() const { return asked_; }

 private:
  http::Server start() {
    auto server = http::Server::start({.address = "127.0.0.1", .identity = identity_}, [this](const http::Asked& a) { return answer(a); });
    REQUIRE(server);
    return std::move(*server);
  }

  http::Answer answer(const http::Asked& asked) {
    ++asked_;
    const auto bearer = asked.headers.find("authorization");
    if (bearer == asked.headers.end() || bearer->second != std::string("Bearer ") + token)
      return {.status = 401, .body = std::string(R"({"error":"unknown token"})")};
    if (first_)
      if (auto early = first_(asked)) return std::move(*early);
    const auto file = files_.find(asked.path);
    if (file == files_.end()) return {.status = 404, .body = std::string(R"({"error":"not here"})")};
    const auto range = asked.headers.find("range");
    if (range == asked.headers.end()) return {.body = file->second};
    const auto from = std::stoull(range->second.substr(6));
    return {.status = 206, .body = file->second.substr(from)};
  }

  http::Identity identity_;
  std::map<std::string, std::string> files_;
  First first_;
  std::atomic<int> asked_ = 0;
  http::Server server_;
};

inline std::string hello(const std::string& ca, const Digest& bundle) {
  return nlohmann::json{{"schema", 1}, {"cluster_id", cluster_id}, {"ca", ca}, {"bundle", bundle.hex()}, {"version", "1.37.2"}}.dump();
}

// A minisign public key, of nobody: a case that has a bundle signed brings its own.
constexpr auto bundle_key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

inline join_file::JoinFile join_file_for(const http::Identity& ca, std::vector<join_file::Store> stores) {
  return {.cluster = "lab",
          .cluster_id = cluster_id,
          .masters = {"127.0.0.1:6443"},
          .ca = spki(ca),
          .token_id = "abcdef",
          .token = Secret(token),
          .expires_s = wall_s() + 3600,
          .labels = {},
          .stores = std::move(stores),
          .bundle_keys = {bundle_key}};
}

}  // namespace cloudos::test
