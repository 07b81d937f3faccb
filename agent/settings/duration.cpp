#include "agent/settings/duration.hpp"

#include <algorithm>
#include <array>
#include <format>

#include "core/base/text.hpp"

namespace cloudos::settings {
namespace {

using std::chrono::microseconds;
using namespace std::chrono_literals;

struct Unit {
  std::string_view name;
  microseconds span;
};
constexpr std::array<Unit, 6> units = {{{"d", 24h}, {"h", 1h}, {"m", 1min}, {"s", 1s}, {"ms", 1ms}, {"us", 1us}}};
constexpr std::uint64_t most = 100'000'000;  // days of it still fit in 64 bits of microseconds

}  // namespace

Result<microseconds> parse_duration(std::string_view text) {
  const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = parse_number(text.substr(0, digits), 0, most);
  const auto unit = std::ranges::find(units, text.substr(digits), &Unit::name);
  if (!number || unit == units.end())
    return fail(ErrorKind::input, std::format("found '{}', expected a whole number and a unit", sanitise(text)),
                "write \"10s\"; units are us, ms, s, m, h and d");
  return unit->span * static_cast<std::int64_t>(*number);
}

std::string duration_text(microseconds span) {
  if (span == 0us) return "0s";
  const auto unit = std::ranges::find_if(units, [&](const Unit& u) { return span % u.span == 0us; });
  return std::format("{}{}", span / unit->span, unit->name);
}

}  // namespace cloudos::settings
