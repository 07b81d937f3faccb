// Beside the door of core/toml_reader, without toml++: what its callers pass on.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "core/model/config.hpp"

namespace cloudos::toml_reader {

// A value with the place it came from: "cluster.toml:4:1" or "--pod-cidr"; `key` as findings name it: "ssh.user".
template <class T>
struct Given {
  T value{};
  std::string origin;
  std::string key;
  [[nodiscard]] std::string where() const { return key.empty() ? origin : origin + " " + key; }
};
template <class T>
using Maybe = std::optional<Given<T>>;

using Findings = std::vector<model::Finding>;

// All of them as one error of kind input, a line each: "2 mistakes in agent.toml\n  agent.toml:4:1 health.every: …; …".
[[nodiscard]] Error as_error(const Findings& findings, std::string_view file);

}  // namespace cloudos::toml_reader
