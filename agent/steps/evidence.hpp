// What a failed step leaves behind that bears on it: the last lines of the services and static pods concerned.
#pragma once

#include <string>
#include <vector>

#include "agent/steps/session.hpp"

namespace cloudos::steps {

// Lines with their source before them ("kubelet: …"), redacted and safe for a terminal. Never fails: what cannot be read is
// left out.
[[nodiscard]] std::vector<std::string> evidence_for(const model::Action& action, Session& session);
// The whole failure of the step at work.
[[nodiscard]] model::Event::Failure failure_of(const Error& error, const model::Action& action, Session& session);

}  // namespace cloudos::steps
