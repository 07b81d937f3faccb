#include "core/model/join_token.hpp"

#include <algorithm>
#include <chrono>
#include <format>
#include <sstream>

#include "core/model/codec.hpp"

namespace cloudos::model {

using codec::is;

namespace {

// An entry as it stands in the ConfigMap: times in text, for people who look at it.
struct Entry {
  std::uint64_t uses = 0, used = 0;
  std::vector<std::string> admitted;
  std::string role = "worker";
  std::map<std::string, std::string> labels;
  std::string created, expires;
};
void fields(auto& a, is<Entry> auto& v) {
  a("uses", v.uses);
  a("used", v.used);
  a("admitted", v.admitted);
  a("role", v.role);
  a("labels", v.labels);
  a("created", v.created);
  a("expires", v.expires);
}

Result<std::int64_t> seconds_of(const std::string& text) {
  std::istringstream in(text);
  std::chrono::sys_seconds when;
  if (!(in >> std::chrono::parse("%FT%TZ", when)))
    return fail(ErrorKind::input, std::format("'{}' is not a time like 2026-11-28T15:00:00Z", sanitise(text.substr(0, 40))));
  return when.time_since_epoch().count();
}

bool of_token(std::string_view text, std::size_t length) {
  return text.size() == length && std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
}

}  // namespace

void fields(auto& a, is<JoinToken> auto& v) {
  a("id", v.id);
  a("uses", v.uses);
  a("used", v.used);
  a("role", v.role);
  a("labels", v.labels);
  a("created_s", v.created_s);
  a("expires_s", v.expires_s);
}
void fields(auto& a, is<JoinTokens> auto& v) {
  a("now_s", v.now_s);
  a("tokens", v.tokens);
}

bool is_join_token_id(std::string_view text) { return of_token(text, 6); }
bool is_join_token(std::string_view text) {
  return text.size() == 23 && is_join_token_id(text.substr(0, 6)) && text[6] == '.' && of_token(text.substr(7), 16);
}

std::string utc_text(std::int64_t seconds) { return std::format("{:%FT%TZ}", std::chrono::sys_seconds{std::chrono::seconds{seconds}}); }

std::string encode_join_token(const JoinToken& t) {
  return codec::encode(Entry{t.uses, t.used, t.admitted, t.role, t.labels, utc_text(t.created_s), utc_text(t.expires_s)});
}

Result<JoinToken> decode_join_token(const std::string& id, std::string_view json) {
  if (!is_join_token_id(id)) return fail(ErrorKind::input, std::format("'{}' is not a token's id", sanitise(id.substr(0, 40))));
  CLOUDOS_ASSIGN(auto entry, codec::decode<Entry>(json, "join token"));
  CLOUDOS_ASSIGN(const auto expires, seconds_of(entry.expires));
  std::int64_t created = expires;
  if (!entry.created.empty()) { CLOUDOS_ASSIGN(created, seconds_of(entry.created)); }
  const auto used = std::max<std::uint64_t>(entry.used, entry.admitted.size());
  return JoinToken{.id = id,
                   .uses = entry.uses,
                   .used = used,
                   .admitted = std::move(entry.admitted),
                   .role = std::move(entry.role),
                   .labels = std::move(entry.labels),
                   .created_s = created,
                   .expires_s = expires};
}

std::string encode_join_tokens(const JoinTokens& tokens) { return codec::encode(tokens, JoinTokens::schema); }
Result<JoinTokens> decode_join_tokens(std::string_view json) { return codec::decode<JoinTokens>(json, "join tokens", JoinTokens::schema); }

}  // namespace cloudos::model
