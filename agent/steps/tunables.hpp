// The kernel's settings that the kubelet and kube-proxy change by themselves: what they were before, for the way back.
#pragma once

#include <map>
#include <string>

#include "agent/steps/environment.hpp"

namespace cloudos::steps {

// "sysctl:KEY" -> value, for each that this kernel has. Part of the undo of the step that brings Kubernetes.
[[nodiscard]] std::map<std::string, std::string> tunables_now(const Environment& env);
// Sets back what still has the value that Kubernetes gave it; a value that somebody else chose since stays. Errors: io, for
// the first that cannot be set; the others are tried all the same.
[[nodiscard]] Status restore_tunables(Environment& env, const std::map<std::string, std::string>& undo);

}  // namespace cloudos::steps
