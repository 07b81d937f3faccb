#include "agent/join/stores.hpp"

#include <algorithm>
#include <format>
#include <nlohmann/json.hpp>
#include <random>

#include "agent/join/clock.hpp"
#include "agent/join/wanted.hpp"
#include "core/base/text.hpp"
#include "core/os/crypto/crypto.hpp"

namespace cloudos::joining {
namespace {

using nlohmann::json;

constexpr Milliseconds answer_limit{15'000};
constexpr std::size_t longest_index = 16U << 20;

std::string error_of(const http::Response& response) {
  const auto j = json::parse(response.body, nullptr, false);
  const auto found = j.is_object() ? j.find("error") : j.end();
  return j.is_object() && found != j.end() && found->is_string() ? sanitise(found->get<std::string>().substr(0, 200)) : std::string();
}

}  // namespace

Result<Hello> parse_hello(std::string_view text) {
  const auto j = json::parse(text, nullptr, false);
  const auto bad = [](const std::string& what) { return fail(ErrorKind::input, "its answer to /v1/cluster " + what); };
  if (!j.is_object()) return bad("is not a JSON object");
  if (const auto schema = j.find("schema"); schema == j.end() || !schema->is_number_integer() || *schema != 1)
    return bad("has a schema that this agent does not know: give this machine the agent of that cluster");
  const auto word = [&](const char* key) {
    const auto found = j.find(key);
    return found != j.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  Hello hello{.cluster_id = word("cluster_id"), .ca = word("ca"), .version = word("version")};
  if (hello.cluster_id.empty() || hello.ca.empty()) return bad("names no cluster_id or no CA");
  // One, whose key the join file pins: a second one would be believed unseen.
  if (const auto begin = hello.ca.find("-----BEGIN ");
      begin == std::string::npos || hello.ca.find("-----BEGIN ", begin + 1) != std::string::npos)
    return bad("names another CA than one certificate");
  auto bundle = Digest::parse(word("bundle"));
  if (!bundle) return bad("names no bundle");
  hello.bundle = std::move(*bundle);
  return hello;
}

Result<Index> check_index(std::string json, std::string minisig, const std::vector<std::string>& keys, const Digest& wanted) {
  std::vector<os::PublicKey> trusted;
  for (const auto& key : keys) {
    CLOUDOS_ASSIGN(auto parsed, os::parse_public_key(key));
    trusted.push_back(parsed);
  }
  if (os::sha256(json) != wanted)
    return fail(ErrorKind::trust, std::format("it serves the bundle {}, the cluster's is {}", os::sha256(json).hex(), wanted.hex()));
  const auto signer = std::ranges::find_if(trusted, [&](const auto& key) { return os::verify({&key, 1}, json, minisig).has_value(); });
  if (signer == trusted.end()) {
    auto held = os::verify(trusted, json, minisig);
    return held ? fail(ErrorKind::trust, "the bundle's signature does not hold") : fail(std::move(held).error());
  }
  CLOUDOS_ASSIGN(auto content, model::decode_bundle_index(json));
  return Index{.json = std::move(json), .minisig = std::move(minisig), .content = std::move(content), .signer = *signer};
}

http::Request request_for(const std::string& path, const Secret& token) {
  return {.path = path, .headers = {{"Authorization", "Bearer " + std::string(token.reveal())}}};
}

Error refusal(const http::Response& response, const std::string& what) {
  const auto said = error_of(response);
  Error error{.kind = ErrorKind::failed,
              .message = std::format("{} was answered {}{}", what, response.status, said.empty() ? "" : ": " + said)};
  if (response.status == 401 || response.status == 403) error.kind = ErrorKind::auth;
  if (response.status >= 500 || response.status == 429) {
    error.kind = ErrorKind::network;
    error.retryable = true;
  }
  return error;
}

Error together(const std::vector<std::pair<std::string, Error>>& errors, const std::string& token_id) {
  const auto all = [&](auto&& holds) {
    return !errors.empty() && std::ranges::all_of(errors, [&](const auto& e) { return holds(e.second); });
  };
  if (all([](const Error& e) { return e.kind == ErrorKind::auth; })) return unknown_token(token_id);
  const auto& first = errors.front().second;
  if (all([&](const Error& e) { return e.message == first.message && e.kind == first.kind; })) {
    auto one = first;
    if (errors.size() > 1) one.message += std::format(" (so say all {} stores)", errors.size());
    return one;
  }
  std::string list;
  for (const auto& [store, error] : errors) list += std::format("{}{}: {}", list.empty() ? "" : "; ", store, error.message);
  // One that may answer in a while makes it worth another try.
  const auto passing = std::ranges::find_if(errors, [](const auto& e) { return e.second.retryable; });
  auto one = passing == errors.end() ? first : passing->second;
  one.message = "no store can be used: " + list;
  return one;
}

Stores::Stores(const join_file::JoinFile& file, std::size_t reachable, Log& log) : file_(file), log_(log), stores_(file.stores) {
  std::mt19937 generator{std::random_device{}()};
  const auto middle = stores_.begin() + static_cast<std::ptrdiff_t>(std::min(reachable, stores_.size()));
  std::shuffle(stores_.begin(), middle, generator);
  std::shuffle(middle, stores_.end(), generator);
}

Result<http::Response> Stores::get(const join_file::Store& store, const std::string& path) {
  CLOUDOS_ASSIGN(auto client, http::Client::make({.url = "https://" + store.address, .trust = {.ca = {}, .spki = {store.spki}}}));
  CLOUDOS_ASSIGN(auto response, client.ask(request_for(path, file_.token), in(answer_limit), longest_index));
  if (response.status != 200) return fail(refusal(response, path));
  return response;
}

template <class T>
Result<T> Stores::first(const std::function<Result<T>(const join_file::Store&)>& ask) {
  std::vector<std::pair<std::string, Error>> errors;
  for (std::size_t i = 0; i < stores_.size();) {
    const auto store = stores_[i];
    auto answer = ask(store);
    if (answer) {
      std::swap(stores_.front(), stores_[i]);
      return answer;
    }
    errors.emplace_back(store.address, answer.error());
    log_.debug("store {}: {}", store.address, answer.error().text());
    const bool lies = answer.error().kind == ErrorKind::trust || answer.error().kind == ErrorKind::input;
    if (!lies) ++i;
    else if (stores_.size() > 1) log_.warning("store {} is left: {}", store.address, answer.error().message);
    if (lies) stores_.erase(stores_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  if (errors.empty())
    return fail(ErrorKind::trust, "no store of the join file is left that can be believed", "make a new one with `cloudos token create`");
  return fail(together(errors, file_.token_id));
}

Result<Hello> Stores::hello() {
  return first<Hello>([&](const auto& store) -> Result<Hello> {
    CLOUDOS_ASSIGN(const auto response, get(store, "/v1/cluster"));
    CLOUDOS_ASSIGN(auto hello, parse_hello(response.body));
    CLOUDOS_ASSIGN(const auto spki, os::spki_hash(hello.ca));
    if (spki != file_.ca)
      return fail(ErrorKind::trust, std::format("the cluster's CA has the key {}, the join file pins {}", spki, file_.ca),
                  "take the join file of this cluster: `cloudos token create` makes one");
    if (hello.cluster_id != file_.cluster_id)
      return fail(
          ErrorKind::trust,
          std::format("it is of the cluster {}, the join file is for {}", sanitise(hello.cluster_id.substr(0, 64)), file_.cluster_id),
          "take the join file of this cluster: `cloudos token create` makes one");
    if (const auto date = response.headers.find("date"); date != response.headers.end())
      if (const auto seconds = http_date(date->second)) hello.date_s = *seconds;
    return hello;
  });
}

Result<Index> Stores::index(const Digest& bundle) {
  return first<Index>([&](const auto& store) -> Result<Index> {
    CLOUDOS_ASSIGN(auto text, get(store, "/v1/bundle.json"));
    CLOUDOS_ASSIGN(auto minisig, get(store, "/v1/bundle.json.minisig"));
    return check_index(std::move(text.body), std::move(minisig.body), file_.bundle_keys, bundle);
  });
}

}  // namespace cloudos::joining
