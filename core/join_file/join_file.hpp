// core/join_file: /etc/cloudos/join.toml: with it a machine that has nothing but the agent joins by itself. `cloudos token create`
// writes it, the agent reads it. All faults are told at once. Not here: making and checking tokens (agent/admit), joining
// (agent/join).
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/secret.hpp"
#include "core/base/units.hpp"

namespace cloudos::join_file {

struct Store {
  std::string address;  // "10.0.0.4:9634"
  std::string spki;     // "sha256:<hex>": the key of its certificate
  bool operator==(const Store&) const = default;
};

struct JoinFile {
  static constexpr int schema = 1;
  std::string cluster;                        // its name, for people
  std::string cluster_id;                     // as in cluster.json
  std::vector<std::string> masters;           // "10.0.0.1:6443"
  std::string ca;                             // "sha256:<hex>": SPKI of the cluster's CA
  std::string token_id;                       // [a-z0-9]{6}
  Secret token;                               // the whole of it: "abcdef.0123456789abcdef"
  std::int64_t expires_s = 0;                 // seconds since the epoch
  std::string role = "worker";                // the only one that a token can give
  std::map<std::string, std::string> labels;  // of the node to be
  std::vector<Store> stores;                  // nodes from which all else is fetched
  std::vector<std::string> bundle_keys;       // minisign public keys (the bare line) that the bundle must be signed with one of
};

// TOML, with a comment that says what it is and until when it serves. A secret: it holds the token.
[[nodiscard]] Secret write(const JoinFile& file);
// Errors: input, all faults, each with `name`, line, key, what was found and what was expected. No error holds the token.
[[nodiscard]] Result<JoinFile> parse(std::string_view text, std::string_view name);

}  // namespace cloudos::join_file
