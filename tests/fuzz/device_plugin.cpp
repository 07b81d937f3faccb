// What kubelet sends over its plugin sockets. The first byte picks the message: decoding never crashes, what was understood is
// the same after it was written and read again, and a choice of devices is made of those that were offered.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>

#include "agent/devices/preferred.hpp"
#include "agent/grpc/frame.hpp"
#include "agent/wire/wire.hpp"

using namespace cloudos;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

template <class Message>
void read_twice(std::string_view bytes) {
  const auto first = wire::decode<Message>(bytes);
  if (!first) return;
  const auto again = wire::decode<Message>(wire::encode(*first));
  require(again.has_value() && *again == *first);
}

void unframe(std::string_view bytes) {
  if (const auto message = grpc::unframe(bytes)) require(grpc::frame(*message) == bytes);
  static_cast<void>(grpc::percent_decode(bytes));
  require(grpc::percent_decode(grpc::percent_encode(bytes)) == bytes);
}

void prefer(std::string_view bytes) {
  const auto asked = wire::decode<wire::PreferredRequest>(bytes);
  if (!asked) return;
  std::vector<devices::Unit> units;
  for (const auto& [id, card, numa, island] :
       {std::tuple{"a", "1", 0, "x"}, {"b", "2", 0, "x"}, {"c", "3", 1, ""}, {"d::0", "4", 1, ""}, {"d::1", "4", 1, ""}})
    units.push_back({.id = id, .card = card, .device = card, .numa = numa, .island = island});
  for (const auto& container : asked->containers) {
    const auto size = static_cast<std::size_t>(std::max(container.size, 0));
    const auto given = devices::prefer(units, container.available, container.must_include, size);
    require(std::set(given.begin(), given.end()).size() == given.size());
    for (const auto& id : given)
      require(std::ranges::contains(units, id, &devices::Unit::id) &&
              (std::ranges::contains(container.available, id) || std::ranges::contains(container.must_include, id)));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 12) {
    case 0: read_twice<wire::Empty>(bytes); break;
    case 1: read_twice<wire::DevicePluginOptions>(bytes); break;
    case 2: read_twice<wire::RegisterRequest>(bytes); break;
    case 3: read_twice<wire::ListAndWatchResponse>(bytes); break;
    case 4: read_twice<wire::PreferredRequest>(bytes); break;
    case 5: read_twice<wire::PreferredResponse>(bytes); break;
    case 6: read_twice<wire::AllocateRequest>(bytes); break;
    case 7: read_twice<wire::AllocateResponse>(bytes); break;
    case 8: read_twice<wire::PreStartRequest>(bytes); break;
    case 9: unframe(bytes); break;
    default: prefer(bytes); break;
  }
  return 0;
}
