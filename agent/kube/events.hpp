#pragma once

#include <cstdint>
#include <string>

#include "agent/kube/kube.hpp"

namespace cloudos::kube {

// Something to tell in the cluster's events (kubernetes.io: "Event v1 core").
struct Happening {
  Json about;                               // {"apiVersion","kind","name", and "namespace" or "uid" where it has one}
  std::string reason, message;              // reason: "JoinRefused"; message: one sentence, cut off at 1024 bytes
  bool warning = false;                     // else Normal
  std::string component = "cloudos-agent";  // who says so
  std::string node;                         // and where
};
// In the namespace of what it is about, "default" for what has none: elsewhere the API refuses it.
[[nodiscard]] Status tell(Api& api, const Happening& happening, std::int64_t now_s);

}  // namespace cloudos::kube
