#include "agent/steps/tokens.hpp"

#include <algorithm>
#include <format>
#include <functional>

#include "agent/steps/cluster.hpp"
#include "core/base/clock.hpp"
#include "core/base/ip.hpp"
#include "core/base/text.hpp"
#include "core/os/crypto/crypto.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::steps {
namespace {

using nlohmann::json;
using Tokens = std::map<std::string, model::JoinToken>;

constexpr auto map_name = "join-tokens";
constexpr int api_port = 6443;
constexpr std::size_t most_stores = 16;
constexpr int most_conflicts = 16;

std::string object_of(const std::string& id) { return "bootstrap-token-" + id; }

// The cluster's side of it, asked with admin.conf.
class Desk {
 public:
  // `token`: never in an error or a note.
  static Result<std::unique_ptr<Desk>> open(Environment& env, const Secret& token) {
    if (!fs::exists(env.at(paths::admin_conf)))
      return fail(ErrorKind::refused, "this machine is not a master of a cluster", "ask one of the cluster's masters");
    CLOUDOS_ASSIGN(auto journal, Journal::read(env.at(paths::journal)));
    return std::unique_ptr<Desk>(new Desk(env, std::move(journal), token));
  }
  Desk(const Desk&) = delete;
  Desk& operator=(const Desk&) = delete;

