#include "agent/wire/wire.hpp"

#include <catch2/catch_test_macros.hpp>

using namespace cloudos;
using namespace std::string_literals;

namespace {

template <class M>
M there_and_back(const M& message) {
  const auto back = wire::decode<M>(wire::encode(message));
  REQUIRE(back);
  return *back;
}

}  // namespace

TEST_CASE("a registration has the bytes that protoc gives it") {
  const wire::RegisterRequest request{
      .version = "v1beta1", .endpoint = "a.sock", .resource_name = "n/g", .options = wire::DevicePluginOptions{false, true}};
  // Fields 1 to 3 as length-delimited (tags 0x0a, 0x12, 0x1a), field 4 as a message with its field 2 true.
  CHECK(wire::encode(request) ==
        "\x0a\x07v1beta1\x12\x06"
        "a.sock\x1a\x03n/g\x22\x02\x10\x01"s);
}

TEST_CASE("every message comes back as it went") {
  const wire::ListAndWatchResponse list{
      {{.id = "GPU-1", .health = "Healthy", .topology = wire::TopologyInfo{{{0}}}},
       {.id = "GPU-2", .health = "Unhealthy", .topology = std::nullopt},
       {.id = "GPU-3", .health = "Healthy", .topology = wire::TopologyInfo{{{1}, {-1}, {std::int64_t{1} << 40}}}}}};
  CHECK(there_and_back(list) == list);
  const wire::PreferredRequest preferred{{{{"a", "b", ""}, {"a"}, 2}, {{}, {}, -1}}};
  CHECK(there_and_back(preferred) == preferred);
  const wire::PreferredResponse chosen{{{{"a", "b"}}, {}}};
  CHECK(there_and_back(chosen) == chosen);
  const wire::AllocateRequest allocate{{{{"GPU-1", "GPU-2"}}, {{"GPU-3"}}}};
  CHECK(there_and_back(allocate) == allocate);
  const wire::AllocateResponse response{{{{{"NVIDIA_VISIBLE_DEVICES", "GPU-1"}, {"EMPTY", ""}}, {{"v/c=d"}, {"v/c=e"}}}}};
  CHECK(there_and_back(response) == response);
  const wire::PreStartRequest start{{"x"}};
  CHECK(there_and_back(start) == start);
}

TEST_CASE("a NUMA node of 0 is said, although 0 is the default") {
  const auto bytes = wire::encode(wire::ListAndWatchResponse{{{.id = "d", .health = "Healthy", .topology = wire::TopologyInfo{{{0}}}}}});
  CHECK(bytes.ends_with("\x1a\x02\x0a\x00"s));
}

TEST_CASE("fields of a newer kubelet are passed over") {
  // 100: varint, 101: fixed64, 102: fixed32, 103: bytes; then field 1.
  const auto bytes =
      "\xa0\x06\x96\x01\xa9\x06"
      "12345678\xb5\x06"
      "1234\xba\x06\x02hi\x0a\x02id"s;
  const auto got = wire::decode<wire::PreStartRequest>(bytes);
  REQUIRE(got);
  CHECK(got->ids == std::vector<std::string>{"id"});
}

TEST_CASE("bytes that are no message are refused") {
  using wire::decode;
  CHECK_FALSE(decode<wire::PreStartRequest>("\x0a"s));  // no length
  CHECK_FALSE(
      decode<wire::PreStartRequest>("\x0a\x05"
                                    "abc"s));                                               // ends within
  CHECK_FALSE(decode<wire::PreStartRequest>("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"s));  // a length of 2^63
  CHECK_FALSE(decode<wire::PreStartRequest>("\x08\x01"s));                                  // a number where text must be
  CHECK_FALSE(decode<wire::PreStartRequest>("\x0b\x0c"s));                                  // a group
  CHECK_FALSE(decode<wire::PreStartRequest>("\x02\x00"s));                                  // field 0
  CHECK_FALSE(decode<wire::Empty>("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"s));        // 70 bits
  CHECK_FALSE(decode<wire::AllocateRequest>("\x0a\x03\x0a\x05x"s));                         // wrong within
}

TEST_CASE("a message of a million empty names is refused before it takes memory") {
  std::string bytes;
  for (int i = 0; i < 1'000'000; ++i) bytes += "\x0a\x00"s;
  CHECK_FALSE(wire::decode<wire::PreStartRequest>(bytes));
  std::string nested = "\x0a\x00"s;
  for (int i = 0; i < 20'000; ++i) nested += "\x0a\x02\x0a\x00"s;
  CHECK_FALSE(wire::decode<wire::AllocateRequest>(nested));
}
