#include "installer/cli/node.hpp"

#include <format>
#include <nlohmann/json.hpp>

#include "core/base/text.hpp"

namespace cloudos::cli {

using Json = nlohmann::json;

namespace {

NodeCondition condition_of(const Json& value) {
  const auto text = [&](const char* key) { return value.value(key, std::string{}); };
  return {.type = text("type"), .status = text("status"), .reason = text("reason"), .message = text("message"), .since = text("since")};
}

NodeEvent event_of(const Json& value) {
  const auto text = [&](const char* key) { return value.value(key, std::string{}); };
  return {.at = text("at"),
          .type = text("type"),
          .reason = text("reason"),
          .message = text("message"),
          .count = value.value("count", std::int64_t{1})};
}

Error no_such_node(const Json& value, std::string_view word) {
  const auto names = value.value("nodes", std::vector<std::string>{});
  const std::vector<std::string_view> views(names.begin(), names.end());
  const auto meant = nearest(word, views);
  constexpr std::size_t most = 12;
  const auto shown = std::min(names.size(), most);
  auto list = join(std::span(names).first(shown), ", ");
  if (names.size() > shown) list += std::format(" and {} more", names.size() - shown);
  return {
      .kind = ErrorKind::usage,
      .message = std::format("the cluster has no node '{}'", one_line(word)),
      .hint = one_line(meant.empty() ? std::format("its nodes: {}", list) : std::format("did you mean '{}'? its nodes: {}", meant, list))};
}

}  // namespace

Result<Node> decode_node(std::string_view json, std::string_view word) try {
  const auto value = Json::parse(json);
  if (!value.contains("node")) return fail(no_such_node(value, word));
  CLOUDOS_ASSIGN(auto line, decode_pool_node(value.at("node").dump()));
  Node node{.line = std::move(line),
            .runtime = value.value("runtime", ""),
            .architecture = value.value("architecture", ""),
            .conditions = {},
            .labels = value.value("labels", std::map<std::string, std::string>{}),
            .taints = value.value("taints", std::vector<std::string>{}),
            .phases = value.value("phases", std::map<std::string, std::int64_t>{}),
            .events = {},
            .facts = {},
            .no_facts = {}};
  for (const auto& each : value.value("conditions", Json::array())) node.conditions.push_back(condition_of(each));
  for (const auto& each : value.value("events", Json::array())) node.events.push_back(event_of(each));
  return node;
} catch (const Json::exception&) {
  return fail(ErrorKind::failed, std::format("cannot read what the master says about the node: {}", sanitise(json.substr(0, 200))));
}

std::string with_machine(std::string_view json, const Node& node) {
  auto value = Json::parse(json, nullptr, false);
  if (!value.is_object()) return std::string(json);
  value.erase("nodes");
  if (node.line.usage) {
    value["usage"] = Json::parse(model::encode_usage(*node.line.usage), nullptr, false);
    value["usage"]["cpu"]["used_m"] = node.line.usage->cpu.used_m();
  } else value["no_usage"] = node.line.no_usage;
  if (node.facts) value["facts"] = Json::parse(model::encode_facts(*node.facts), nullptr, false);
  else value["no_facts"] = node.no_facts;
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace cloudos::cli