  Result<std::vector<json>> get(std::initializer_list<std::string> words) {
    auto argv = session_.kubectl({"--request-timeout=20s", "get", "--ignore-not-found", "-o", "json"});
    for (const auto& word : words) argv += word;
    CLOUDOS_ASSIGN(const auto answer, session_.kube(argv));
    return objects_of(answer);
  }
  Status create(const json& object) {
    CLOUDOS_TRY(
        session_.kube(session_.kubectl({"--request-timeout=20s", "create", "-f", "-", "-o", "name"}), Milliseconds{40'000}, object.dump()));
    return {};
  }
  Status remove_secret(const std::string& id) {
    CLOUDOS_TRY(session_.kube(
        session_.kubectl({"--request-timeout=20s", "-n", "kube-system", "delete", "secret", "--ignore-not-found", object_of(id)})));
    return {};
  }

  // The entries, those that serve nobody any more left out: expired, not readable, or without their Secret.
  Result<Tokens> living(const json& map) {
    CLOUDOS_ASSIGN(const auto names,
                   session_.kube(session_.kubectl({"--request-timeout=20s", "-n", "kube-system", "get", "secret", "--field-selector",
                                                   "type=bootstrap.kubernetes.io/token", "-o", "name"})));
    const auto secrets = split(names, '\n');
    Tokens out;
    const auto* data = find_at(map, {"data"});
    if (data == nullptr || !data->is_object()) return out;
    for (const auto& [id, entry] : data->items()) {
      auto token = model::decode_join_token(id, entry.is_string() ? entry.get<std::string>() : "");
      if (token && token->expires_s > wall_s() && std::ranges::contains(secrets, "secret/" + object_of(id)))
        out.emplace(id, std::move(*token));
    }
    return out;
  }

  // Changes the entries under the ConfigMap's resourceVersion: masters count uses in it at the same time.
  Result<Tokens> change(const std::function<Status(Tokens&)>& how) {
    for (int tries = 0; tries < most_conflicts; ++tries) {
      CLOUDOS_ASSIGN(auto found, get({"-n", "cloudos-system", "configmap", map_name}));
      const bool there = !found.empty();
      json map =
          there ? std::move(found.front())
                : json{{"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"metadata", {{"name", map_name}, {"namespace", "cloudos-system"}}}};
      CLOUDOS_ASSIGN(auto tokens, living(map));
      CLOUDOS_TRY(how(tokens));
      auto data = json::object();
      for (const auto& [id, token] : tokens) data[id] = model::encode_join_token(token);
      const auto* before = find_at(map, {"data"});
      if (before != nullptr ? *before == data : data.empty()) return tokens;
      map["data"] = std::move(data);
      CLOUDOS_ASSIGN(const auto output,
                     session_.kube_ask(session_.kubectl({"--request-timeout=20s", there ? "replace" : "create", "-f", "-", "-o", "name"}),
                                       Milliseconds{40'000}, map.dump()));
      if (output.exit.ok()) return tokens;
      // Somebody else changed, made or deleted it in between.
      if (!output.err.contains("Conflict") && !output.err.contains("AlreadyExists") && !output.err.contains("NotFound"))
        return fail(ErrorKind::failed, "kubectl ended with " + output.exit.text() + ": " + sanitise(session_.redact(trim(output.err))));
    }
    return fail(ErrorKind::conflict, "the ConfigMap cloudos-system/join-tokens is changed by others all the time", "try again");
  }

 private:
  Desk(Environment& env, Journal journal, const Secret& token) : env_(env), journal_(std::move(journal)) {
    // Who waits at a terminal wants to know soon that there is no answer.
    env_.api_patience = Milliseconds{5'000};
    if (!token.empty()) request_.secrets.emplace("join-token", token);
  }
  Environment env_;
  model::ApplyRequest request_;
  Journal journal_;
  Session session_{env_, request_, journal_};
};

json secret_object(const model::JoinToken& token, const Secret& whole) {
  const auto text = whole.reveal();
  return {{"apiVersion", "v1"},
          {"kind", "Secret"},
          {"metadata", {{"name", object_of(token.id)}, {"namespace", "kube-system"}}},
          {"type", "bootstrap.kubernetes.io/token"},
          {"stringData",
           {{"token-id", token.id},
            {"token-secret", text.substr(text.find('.') + 1)},
            {"expiration", model::utc_text(token.expires_s)},
            {"description", "cloudos: machines join with it by themselves (cloudos token list)"},
            // Not for signing: a machine that joins knows the cluster's CA from its join file.
            {"usage-bootstrap-authentication", "true"},
            {"auth-extra-groups", model::JoinToken::group}}}};
}

// What this master has to vouch for the bundle with, as the installer laid it down.
Result<std::vector<std::string>> bundle_keys(const Environment& env) {
  CLOUDOS_ASSIGN(const auto text, os::read(env.at(paths::membership), 1U << 20));
  const auto digest = Digest::parse(text_at(json::parse(text, nullptr, false), {"bundle"}));
  const auto signature = digest ? env.at(paths::bundles) / digest->hex() / "bundle.json.minisig" : fs::path();
  std::vector<std::string> keys;
  std::error_code error;
  for (const auto& each : fs::directory_iterator(env.at(paths::trust), error)) {
    if (each.path().extension() != ".pub") continue;
    CLOUDOS_ASSIGN(const auto file, os::read(each.path(), 4096));
    CLOUDOS_ASSIGN(const auto key, os::parse_public_key(file));
    const auto lines = split(trim(os::format(key)), '\n');
    keys.push_back(lines.back());
  }
  std::ranges::sort(keys);
  if (keys.empty() || !digest || !fs::exists(signature, error))
    return fail(
        ErrorKind::refused,
        "the cluster was installed from a bundle that nobody vouches for: a machine that joins by itself could not check what it fetches",
        "install again with a signed bundle (without --allow-unsigned), or add the machine over SSH: cloudos add --nodes ADDRESS");
  return keys;
}

// All of the join file but the token.
Result<join_file::JoinFile> about_cluster(Desk& desk, const Environment& env) {
  join_file::JoinFile file;
  CLOUDOS_ASSIGN(file.bundle_keys, bundle_keys(env));
  CLOUDOS_ASSIGN(const auto ca, os::read(env.at("/etc/kubernetes/pki/ca.crt"), 1U << 20));
  CLOUDOS_ASSIGN(file.ca, os::spki_hash(ca));
  CLOUDOS_ASSIGN(const auto found, desk.get({"-n", "cloudos-system", "configmap", "cluster"}));
  if (found.empty()) return fail(ErrorKind::failed, "the cluster does not hold its wanted state", "run `cloudos install` again");
  CLOUDOS_ASSIGN(const auto config, model::decode_config(text_at(found.front(), {"data", "config.json"})));
  file.cluster = config.name;
  file.cluster_id = text_at(found.front(), {"data", "cluster_id"});
  CLOUDOS_ASSIGN(const auto nodes, desk.get({"nodes"}));
  file.masters = masters_of(nodes);
  file.stores = stores_of(nodes);
  if (file.stores.empty())
    return fail(ErrorKind::refused, "no Ready node offers its store, from which a machine that joins fetches what it lacks",
                "do the nodes run cloudos-agent.service, with [supply] on in /etc/cloudos/agent.toml?");
  return file;
}

std::string address_of(const json& node) {
  const auto* addresses = find_at(node, {"status", "addresses"});
  if (addresses == nullptr || !addresses->is_array()) return "";
  for (const auto& each : *addresses)
    if (text_at(each, {"type"}) == "InternalIP") return text_at(each, {"address"});
  return "";
}
bool is_master(const json& node) { return find_at(node, {"metadata", "labels", "node-role.kubernetes.io/control-plane"}) != nullptr; }

}  // namespace

std::vector<std::string> masters_of(const std::vector<json>& nodes) {
  std::vector<std::string> out;
  for (const auto& node : nodes)
    if (const auto address = address_of(node); is_master(node) && !address.empty()) out.push_back(host_port(address, api_port));
  return out;
}

std::vector<join_file::Store> stores_of(const std::vector<json>& nodes) {
  std::vector<join_file::Store> out;
  for (const bool masters : {false, true})
    for (const auto& node : nodes) {
      const auto words = split(text_at(node, {"metadata", "annotations", "cloudos.io/store"}), ' ');
      if (is_master(node) != masters || not_ready(node) || words.size() != 2 || out.size() == most_stores) continue;
      // Anybody who may write a Node could have written it.
      if (!words[1].starts_with("sha256:") || !Digest::parse(words[1]) || words[0].empty() || sanitise(words[0]) != words[0]) continue;
      out.push_back({.address = words[0], .spki = words[1]});
    }
  return out;
}

Result<Secret> create_token(const TokenWish& wish, Environment& env) {
  model::JoinToken token{.id = os::random_base36(6), .uses = wish.uses, .labels = wish.labels, .created_s = wall_s()};
  token.expires_s = token.created_s + wish.lifetime_s;
  const Secret whole(token.id + "." + os::random_base36(16));
  CLOUDOS_ASSIGN(const auto desk, Desk::open(env, whole));
  CLOUDOS_ASSIGN(auto file, about_cluster(*desk, env));
  // The Secret first: an entry without one is swept.
  CLOUDOS_TRY_WITH(desk->create(secret_object(token, whole)), "making the token");
  const auto entered = desk->change([&](Tokens& tokens) -> Status {
    if (tokens.size() >= model::JoinToken::most)
      return fail(ErrorKind::refused, std::format("the cluster has {} join tokens already", tokens.size()),
                  "take some back: `cloudos token list`, `cloudos token revoke ID`");
    tokens.insert_or_assign(token.id, token);
    return {};
  });
  if (!entered) {
    static_cast<void>(desk->remove_secret(token.id));
    return fail(entered.error());
  }
  file.token_id = token.id;
  file.token = whole;
  file.expires_s = token.expires_s;
  file.role = token.role;
  file.labels = token.labels;
  return join_file::write(file);
}

Result<std::string> list_tokens(Environment& env) {
  CLOUDOS_ASSIGN(const auto desk, Desk::open(env, {}));
  CLOUDOS_ASSIGN(const auto tokens, desk->change([](Tokens&) -> Status { return {}; }));
  model::JoinTokens out{.now_s = wall_s(), .tokens = {}};
  for (const auto& [id, token] : tokens) out.tokens.push_back(token);
  std::ranges::stable_sort(out.tokens, {}, &model::JoinToken::created_s);
  return model::encode_join_tokens(out);
}

Status revoke_token(const std::string& id, Environment& env) {
  if (!model::is_join_token_id(id))
    return fail(ErrorKind::input, std::format("'{}' is not a token's id, which is six of [a-z0-9]", sanitise(id.substr(0, 40))));
  CLOUDOS_ASSIGN(const auto desk, Desk::open(env, {}));
  CLOUDOS_ASSIGN(const auto tokens, desk->change([](Tokens&) -> Status { return {}; }));
  if (!tokens.contains(id)) {
    std::vector<std::string_view> ids;
    for (const auto& [each, token] : tokens) ids.emplace_back(each);
    const auto meant = nearest(id, ids);
    return fail(ErrorKind::input, std::format("there is no join token {}", id),
                meant.empty() ? "`cloudos token list` lists them" : std::format("did you mean {}?", meant));
  }
  // The Secret first: without it the token is worth nothing, whatever happens to the entry.
  CLOUDOS_TRY(desk->remove_secret(id));
  const auto gone = desk->change([&](Tokens& left) -> Status {
    left.erase(id);
    return {};
  });
  if (!gone) return fail(gone.error());
  return {};
}

}  // namespace cloudos::steps
