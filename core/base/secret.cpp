#include "core/base/secret.hpp"

#include <cstring>

namespace cloudos {

// explicit_bzero is not removed by the optimiser (glibc manual, "Erasing Sensitive Data").
void Secret::wipe() noexcept {
  explicit_bzero(value_.data(), value_.capacity());
  value_.clear();
}

}  // namespace cloudos
