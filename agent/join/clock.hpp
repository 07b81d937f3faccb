// Inside agent/join: whether this machine's clock can be believed. Certificates and tokens have dates.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace cloudos::joining {

// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, section 5.6.7, IMF-fixdate) in seconds since the epoch. Errors: input.
[[nodiscard]] Result<std::int64_t> http_date(std::string_view text);
// "2026-11-28 15:13:10 UTC"
[[nodiscard]] std::string date_text(std::int64_t seconds);

// What is wrong with a clock that is so much ahead of the cluster's; "" when it will do. The signer of kubelets' certificates dates
// them back by five minutes (kube-controller-manager), so a clock that is behind by less than that can use them at once.
[[nodiscard]] std::string clock_fault(std::int64_t ahead_s);

}  // namespace cloudos::joining
