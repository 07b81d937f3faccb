#include <algorithm>
#include <array>
#include <chrono>
#include <format>
#include <functional>
#include <limits>

#include "core/base/dns.hpp"
#include "core/base/ip.hpp"
#include "core/base/text.hpp"
#include "core/join_file/join_file.hpp"
#include "core/toml_reader/reader.hpp"

namespace cloudos::join_file {
namespace {

using toml_reader::Located;
using toml_reader::TableReader;
using toml_reader::type_name;

constexpr std::array<std::string_view, 11> root_keys = {"schema",  "cluster", "cluster-id", "masters",     "ca",    "token",
                                                        "expires", "role",    "labels",     "bundle-keys", "stores"};
constexpr std::array<std::string_view, 2> store_keys = {"address", "spki"};
constexpr std::size_t id_length = 6, secret_length = 16;
constexpr std::size_t bare_key_length = 56;  // 42 bytes in base64: minisign, "File formats"
constexpr std::string_view make_anew = "make a new file with `cloudos token create`";

bool is_base36(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
}
bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

// The token may stand anywhere in a file that is broken, as a key even, which errors name. So no long word of the file's is told.
std::string hide_long_words(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto word = static_cast<std::size_t>(std::ranges::find_if_not(text, is_word) - text.begin());
    const auto length = std::max<std::size_t>(word, 1);
    out += word >= 12 ? std::string_view("…") : text.substr(0, length);
    text.remove_prefix(length);
  }
  return out;
}

std::string required(TableReader& table, std::string_view key) {
  if (!table.has(key)) table.refuse("", "missing-key", std::format("'{}' is missing", key), std::string(make_anew));
  const auto given = table.text(key);
  return given ? given->value : "";
}

// What is wrong with an address and a port, "" when nothing is.
std::string why_not_host_port(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return "there is no port";
  if (!parse_number(text.substr(colon + 1), 1, 65535)) return "the port is no number from 1 to 65535";
  auto host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    const auto ip = Ip::parse(host.substr(1, host.size() - 2));
    return ip && ip->v6 ? "" : "it is no IPv6 address";
  }
  if (host.contains(':')) return "an IPv6 address with a port is written [fd00::1]:6443";
  if (Ip::parse(host)) return "";
  const auto why = why_not_dns_name(host);
  return why.empty() ? "" : "the host " + why;
}

std::vector<std::string> texts(TableReader& table, std::string_view key) {
  std::vector<std::string> out;
  if (!table.has(key)) table.refuse("", "missing-key", std::format("'{}' is missing", key), std::string(make_anew));
  const auto* array = table.array(key);
  if (array == nullptr) return out;
  if (array->empty()) table.refuse(key, "empty-value", "found an empty list", std::string(make_anew));
  for (auto&& node : *array) {
    const auto* text = node.as_string();
    if (text != nullptr) out.push_back(text->get());
    else table.refuse(key, "wrong-type", std::format("found {}, expected a string", type_name(node)), "put it in quotes");
  }
  return out;
}

std::string pin(TableReader& table, std::string_view key) {
  auto text = required(table, key);
  if (!text.empty() && (!text.starts_with("sha256:") || !Digest::parse(text)))
    table.refuse(key, "bad-pin", "this is not the hash of a key", "it is written sha256: and 64 hexadecimal digits");
  return text;
}

void read_token(TableReader& root, JoinFile& file) {
  file.token = Secret(required(root, "token"));
  const auto whole = file.token.reveal();
  if (whole.empty()) return;
  const bool shaped = whole.size() == id_length + 1 + secret_length && whole[id_length] == '.' && is_base36(whole.substr(0, id_length)) &&
                      is_base36(whole.substr(id_length + 1));
  if (shaped) file.token_id = whole.substr(0, id_length);
  else
    root.refuse("token", "bad-token", "this is not a bootstrap token (its value is not shown)",
                "6 of a-z and 0-9, a dot, and 16 of them; " + std::string(make_anew));
}

