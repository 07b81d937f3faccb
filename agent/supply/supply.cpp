#include "agent/supply/supply.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <format>

#include "agent/kube/events.hpp"
#include "agent/store/store.hpp"
#include "core/base/clock.hpp"
#include "core/base/text.hpp"
#include "core/model/join_token.hpp"
#include "core/model/paths.hpp"
#include "core/os/crypto/crypto.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::supply {
namespace {

using kube::Json;

// A token that was taken back is of no use after this time.
constexpr std::chrono::seconds accepted_for{60}, refused_for{30};
// The API server is not asked again at once when it did not answer.
constexpr std::chrono::seconds silent_for{2};
constexpr std::size_t most_kept = 256, most_peers = 256;
constexpr int most_wrong = 10;  // a minute, from one peer
constexpr std::chrono::minutes wrong_for{1};
constexpr std::string_view blobs = "/v1/blobs/";

http::Answer problem(int status, std::string_view text) {
  return {.status = status, .headers = {{"Content-Type", "application/json"}}, .body = Json{{"error", text}}.dump()};
}
http::Answer unknown_token() { return problem(401, "the token is unknown, expired or revoked"); }

std::string_view bearer(const http::Asked& asked) {
  constexpr std::string_view scheme = "Bearer ";
  const auto header = asked.headers.find("authorization");
  if (header == asked.headers.end() || !header->second.starts_with(scheme)) return {};
  return std::string_view(header->second).substr(scheme.size());
}

// What the node belongs to, as it was laid down (core/plan).
struct Membership {
  std::string cluster_id, version;
  Digest bundle;
};
Result<Membership> membership_of(const std::filesystem::path& root) {
  CLOUDOS_ASSIGN(const auto text, os::read(root / std::filesystem::path(paths::membership).relative_path(), 1U << 20));
  const auto j = Json::parse(text, nullptr, false);
  const auto word = [&](const char* key) {
    return j.is_object() && j.contains(key) && j[key].is_string() ? j[key].get<std::string>() : std::string();
  };
  Membership out{.cluster_id = word("cluster_id"), .version = word("version"), .bundle = {}};
  CLOUDOS_ASSIGN(out.bundle, Digest::parse(word("bundle")));
  return out;
}

}  // namespace

void Supply::renew(kube::Access access) {
  const std::scoped_lock lock(mutex_);
  renewed_ = std::move(access);
}

kube::Api* Supply::api() {
  std::optional<kube::Access> access;
  {
    const std::scoped_lock lock(mutex_);
    access.swap(renewed_);
  }
  if (access) {
    auto made = kube::Api::make(std::move(*access));
    if (made) api_.emplace(std::move(*made));
    else if (options_.log != nullptr) options_.log->warning("the API server cannot be asked about tokens: {}", made.error().text());
  }
  return api_ ? &*api_ : nullptr;
}

http::Answer Supply::answer(const http::Asked& asked, Time now) {
  if (asked.method != "GET" && asked.method != "HEAD") return problem(405, "only GET and HEAD");
  if (auto refused = refusal(asked, now)) return std::move(*refused);
  const std::string_view path = asked.path;
  if (path == "/v1/cluster") return cluster();
  if (path == "/v1/bundle.json" || path == "/v1/bundle.json.minisig") return index(std::string(path.substr(path.rfind('/') + 1)));
  if (path.starts_with(blobs)) return blob(asked, path.substr(blobs.size()));
  return problem(404, "there is /v1/cluster, /v1/bundle.json, /v1/bundle.json.minisig and /v1/blobs/DIGEST");
}

std::optional<http::Answer> Supply::refusal(const http::Asked& asked, Time now) {
  const Secret token{std::string(bearer(asked))};
  if (model::is_join_token(token.reveal())) {
    const auto key = os::sha256(token.reveal()).hex();
    const auto known = kept_.find(key);
    const bool fresh = known != kept_.end() && known->second.until > now;
    if (fresh && known->second.verdict == Verdict::yes) return std::nullopt;
  }
  std::erase_if(wrong_, [&](const auto& each) { return now - each.second.first >= wrong_for; });
  const auto seen = wrong_.find(asked.peer);
  if (seen != wrong_.end() ? seen->second.second >= most_wrong : wrong_.size() >= most_peers)
    return problem(429, "too many wrong tokens; wait a minute");
  const auto verdict = model::is_join_token(token.reveal()) ? check(token, now) : Verdict::no;
  if (verdict == Verdict::yes) return std::nullopt;
  if (verdict == Verdict::cannot_tell) return problem(503, "the API server does not say whether the token is good; try again");
  ++wrong_.try_emplace(asked.peer, now, 0).first->second.second;
  tell(asked, token.reveal(), now);
  return unknown_token();
}

