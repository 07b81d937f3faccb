#include <array>
#include <catch2/catch_test_macros.hpp>

#include "core/base/argv.hpp"
#include "core/base/secret.hpp"
#include "core/base/text.hpp"
#include "core/base/units.hpp"

using namespace cloudos;

TEST_CASE("sizes are shown the way people read them") {
  CHECK(human(Bytes{512}) == "512 B");
  CHECK(human(Bytes{1536}) == "1.5 KiB");
  CHECK(human(23_GiB) == "23.0 GiB");
  CHECK(human(500_GiB) == "500 GiB");
}

TEST_CASE("sizes that people write are understood, and nonsense is refused") {
  CHECK(parse_bytes("20G") == 20_GiB);
  CHECK(parse_bytes("1.5Gi") == Bytes{1536U << 20});
  CHECK(parse_bytes("4096") == Bytes{4096});
  for (const auto* bad : {"", "G", "-1G", "1e9", "20X", "20 G", "inf", "nan", "99999999T"}) {
    INFO(bad);
    CHECK_FALSE(parse_bytes(bad));
  }
}

TEST_CASE("a misspelt word gets the nearest name, a strange one gets none") {
  constexpr std::array<std::string_view, 3> keys = {"masters", "nodes", "pod_cidr"};
  CHECK(nearest("mastres", keys) == "masters");
  CHECK(nearest("pod-cidr", keys) == "pod_cidr");
  CHECK(nearest("zebra", keys).empty());
}

TEST_CASE("escape sequences from a machine never reach the terminal") {
  CHECK(sanitise("\x1b[31mred\x07") == "\\x1b[31mred\\x07");
  CHECK(sanitise("\xC2\x9B"
                 "31m") == "\\x9b31m");
  CHECK(sanitise("caf\xC3\xA9\n") == "caf\xC3\xA9\n");
  CHECK(sanitise("\xFF\xC3") == "\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST_CASE("a quoted command is read back as the same words") {
  CHECK(quote({"ls", "-l", "/var/lib"}) == "ls -l /var/lib");
  CHECK(quote({"echo", "a b", ""}) == "echo 'a b' ''");
  CHECK(quote({"echo", "it's"}) == "echo 'it'\\''s'");
  CHECK(quote({"echo", "$HOME`id`\\"}) == "echo '$HOME`id`'\\\\''");
  CHECK(quote({"=ls"}) == "'=ls'");
}

TEST_CASE("a digest is 64 lower-case hex digits and nothing else") {
  const std::string hex(64, 'a');
  CHECK(Digest::parse(hex)->hex() == hex);
  CHECK(Digest::parse("sha256:" + hex)->oci() == "sha256:" + hex);
  CHECK_FALSE(Digest::parse(std::string(63, 'a')));
  CHECK_FALSE(Digest::parse(std::string(64, 'A')));
  CHECK_FALSE(Digest::parse("sha512:" + hex));
}

TEST_CASE("a moved-from secret is gone") {
  Secret first(std::string("hunter2"));
  const Secret second = std::move(first);
  CHECK(first.empty());  // NOLINT(bugprone-use-after-move): that is the promise
  CHECK(second.reveal() == "hunter2");
}

TEST_CASE("numbers outside their range are refused with the range named") {
  CHECK(parse_number("22", 1, 65535) == 22);
  for (const auto* bad : {"0", "65536", "", "+1", "-1", "1 ", "0x10", "99999999999999999999"}) {
    INFO(bad);
    const auto number = parse_number(bad, 1, 65535);
    REQUIRE_FALSE(number);
    CHECK(number.error().message.contains("from 1 to 65535"));
  }
}

TEST_CASE("an endless output ends the command, not our memory") {
  std::string out;
  const auto sink = into(out, 10);
  const std::array<std::byte, 8> bytes{};
  CHECK(sink(bytes));
  CHECK_FALSE(sink(bytes));
  CHECK(out.size() == 8);
}

TEST_CASE("an error tells what, while doing what, and what to do next") {
  auto error =
      Error{.kind = ErrorKind::network, .message = "connection refused"}.with("connecting to 10.0.0.4").advise("is sshd running there?");
  CHECK(error.text() == "connection refused, while connecting to 10.0.0.4\n  is sshd running there?");
  CHECK(exit_status(ErrorKind::input) == 2);
  CHECK(exit_status(ErrorKind::trust) == 3);
  CHECK(exit_status(ErrorKind::network) == 1);
}
