#include <format>

#include "agent/halves/fields.hpp"

namespace cloudos::halves {
namespace {

using model::codec::Json;
using model::codec::ShapeError;

// A report holds the deepest: message, body, events, one of them, its event.
constexpr int deepest = 5;
constexpr auto upgrade_hint = "both halves are of one program: restart cloudos-agent-root.service and cloudos-agent.service";

std::string below(const std::string& path, std::string_view key) { return path + (path.empty() ? "" : ".") + std::string(key); }

// Reading passes over what it does not know and leaves defaults where nothing is. So what was read is written again, and must have
// the same keys as what was found.
void must_match(const Json& found, const Json& meant, const std::string& path) {
  if (meant.is_object()) {
    for (const auto& [key, value] : meant.items()) {
      const auto at = found.find(key);
      if (at == found.end()) throw ShapeError(below(path, key) + ": missing");
      must_match(*at, value, below(path, key));
    }
    for (const auto& [key, value] : found.items())
      if (!meant.contains(key)) throw ShapeError(below(path, key) + ": unknown");
  } else if (meant.is_array()) {
    for (std::size_t i = 0; i < meant.size(); ++i) must_match(found.at(i), meant.at(i), std::format("{}[{}]", path, i));
  }
}

// Never with what a parser found: it may be part of a key.
Json parse(std::string_view text) {
  bool too_deep = false;
  const auto shallow = [&](int depth, Json::parse_event_t event, Json&) {
    const bool opens = event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start;
    too_deep = too_deep || (opens && depth >= deepest);
    return !too_deep;
  };
  const auto must_be_shallow = [&] {
    if (too_deep) throw ShapeError(std::format("nested deeper than {} levels", deepest));
  };
  try {
    auto found = Json::parse(text, shallow);
    must_be_shallow();
    if (!found.is_object()) throw ShapeError("expected an object");
    return found;
  } catch (const Json::parse_error& error) {
    must_be_shallow();
    throw ShapeError(std::format("not JSON in UTF-8 at byte {} of {}", error.byte, text.size()));
  } catch (const Json::exception&) { throw ShapeError("holds a number that is too large"); }
}

int version_of(const Json& found) {
  int other = 0;
  const auto at = found.find("version");
  if (at == found.end()) throw ShapeError("version: missing");
  try {
    model::codec::from(*at, other);
  } catch (const ShapeError& error) { throw ShapeError(std::string("version: ") + error.what()); }
  return other;
}

std::string type_of(const Json& found) {
  const auto at = found.find("type");
  if (at == found.end()) throw ShapeError("type: missing");
  if (!at->is_string()) throw ShapeError(std::string("type: expected a string, found ") + at->type_name());
  for (const auto& [key, value] : found.items())
    if (key != "version" && key != "type" && key != "body") throw ShapeError(key + ": unknown");
  if (!found.contains("body")) throw ShapeError("body: missing");
  return at->get<std::string>();
}

void check(const auto&) {}
void check(const Report& report) {
  if (report.events.size() > most_events)
    throw ShapeError(std::format("body.events: found {}, expected at most {}", report.events.size(), most_events));
}
void check(const Credential& credential) {
  if (credential.role != "master" && credential.role != "node") throw ShapeError("body.role: expected \"master\" or \"node\"");
}

template <class T>
T body_of(const Json& found) {
  T value;
  const auto& body = found.at("body");
  try {
    model::codec::from(body, value);
  } catch (const ShapeError& error) { throw ShapeError(std::string("body: ") + error.what()); }
  must_match(body, model::codec::to(value), "body");
  check(value);
  return value;
}

FromRoot from_root(const Json& found) {
  const auto type = type_of(found);
  if (type == "report") return body_of<Report>(found);
  if (type == "figures") return body_of<Figures>(found);
  if (type == "credential") return body_of<Credential>(found);
  throw ShapeError(std::format("type: found \"{}\", expected \"report\", \"figures\" or \"credential\"", type.substr(0, 32)));
}

FromNetwork from_network(const Json& found) {
  const auto type = type_of(found);
  if (type == "hello") return body_of<Hello>(found);
  if (type == "ask") return body_of<Ask>(found);
  if (type == "delivered") return body_of<Delivered>(found);
  throw ShapeError(std::format("type: found \"{}\", expected \"hello\", \"ask\" or \"delivered\"", type.substr(0, 32)));
}

template <class T>
Result<T> decode(std::string_view text, std::string_view from, T (*read)(const Json&)) {
  const auto what = std::format("a message of the agent's {} half", from);
  if (text.size() > longest_message)
    return fail(ErrorKind::input, std::format("{}: {} bytes, at most {} are allowed", what, text.size(), longest_message));
  try {
    const auto found = parse(text);
    if (const auto other = version_of(found); other != version)
      return fail(ErrorKind::input, std::format("{}: it speaks version {}, this half speaks version {}", what, other, version),
                  upgrade_hint);
    return read(found);
  } catch (const ShapeError& error) { return fail(ErrorKind::input, std::format("{}: {}", what, sanitise(error.what()))); }
}

}  // namespace

Result<FromRoot> decode_from_root(std::string_view text) { return decode(text, "root", from_root); }
Result<FromNetwork> decode_from_network(std::string_view text) { return decode(text, "network", from_network); }

}  // namespace cloudos::halves