Supply::Verdict Supply::check(const Secret& token, Time now) {
  const auto key = os::sha256(token.reveal()).hex();
  if (const auto known = kept_.find(key); known != kept_.end() && known->second.until > now) return known->second.verdict;
  std::erase_if(kept_, [&](const auto& each) { return each.second.until <= now; });
  // Those that were let in are worth more than those that were not, but nothing is worth more memory.
  if (kept_.size() >= most_kept) {
    std::erase_if(kept_, [](const auto& each) { return each.second.verdict != Verdict::yes; });
    if (kept_.size() >= most_kept) kept_.clear();
  }
  const auto verdict = ask(token);
  const auto span = verdict == Verdict::yes ? accepted_for : (verdict == Verdict::no ? refused_for : silent_for);
  kept_[key] = {verdict, now + span};
  return verdict;
}

Supply::Verdict Supply::ask(const Secret& token) {
  auto* server = api();
  if (server == nullptr) return Verdict::cannot_tell;
  const auto user = kube::review_token(*server, token);
  if (!user) {
    if (options_.log != nullptr) options_.log->warning("a token cannot be checked: {}", user.error().text());
    return Verdict::cannot_tell;
  }
  if (!*user) return Verdict::no;
  // Any other user of the cluster has no business here.
  const bool joins =
      (*user)->name.starts_with(model::JoinToken::user_prefix) && std::ranges::contains((*user)->groups, model::JoinToken::group);
  return joins ? Verdict::yes : Verdict::no;
}

void Supply::tell(const http::Asked& asked, std::string_view token, Time now) {
  if (!told_.allow(asked.peer, now)) return;
  // The id of a token is no secret; of what is not one nothing is repeated.
  const auto which = model::is_join_token(token) ? std::format("token {}", token.substr(0, 6))
                                                 : std::string(token.empty() ? "no token" : "what is no join token");
  const auto message = std::format("{} asked for the bundle with {}, which is unknown, expired or revoked", asked.peer, which);
  if (options_.log != nullptr) options_.log->info("JoinRefused: {}", message);
  auto* server = api();
  if (server == nullptr) return;
  const kube::Happening happening{.about = {{"apiVersion", "v1"}, {"kind", "Node"}, {"name", options_.node}, {"uid", options_.node}},
                                  .reason = "JoinRefused",
                                  .message = message,
                                  .warning = true,
                                  .node = options_.node};
  if (const auto told = kube::tell(*server, happening, wall_s()); !told && options_.log != nullptr)
    options_.log->warning("the event JoinRefused was not written: {}", told.error().text());
}

http::Answer Supply::cluster() const {
  const auto member = membership_of(options_.root);
  if (!member) return problem(503, "this node does not know yet what it belongs to");
  return {.status = 200,
          .headers = {{"Content-Type", "application/json"}},
          .body = Json{{"schema", 1},
                       {"cluster_id", member->cluster_id},
                       {"ca", options_.ca},
                       {"bundle", member->bundle.hex()},
                       {"version", member->version}}
                      .dump(-1, ' ', false, Json::error_handler_t::replace)};
}

http::Answer Supply::index(const std::string& name) const {
  const auto member = membership_of(options_.root);
  if (!member) return problem(503, "this node does not know yet what it belongs to");
  const auto folder = options_.root / std::filesystem::path(paths::bundles).relative_path() / member->bundle.hex();
  auto text = os::read(folder / name, 64U << 20);
  if (!text) return problem(404, "this node has no signed bundle.json of what is installed on it");
  return {.status = 200, .headers = {{"Content-Type", "application/octet-stream"}}, .body = std::move(*text)};
}

http::Answer Supply::blob(const http::Asked& asked, std::string_view hex) const {
  const auto digest = Digest::parse(hex);
  // Exactly 64 digits, so that it can name nothing outside of the store, and nothing that is not whole.
  if (!digest || hex.size() != digest->hex().size()) return problem(404, "a blob's name is 64 hexadecimal digits");
  const store::Store here(options_.root / std::filesystem::path(paths::store).relative_path());
  auto file = os::open(here.path(*digest), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  struct stat info{};
  if (!file || ::fstat(file->get(), &info) != 0 || !S_ISREG(info.st_mode)) return problem(404, "this node does not have that blob");
  const auto size = static_cast<std::uint64_t>(info.st_size);
  http::Answer out{.headers = {{"Accept-Ranges", "bytes"}, {"Content-Type", "application/octet-stream"}}};
  Range part{0, size};
  if (const auto wanted = asked.headers.find("range"); wanted != asked.headers.end()) {
    const auto range = range_of(wanted->second, size);
    if (!range) {
      auto none = problem(416, range.error().message);
      none.headers["Content-Range"] = std::format("bytes */{}", size);
      return none;
    }
    if (*range) {
      part = **range;
      out.status = 206;
      out.headers["Content-Range"] = std::format("bytes {}-{}/{}", part.first, part.first + part.length - 1, size);
    }
  }
  out.body = http::FilePart{std::move(*file), part.first, part.length};
  return out;
}

}  // namespace cloudos::supply
