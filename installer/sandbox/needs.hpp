// What a sandbox needs of this computer, and what can be asked for at all: known before anything is touched.
#pragma once

#include "core/base/result.hpp"
#include "installer/sandbox/sandbox.hpp"

namespace cloudos::sandbox {

// Fills in what the request left open. Errors: usage; refused (a release whose systemd cannot boot on this computer).
// `unified`: this computer has cgroup v2 alone.
[[nodiscard]] Result<UpRequest> check_request(UpRequest request, bool unified);

// Errors: refused, with every missing program and the packages to install, all at once.
[[nodiscard]] Status check_needs(Kind kind);
[[nodiscard]] Status check_root();

}  // namespace cloudos::sandbox
