#include "core/model/json_path.hpp"

namespace cloudos::model {

using nlohmann::json;

const json* find_at(const json& object, std::initializer_list<const char*> path) {
  const json* at = &object;
  for (const auto* key : path) {
    if (!at->is_object()) return nullptr;
    const auto found = at->find(key);
    if (found == at->end()) return nullptr;
    at = &*found;
  }
  return at;
}
std::string text_at(const json& object, std::initializer_list<const char*> path) {
  const auto* found = find_at(object, path);
  return found != nullptr && found->is_string() ? found->get<std::string>() : "";
}
std::int64_t number_at(const json& object, std::initializer_list<const char*> path) {
  const auto* found = find_at(object, path);
  return found != nullptr && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}

}  // namespace cloudos::model
