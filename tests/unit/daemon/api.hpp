// An API server with one node and its events, as much of one as the core can tell: patches are merged, names are unique.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/daemon/network/core.hpp"

namespace cloudos::tests {

using daemon::Json;
using daemon::Reply;
using daemon::Request;
using daemon::Time;

struct Api {
  std::optional<Json> node =
      Json{{"metadata", {{"name", "n1"}, {"labels", {{"kubernetes.io/hostname", "n1"}}}}}, {"status", {{"conditions", Json::array()}}}};
  std::map<std::string, Json> events;  // by name
  bool away = false;
  bool loses_answers = false;  // carries out what it is asked and says nothing
  std::optional<Reply::Outcome> refuses;
  int writes = 0, reads = 0, tries = 0;

  Reply answer(const Request& request) {
    ++tries;
    if (away) return {.outcome = Reply::Outcome::away, .object = {}, .why = "connection refused"};
    if (refuses) return {.outcome = *refuses, .object = {}, .why = "no"};
    if (!node) return {.outcome = Reply::Outcome::not_found, .object = {}, .why = "no such node"};
    auto reply = carry_out(request);
    if (loses_answers) return {.outcome = Reply::Outcome::away, .object = {}, .why = "timeout"};
    return reply;
  }

  [[nodiscard]] Json labels() const { return node->at("metadata").value("labels", Json::object()); }
  [[nodiscard]] std::string annotation(const std::string& name) const {
    return node->at("metadata").value("annotations", Json::object()).value(name, "");
  }
  [[nodiscard]] std::optional<Json> condition(const std::string& type) const {
    for (const auto& each : node->at("status").at("conditions"))
      if (each.at("type") == type) return each;
    return std::nullopt;
  }
  [[nodiscard]] int events_with(const std::string& reason) const {
    int count = 0;
    for (const auto& [name, event] : events) count += event.at("reason") == reason ? 1 : 0;
    return count;
  }

 private:
  Reply carry_out(const Request& request) {
    if (request.kind == Request::Kind::read) {
      ++reads;
      return {.object = *node};
    }
    ++writes;
    if (request.kind == Request::Kind::event) {
      const auto name = request.body.at("metadata").at("name").get<std::string>();
      if (!events.emplace(name, request.body).second) return {.outcome = Reply::Outcome::conflict, .object = {}, .why = "it is there"};
      return {.object = request.body};
    }
    if (request.kind == Request::Kind::metadata) {
      node->merge_patch(request.body);
      return {.object = *node};
    }
    auto& conditions = node->at("status").at("conditions");
    for (const auto& fresh : request.body.at("status").at("conditions")) {
      bool found = false;
      for (auto& each : conditions)
        if (each.at("type") == fresh.at("type")) {
          each = fresh;
          found = true;
        }
      if (!found) conditions.push_back(fresh);
    }
    return {.object = *node};
  }
};

}  // namespace cloudos::tests
