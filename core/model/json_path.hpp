// Looking into JSON of others, whatever form it has.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>

namespace cloudos::model {

// What is at a path of keys, or nullptr.
[[nodiscard]] const nlohmann::json* find_at(const nlohmann::json& object, std::initializer_list<const char*> path);
// Text at a path of keys, or "".
[[nodiscard]] std::string text_at(const nlohmann::json& object, std::initializer_list<const char*> path);
// A whole number at a path of keys, or 0.
[[nodiscard]] std::int64_t number_at(const nlohmann::json& object, std::initializer_list<const char*> path);

}  // namespace cloudos::model
