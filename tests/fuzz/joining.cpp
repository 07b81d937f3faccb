// What a machine that joins is told by stores and masters before it believes anything: any text gives a value or an error, and
// what is shown of it has no control characters.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string_view>

#include "agent/join/clock.hpp"
#include "agent/join/stores.hpp"
#include "agent/join/wanted.hpp"

using namespace cloudos;

namespace {

void shown(const std::string& text) {
  for (const char c : text)
    if (static_cast<unsigned char>(c) < 0x20) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto hello = joining::parse_hello(text)) {
    if (hello->bundle.empty() || hello->cluster_id.empty()) std::abort();
  }
  static_cast<void>(joining::http_date(text));
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (json.is_discarded()) return 0;
  if (const auto wanted = joining::wanted_of(json); !wanted) shown(wanted.error().message);
  if (const auto serves = joining::token_serves(json, "abcdef", 1'700'000'000, false); !serves) shown(serves.error().message);
  static_cast<void>(joining::denial(json, "abcdef", "node-9", joining::request_names(json)));
  static_cast<void>(joining::denial(json, "abcdef", "node-9", {}));
  return 0;
}
