#include "core/plan/join_rules.hpp"

#include <data.hpp>

#include <nlohmann/json.hpp>

#include "core/plan/fill.hpp"

namespace cloudos::plan {

std::string join_rules(const Cluster& cluster) {
  // A master that does not answer now has these rights again from the next run that reaches it.
  auto masters = nlohmann::json::array();
  for (const auto& member : cluster.members)
    if (member.master())
      masters.push_back({{"apiGroup", "rbac.authorization.k8s.io"}, {"kind", "User"}, {"name", "system:node:" + member.node}});
  return fill(data::join_yaml, {{"masters", masters.dump()}});
}

}  // namespace cloudos::plan
