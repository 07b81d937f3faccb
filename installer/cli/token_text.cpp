// What is said of join tokens, and how they look.
#include <algorithm>
#include <chrono>
#include <format>
#include <nlohmann/json.hpp>

#include "core/base/dns.hpp"
#include "core/base/text.hpp"
#include "installer/cli/pool.hpp"
#include "installer/cli/token.hpp"

namespace cloudos::cli {

namespace {

using Json = nlohmann::json;
constexpr std::int64_t minute = 60, hour = 3600, day = 86'400;

// Of kubernetes.io's own labels a node may give itself these only (kubernetes.io: "Admission Controllers", NodeRestriction).
bool a_node_may_set(std::string_view key) {
  const auto prefix = key.substr(0, key.find('/') == std::string_view::npos ? 0 : key.find('/'));
  const auto of = [&](std::string_view domain) {
    return prefix == domain || (prefix.ends_with(domain) && prefix[prefix.size() - domain.size() - 1] == '.');
  };
  if (!of("kubernetes.io") && !of("k8s.io")) return true;
  if (prefix.ends_with("kubelet.kubernetes.io") || prefix.ends_with("node.kubernetes.io")) return true;
  constexpr std::string_view known[] = {"topology.kubernetes.io/zone", "topology.kubernetes.io/region", "kubernetes.io/hostname"};
  return std::ranges::contains(known, key);
}

std::string span_text(std::int64_t from_s, std::int64_t to_s) {
  return age_of(model::utc_text(from_s), std::chrono::system_clock::time_point{std::chrono::seconds{to_s}});
}

std::string uses_text(const model::JoinToken& token) {
  if (token.uses == 0) return "any number";
  return std::format("{} of {}", token.uses - std::min(token.used, token.uses), token.uses);
}

std::string labels_text(const model::JoinToken& token) {
  std::string out;
  for (const auto& [key, value] : token.labels) out += std::format("{}{}={}", out.empty() ? "" : ",", key, value);
  return out.empty() ? "-" : out;
}

}  // namespace

Result<std::int64_t> parse_lifetime(std::string_view text) {
  const auto wrong = [&] {
    return fail(ErrorKind::usage, std::format("--ttl: '{}' is not a time from 1m to 24h", sanitise(text.substr(0, 40))),
                "write a number and s, m or h: 15m");
  };
  if (text.empty()) return wrong();
  const auto unit = text.back() == 's' ? 1 : (text.back() == 'm' ? minute : (text.back() == 'h' ? hour : 0));
  const auto number = parse_number(text.substr(0, text.size() - 1), 1, day);
  if (unit == 0 || !number) return wrong();
  const auto seconds = static_cast<std::int64_t>(*number) * unit;
  if (seconds < minute || seconds > day) return wrong();
  return seconds;
}

Result<std::map<std::string, std::string>> parse_labels(const std::vector<std::string>& words) {
  std::map<std::string, std::string> labels;
  for (const auto& word : words) {
    const auto equals = word.find('=');
    const auto key = word.substr(0, equals), value = equals == std::string::npos ? "" : word.substr(equals + 1);
    if (equals == std::string::npos || !is_label_key(key) || !is_label_value(value))
      return fail(ErrorKind::usage, std::format("--label: '{}' is not KEY=VALUE of a label", sanitise(word.substr(0, 130))),
                  "at most 63 characters of A-Z a-z 0-9 - _ . with a letter or digit at both ends; a key may have a DNS prefix and '/'");
    if (!a_node_may_set(key))
      return fail(ErrorKind::usage, std::format("--label: Kubernetes lets no node give itself the label {}", key),
                  std::format("set it once the machine has joined: kubectl label node NAME {}={}", key, value));
    labels[key] = value;
  }
  return labels;
}

std::string print(const model::JoinTokens& tokens, const Look& look) {
  if (tokens.tokens.empty()) return "no join tokens; `cloudos token create > join.toml` makes one\n";
  std::vector<std::vector<Cell>> rows;
  for (const auto& token : tokens.tokens)
    rows.push_back({{.text = token.id, .tone = Tone::strong},
                    {.text = token.role},
                    {.text = span_text(token.created_s, tokens.now_s)},
                    {.text = span_text(tokens.now_s, token.expires_s)},
                    {.text = std::to_string(token.used)},
                    {.text = uses_text(token), .tone = token.uses > 0 && token.used >= token.uses ? Tone::warning : Tone::plain},
                    {.text = labels_text(token)}});
  return table({{"ID"}, {"ROLE", 4}, {"AGE", 3}, {"EXPIRES IN"}, {"JOINED", 2}, {"USES LEFT"}, {"LABELS", 5}}, rows, look);
}

std::string record(const model::JoinTokens& tokens) {
  auto list = Json::array();
  for (const auto& token : tokens.tokens) {
    const auto left = token.uses - std::min(token.used, token.uses);
    list.push_back({{"id", token.id},
                    {"role", token.role},
                    {"created", model::utc_text(token.created_s)},
                    {"expires", model::utc_text(token.expires_s)},
                    {"expires_in_s", token.expires_s - tokens.now_s},
                    {"uses", token.uses},
                    {"used", token.used},
                    {"uses_left", token.uses == 0 ? Json() : Json(left)},
                    {"labels", token.labels}});
  }
  return Json{{"tokens", std::move(list)}}.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace cloudos::cli
