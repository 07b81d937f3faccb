// Inside agent/join: the stores of a join file, asked in turn until one answers with what can be believed.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "agent/http/http.hpp"
#include "core/base/log.hpp"
#include "core/join_file/join_file.hpp"
#include "core/model/bundle_index.hpp"
#include "core/os/crypto/crypto.hpp"

namespace cloudos::joining {

// GET /v1/cluster.
struct Hello {
  std::string cluster_id, ca, version;
  Digest bundle;
  std::optional<std::int64_t> date_s;  // of the store's clock, from the header
};
// Errors: input.
[[nodiscard]] Result<Hello> parse_hello(std::string_view text);

// A bundle's index whose signature holds.
struct Index {
  std::string json, minisig;
  model::BundleIndex content;
  os::PublicKey signer;
};
// Errors: trust (no key of the file signed it, or it is not the bundle that is wanted), input.
[[nodiscard]] Result<Index> check_index(std::string json, std::string minisig, const std::vector<std::string>& keys, const Digest& wanted);

class Stores {
 public:
  // In another order on each machine, so that many at once do not all ask the same one; the first `reachable` of the file before the
  // others.
  Stores(const join_file::JoinFile& file, std::size_t reachable, Log& log);

  // The cluster, as a store tells it whose CA is the one that the file pins.
  [[nodiscard]] Result<Hello> hello();
  [[nodiscard]] Result<Index> index(const Digest& bundle);
  // Those that did not lie, the one that answered first before the others.
  [[nodiscard]] const std::vector<join_file::Store>& usable() const { return stores_; }

 private:
  [[nodiscard]] Result<http::Response> get(const join_file::Store& store, const std::string& path);
  // `ask` of each store in turn; those whose answer cannot be trusted are left and named.
  template <class T>
  [[nodiscard]] Result<T> first(const std::function<Result<T>(const join_file::Store&)>& ask);

  const join_file::JoinFile& file_;
  Log& log_;
  std::vector<join_file::Store> stores_;
};

// The request for a path of a store.
[[nodiscard]] http::Request request_for(const std::string& path, const Secret& token);
// What a status other than 200 and 206 means. 401 is `auth`; what may pass is retryable.
[[nodiscard]] Error refusal(const http::Response& response, const std::string& what);
// Several stores' errors as one: what all of them say is said once.
[[nodiscard]] Error together(const std::vector<std::pair<std::string, Error>>& errors, const std::string& token_id);

}  // namespace cloudos::joining