void read_expires(TableReader& root, JoinFile& file) {
  constexpr auto* example = "write expires = 2030-01-31T12:00:00Z, without quotes";
  const auto* node = root.node().get("expires");
  if (node == nullptr) return root.refuse("", "missing-key", "'expires' is missing", std::string(make_anew));
  const auto* value = node->as_date_time();
  if (value == nullptr) return root.wrong_type("expires", *node, "a date and time with its offset from UTC", example);
  const auto& [date, time, offset] = value->get();
  if (!offset) return root.refuse("expires", "no-offset", "found a date and time without its offset from UTC", example);
  const std::chrono::year_month_day day(std::chrono::year(date.year), std::chrono::month(date.month), std::chrono::day(date.day));
  const auto at = std::chrono::sys_days(day) + std::chrono::hours(time.hour) + std::chrono::minutes(time.minute) +
                  std::chrono::seconds(time.second) - std::chrono::minutes(offset->minutes);
  file.expires_s = at.time_since_epoch().count();
}

void read_labels(TableReader& root, JoinFile& file) {
  const auto* table = root.table("labels");
  if (table == nullptr) return;
  TableReader labels(*table, "labels", root.findings());
  for (auto&& [key, node] : *table)
    if (const auto* value = node.as_string()) file.labels[std::string(key.str())] = value->get();
    else labels.wrong_type(key.str(), node, "a string");
}

void read_stores(TableReader& root, JoinFile& file) {
  if (!root.has("stores")) root.refuse("", "missing-key", "'stores' is missing", std::string(make_anew));
  const auto* array = root.array("stores");
  if (array == nullptr) return;
  if (array->empty()) root.refuse("stores", "empty-value", "found an empty list", std::string(make_anew));
  for (std::size_t index = 0; index < array->size(); ++index) {
    const auto name = std::format("stores[{}]", index);
    const auto* entry = array->get(index)->as_table();
    if (entry == nullptr) {
      root.refuse("stores", "wrong-type", std::format("found {} in {}, expected a table", type_name(*array->get(index)), name),
                  "write [[stores]] with address and spki below it");
      continue;
    }
    TableReader table(*entry, name, root.findings());
    table.only(store_keys);
    Store store{.address = required(table, "address"), .spki = pin(table, "spki")};
    if (const auto why = why_not_host_port(store.address); !store.address.empty() && !why.empty())
      table.refuse("address", "bad-address", std::format("'{}': {}", sanitise(store.address), why), "write \"10.0.0.4:9634\"");
    file.stores.push_back(std::move(store));
  }
}

void read_root(TableReader& root, JoinFile& file) {
  root.only(root_keys);
  if (!root.has("schema")) root.refuse("", "missing-key", "'schema' is missing", std::string(make_anew));
  if (const auto schema = root.integer("schema", 1, std::numeric_limits<std::int64_t>::max()); schema && schema->value > JoinFile::schema)
    root.refuse("schema", "unsupported-schema", std::format("found schema {}, this agent reads schema {}", schema->value, JoinFile::schema),
                "use the agent of the cluster's version, or a newer one");
  file.cluster = required(root, "cluster");
  file.cluster_id = required(root, "cluster-id");
  file.masters = texts(root, "masters");
  for (const auto& master : file.masters)
    if (const auto why = why_not_host_port(master); !why.empty())
      root.refuse("masters", "bad-address", std::format("'{}': {}", sanitise(master), why), "write \"10.0.0.1:6443\"");
  file.ca = pin(root, "ca");
  read_token(root, file);
  read_expires(root, file);
  const auto role = root.text("role");
  if (role) file.role = role->value;
  if (file.role != "worker")
    root.refuse("role", "bad-role", std::format("found '{}'", sanitise(file.role)), "a token lets workers join: write role = \"worker\"");
  read_labels(root, file);
  file.bundle_keys = texts(root, "bundle-keys");
  for (const auto& key : file.bundle_keys)
    if (key.size() != bare_key_length)
      root.refuse("bundle-keys", "bad-key",
                  std::format("found {} characters, expected the {} of a minisign public key", key.size(), bare_key_length),
                  "it is the second line of a .pub file");
  read_stores(root, file);
}

}  // namespace

Result<JoinFile> parse(std::string_view text, std::string_view name) {
  JoinFile file;
  Located located{std::string()};
  toml_reader::read_document(text, "join.toml", located, [&](TableReader& root) { read_root(root, file); }, toml_reader::Words::withheld);
  toml_reader::Findings findings;
  located.drain_into(findings);
  if (findings.empty()) return file;
  // The file's own name is not the file's content.
  for (auto& finding : findings) {
    finding.where = std::string(name) + hide_long_words(finding.where);
    finding.message = hide_long_words(finding.message);
    finding.remedy = hide_long_words(finding.remedy);
  }
  return fail(toml_reader::as_error(findings, name));
}

}  // namespace cloudos::join_file
