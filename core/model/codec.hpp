#pragma once

// How plain data becomes JSON and comes back: inside core/model, and in agent/halves, whose messages are of the same kind. Each
// type names its fields once, in a function fields(archive, value) that serves both ways.

#include <concepts>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "core/base/text.hpp"
#include "core/base/units.hpp"

namespace cloudos::model::codec {

using Json = nlohmann::json;

// What is wrong and where; never leaves the room that decodes.
struct ShapeError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <class T, class U>
concept is = std::same_as<std::remove_cv_t<T>, U>;

struct Writer;
struct Reader;
template <class T>
concept HasFields = requires(Writer& w, const T& c, Reader& r, T& t) {
  fields(w, c);
  fields(r, t);
};

// --- to JSON ---
inline Json to(bool v) { return v; }
inline Json to(const std::string& v) { return v; }
template <std::integral T>
Json to(T v) {
  return v;
}
inline Json to(double v) { return v; }
inline Json to(Bytes v) { return v.count; }
inline Json to(const std::set<std::string>& v) { return v; }
inline Json to(const Digest& v) { return v.hex(); }
template <class Tag>
Json to(const Id<Tag>& v) {
  return v.value;
}
template <HasFields T>
Json to(const T& v);
template <class T>
Json to(const std::vector<T>& v) {
  auto out = Json::array();
  for (const auto& item : v) out.push_back(to(item));
  return out;
}
template <class T>
Json to(const std::map<std::string, T>& v) {
  auto out = Json::object();
  for (const auto& [key, item] : v) out[key] = to(item);
  return out;
}

struct Writer {
  Json& out;
  template <class T>
  void operator()(const char* key, const T& value) {
    out[key] = to(value);
  }
};
template <HasFields T>
Json to(const T& v) {
  auto out = Json::object();
  Writer writer{out};
  fields(writer, v);
  return out;
}

// --- from JSON ---
[[noreturn]] inline void wrong(const Json& j, const char* wanted) {
  throw ShapeError(std::string("expected ") + wanted + ", found " + j.type_name());
}
inline void from(const Json& j, bool& v) {
  if (!j.is_boolean()) wrong(j, "true or false");
  v = j.get<bool>();
}
inline void from(const Json& j, std::string& v) {
  if (!j.is_string()) wrong(j, "a string");
  v = j.get_ref<const std::string&>();
}
template <std::integral T>
void from(const Json& j, T& v) {
  if (j.is_number_unsigned()) {
    const auto n = j.get<std::uint64_t>();
    if (!std::in_range<T>(n)) wrong(j, "a smaller number");
    v = static_cast<T>(n);
  } else if (j.is_number_integer()) {
    const auto n = j.get<std::int64_t>();
    if (!std::in_range<T>(n)) wrong(j, "a number in range");
    v = static_cast<T>(n);
  } else {
    wrong(j, "a whole number");
  }
}
inline void from(const Json& j, double& v) {
  if (!j.is_number()) wrong(j, "a number");
  v = j.get<double>();
}
inline void from(const Json& j, Bytes& v) { from(j, v.count); }
inline void from(const Json& j, std::set<std::string>& v) {
  if (!j.is_array()) wrong(j, "a list");
  v.clear();
  for (const auto& item : j) {
    std::string text;
    from(item, text);
    if (!v.insert(std::move(text)).second) throw ShapeError("the same twice");
  }
}
inline void from(const Json& j, Digest& v) {
  std::string text;
  from(j, text);
  if (text.empty()) {
    v = {};
    return;
  }
  auto digest = Digest::parse(text);
  if (!digest) throw ShapeError(digest.error().message);
  v = std::move(*digest);
}
template <class Tag>
void from(const Json& j, Id<Tag>& v) {
  from(j, v.value);
}
template <HasFields T>
void from(const Json& j, T& v);
template <class T>
void from(const Json& j, std::vector<T>& v) {
  if (!j.is_array()) wrong(j, "a list");
  v.clear();
  for (const auto& item : j) {
    try {
      from(item, v.emplace_back());
    } catch (const ShapeError& e) { throw ShapeError("[" + std::to_string(v.size() - 1) + "]: " + e.what()); }
  }
}
template <class T>
void from(const Json& j, std::map<std::string, T>& v) {
  if (!j.is_object()) wrong(j, "an object");
  v.clear();
  for (const auto& [key, item] : j.items()) {
    try {
      from(item, v[key]);
    } catch (const ShapeError& e) { throw ShapeError(key + ": " + e.what()); }
  }
}

struct Reader {
  const Json& in;
  template <class T>
  void operator()(const char* key, T& value) {
    const auto at = in.find(key);
    if (at == in.end()) return;
    try {
      from(*at, value);
    } catch (const ShapeError& e) { throw ShapeError(std::string(key) + ": " + e.what()); }
  }
};
template <HasFields T>
void from(const Json& j, T& v) {
  if (!j.is_object()) wrong(j, "an object");
  Reader reader{j};
  fields(reader, v);
}

// --- documents ---
// One line; text that is not UTF-8 (a file name, say) is replaced, not thrown about.
inline std::string line(const Json& j) { return j.dump(-1, ' ', false, Json::error_handler_t::replace); }

template <class T>
std::string encode(const T& value, int schema = 0) {
  auto j = to(value);
  if (schema > 0) j["schema"] = schema;
  return line(j);
}

// `schema` 0: the document carries none. `what` names it in the error.
template <class T>
Result<T> decode(std::string_view text, const char* what, int schema = 0) {
  try {
    const auto j = Json::parse(text);
    if (!j.is_object()) return fail(ErrorKind::input, std::string(what) + ": expected an object");
    if (schema > 0) {
      int found = 0;
      Reader{j}("schema", found);
      if (found < 1 || found > schema)
        return fail(ErrorKind::input, std::string(what) + ": schema " + std::to_string(found) + " is not one that this program reads",
                    "use the cloudos that wrote it, or a newer one");
    }
    T value;
    from(j, value);
    return value;
  } catch (const ShapeError& e) {
    return fail(ErrorKind::input, std::string(what) + ": " + sanitise(e.what()));
  } catch (const Json::exception& e) { return fail(ErrorKind::input, std::string(what) + ": not JSON: " + sanitise(e.what())); }
}

}  // namespace cloudos::model::codec
