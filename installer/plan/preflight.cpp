#include "installer/plan/plan.hpp"

namespace cloudos::plan {

std::vector<model::Finding> preflight(const Input&) { return {}; }

}  // namespace cloudos::plan
