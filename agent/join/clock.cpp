#include "agent/join/clock.hpp"

#include <chrono>
#include <cmath>
#include <format>
#include <sstream>

#include "core/base/text.hpp"

namespace cloudos::joining {
namespace {

constexpr std::int64_t tolerated_s = 180;

}  // namespace

Result<std::int64_t> http_date(std::string_view text) {
  std::istringstream in{std::string(text)};
  in.imbue(std::locale::classic());
  std::chrono::sys_seconds at;
  in >> std::chrono::parse("%a, %d %b %Y %H:%M:%S GMT", at);
  if (in.fail() || in.peek() != std::istringstream::traits_type::eof())
    return fail(ErrorKind::input, std::format("\"{}\" is not a date of HTTP", sanitise(text.substr(0, 60))));
  return at.time_since_epoch().count();
}

std::string date_text(std::int64_t seconds) { return std::format("{:%F %T} UTC", std::chrono::sys_seconds(std::chrono::seconds(seconds))); }

std::string clock_fault(std::int64_t ahead_s) {
  const auto off = ahead_s < 0 ? -ahead_s : ahead_s;
  if (off <= tolerated_s) return {};
  return std::format("this machine's clock is {} {} the cluster's", human(Milliseconds{off * 1000}), ahead_s > 0 ? "ahead of" : "behind");
}

}  // namespace cloudos::joining
