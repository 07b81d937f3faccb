#include <catch2/catch_test_macros.hpp>

#include <format>
#include <limits>
#include <nlohmann/json.hpp>

#include "agent/halves/halves.hpp"

using namespace cloudos;
using halves::Credential;
using halves::Figures;
using halves::FromNetwork;
using halves::FromRoot;
using halves::Report;
using nlohmann::json;

namespace {

Report report() {
  Report out;
  out.agent_version = "0.1.0";
  out.labels = {{"feature.node.kubernetes.io/memory-numa", "true"}, {"nvidia.com/gpu.count", "8"}};
  out.unknown = {"nvidia.gpus"};
  out.annotations = {{"cloudos.io/store", "10.0.0.4:9634 sha256:00"}};
  out.conditions = {{.type = "ClockSkewed", .status = true, .reason = "Ahead", .message = "by 2 s", .since_ms = 1'750'000'000'000}};
  out.problems = {{.type = "ClockSkewed", .subject = "clock", .reason = "Ahead"}};
  out.epoch = "5c1e";
  out.events = {
      {.sequence = 7, .event = {.warning = false, .reason = "ClockSkewedCleared", .message = "no longer so", .pod = "a/b", .at_ms = 9}}};
  out.lost = 3;
  return out;
}

Figures figures() {
  Figures out;
  out.gpus = {{.address = "0000:18:00.0",
               .vendor = "nvidia",
               .device = "10de:2330",
               .model = "H100",
               .driver = "nvidia",
               .busy_percent = 42,
               .temperature = 61,
               .power_mw = 350'000,
               .memory = 80_GiB,
               .memory_used = 1_GiB,
               .trouble = ""}};
  out.gpu_errors = {
      {.uuid = "GPU-1", .address = "0000:18:00.0", .last_xid = 79, .ecc_corrected = 1, .ecc_uncorrected = 2, .healthy = false}};
  out.sync_p99_seconds = {{"/var/lib/etcd", 0.0071}};
  out.certificates = {{"/etc/kubernetes/pki/ca.crt", 2'000'000'000}};
  out.restarts = {{"kubelet.service", 1}};
  out.devices = {{"nvidia.com/gpu", {{"healthy", 7}, {"unhealthy", 1}}}};
  return out;
}

Credential credential() {
  return {.node = "worker-1",
          .role = "node",
          .address = "10.0.0.4",
          .server = "https://127.0.0.1:7443",
          .ca = "CA",
          .certificate = "CERT",
          .key = Secret("kubelet's key"),
          .serving_certificate = "SERVING",
          .serving_key = Secret("the serving key"),
          .store_certificate = "STORE",
          .store_key = Secret("the store's key")};
}

std::string text(const FromRoot& message) { return std::string(halves::encode(message).reveal()); }
// What is said of a message of which something was changed; "" when it was taken.
std::string refusal(const json& message) {
  const auto read = halves::decode_from_root(message.dump());
  if (read) return "";
  CHECK(read.error().kind == ErrorKind::input);
  return read.error().message;
}
std::string refusal_from_network(std::string_view message) {
  const auto read = halves::decode_from_network(message);
  if (read) return "";
  CHECK(read.error().kind == ErrorKind::input);
  return read.error().message;
}
std::vector<Report::Event> events(std::size_t count, const std::string& message) {
  std::vector<Report::Event> out;
  for (std::size_t i = 1; i <= count; ++i) out.push_back({.sequence = i, .event = {.reason = "OOMKilling", .message = message, .pod = {}}});
  return out;
}
Report read_again(const Report& sent) {
  const auto encoded = halves::encode(FromRoot(sent));
  CHECK(encoded.reveal().size() <= halves::longest_message);
  auto read = halves::decode_from_root(encoded.reveal());
  if (!read) FAIL(read.error().text());
  return std::get<Report>(*std::move(read));
}

}  // namespace

TEST_CASE("what the root half reports arrives as it was") {
  const auto read = halves::decode_from_root(text(report()));
  REQUIRE(read);
  CHECK(std::get<Report>(*read) == report());
}

TEST_CASE("figures and credentials arrive as they were, with every field") {
  for (const auto& message : {FromRoot(figures()), FromRoot(credential()), FromRoot(Report{}), FromRoot(Figures{})}) {
    const auto read = halves::decode_from_root(text(message));
    REQUIRE(read);
    CHECK(text(*read) == text(message));
  }
  const auto read = halves::decode_from_root(text(figures()));
  REQUIRE(read);
  const auto& seen = std::get<Figures>(*read);
  CHECK(seen.gpus.at(0).memory == 80_GiB);
  CHECK(seen.sync_p99_seconds.at("/var/lib/etcd") == 0.0071);
  CHECK(seen.devices.at("nvidia.com/gpu").at("unhealthy") == 1);
  const auto keys = halves::decode_from_root(text(credential()));
  REQUIRE(keys);
  CHECK(std::get<Credential>(*keys).store_key.reveal() == "the store's key");
}

TEST_CASE("all that the network half can say arrives as it was") {
  const auto hello = halves::decode_from_network(halves::encode(FromNetwork(halves::Hello{})));
  REQUIRE(hello);
  CHECK(std::get<halves::Hello>(*hello).version == halves::version);
  for (const auto wish : {halves::Wish::report, halves::Wish::figures, halves::Wish::credential}) {
    const auto ask = halves::decode_from_network(halves::encode(FromNetwork(halves::Ask{wish})));
    REQUIRE(ask);
    CHECK(std::get<halves::Ask>(*ask).wish == wish);
  }
  const auto delivered = halves::decode_from_network(halves::encode(FromNetwork(halves::Delivered{"5c1e", 12})));
  REQUIRE(delivered);
  CHECK(std::get<halves::Delivered>(*delivered).epoch == "5c1e");
  CHECK(std::get<halves::Delivered>(*delivered).sequence == 12);
}

TEST_CASE("halves of two versions tell both versions and what to do") {
  const auto read = halves::decode_from_network(halves::encode(FromNetwork(halves::Hello{.version = 7})));
  REQUIRE(!read);
  CHECK(read.error().kind == ErrorKind::input);
  CHECK(read.error().message.contains("version 7"));
  CHECK(read.error().message.contains(std::format("version {}", halves::version)));
  CHECK(read.error().hint.contains("restart"));
}

TEST_CASE("a message with a field missing, unknown or of another type is refused, and which one is said") {
  const auto whole = json::parse(text(report()));
  REQUIRE(refusal(whole).empty());
  const auto changed = [&](const char* at, const json& value) {
    auto other = whole;
    other[json::json_pointer(at)] = value;
    return refusal(other);
  };
  const auto without = [&](const char* parent, const char* key) {
    auto other = whole;
    other[json::json_pointer(parent)].erase(key);
    return refusal(other);
  };
  CHECK(without("", "version").contains("version: missing"));
  CHECK(without("", "type").contains("type: missing"));
  CHECK(without("", "body").contains("body: missing"));
  CHECK(without("/body", "lost").contains("body.lost: missing"));
  CHECK(without("/body/events/0/event", "pod").contains("body.events[0].event.pod: missing"));
  CHECK(changed("/more", 1).contains("more: unknown"));
  CHECK(changed("/body/more", 1).contains("body.more: unknown"));
  CHECK(changed("/body/conditions/0/more", 1).contains("body.conditions[0].more: unknown"));
  CHECK(changed("/type", "figment").contains("expected \"report\", \"figures\" or \"credential\""));
  CHECK(changed("/type", 1).contains("type: expected a string"));
  CHECK(changed("/version", "1").contains("version: expected a whole number"));
  CHECK(changed("/body", json::array()).contains("expected an object, found array"));
  CHECK(changed("/body/lost", -1).contains("lost: expected a number in range"));
  CHECK(changed("/body/conditions/0/status", "yes").contains("status: expected true or false"));
  CHECK(changed("/body/labels/a", 1).contains("labels: a: expected a string"));
  CHECK(changed("/body/unknown", {"a", "a"}).contains("unknown: the same twice"));
}

TEST_CASE("more events than there may be are refused") {
  auto whole = json::parse(text(report()));
  for (std::size_t i = 0; i < halves::most_events; ++i) whole["body"]["events"].push_back(whole["body"]["events"][0]);
  CHECK(refusal(whole).contains("found 257, expected at most 256"));
}

TEST_CASE("a node is a master or a node, nothing else") {
  auto whole = json::parse(text(credential()));
  whole["body"]["role"] = "admin";
  CHECK(refusal(whole).contains("body.role: expected \"master\" or \"node\""));
}

TEST_CASE("what the root half can be asked for is a closed list") {
  CHECK(refusal_from_network(R"({"version":1,"type":"ask","body":{"wish":"report"}})").empty());
  CHECK(refusal_from_network(R"({"version":1,"type":"ask","body":{"wish":"shell"}})")
            .contains("expected \"report\", \"figures\" or \"credential\""));
  CHECK(refusal_from_network(R"({"version":1,"type":"report","body":{}})").contains("expected \"hello\", \"ask\" or \"delivered\""));
  CHECK(refusal_from_network(R"({"version":1,"type":"hello","body":{"command":"reboot"}})").contains("body.command: unknown"));
}

TEST_CASE("what is no JSON, no UTF-8, too deep or too long is refused and never an exception") {
  CHECK(refusal_from_network("").contains("not JSON"));
  CHECK(refusal_from_network("{").contains("not JSON in UTF-8 at byte"));
  CHECK(refusal_from_network("[1]").contains("expected an object"));
  CHECK(refusal_from_network("null").contains("expected an object"));
  CHECK(refusal_from_network("{\"version\":1,\"type\":\"ask\",\"body\":{\"wish\":\"\xff\"}}").contains("not JSON in UTF-8 at byte 43"));
  CHECK(refusal_from_network(R"({"version":1e999})").contains("too large"));
  CHECK(refusal_from_network(R"({"version":1,"type":"ask","body":{"wish":[[[[]]]]}})").contains("deeper than 5 levels"));
  CHECK(refusal_from_network(std::string(halves::longest_message, '[')).contains("deeper than 5 levels"));
  CHECK(refusal_from_network(std::string(halves::longest_message + 1, ' ')).contains("131073 bytes, at most 131072 are allowed"));
}

TEST_CASE("no error holds a value: part of it may be a key") {
  const auto whole = json::parse(text(credential()));
  for (const auto* key : {"key", "serving_key", "store_key"}) {
    auto numbers = whole;
    numbers["body"][key] = {{"the key itself", 1}};
    CHECK_FALSE(refusal(numbers).contains("the key itself"));
  }
  auto cut_off = text(credential());
  cut_off.resize(cut_off.find("the serving key") + 8);
  const auto read = halves::decode_from_root(cut_off);
  REQUIRE(!read);
  CHECK_FALSE(read.error().text().contains("serving"));
  auto broken = text(credential());
  broken.insert(broken.find("the serving key") + 8, "\xff");
  const auto other = halves::decode_from_root(broken);
  REQUIRE(!other);
  CHECK_FALSE(other.error().text().contains("serving"));
}

TEST_CASE("texts that are not UTF-8 are told with the broken bytes replaced") {
  auto sent = report();
  sent.conditions[0].message = "disk \xff\xfe";
  CHECK(read_again(sent).conditions.at(0).message == "disk \xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST_CASE("of more events than a report may hold the oldest go, and are counted") {
  auto sent = report();
  sent.events = events(300, "killed");
  const auto read = read_again(sent);
  REQUIRE(read.events.size() == halves::most_events);
  CHECK(read.events.front().sequence == 45);
  CHECK(read.events.back().sequence == 300);
  CHECK(read.lost == 3 + 44);
}

TEST_CASE("a report that would be longer than a packet loses its oldest events, counted, and nothing that stands on the node") {
  auto sent = report();
  sent.events = events(250, std::string(900, 'x'));
  const auto read = read_again(sent);
  CHECK(read.events.size() > 100);
  CHECK(read.events.back().sequence == 250);
  CHECK(read.lost == 3 + 250 - read.events.size());
  CHECK(read.events.front().sequence == 250 - read.events.size() + 1);
  CHECK(read.labels == sent.labels);
  CHECK(read.annotations == sent.annotations);
  CHECK(read.conditions == sent.conditions);
  CHECK(read.problems == sent.problems);
}

TEST_CASE("a report fits a packet whatever its texts are: endless, not UTF-8, thousands of problems") {
  auto sent = report();
  sent.events = events(250, std::string(10'000, '\xff'));
  sent.conditions[0].message = std::string(500'000, '\x01');
  for (int i = 0; i < 5000; ++i) sent.problems.push_back({.type = "DiskFilling", .subject = std::format("/mnt/{}", i), .reason = "Full"});
  const auto read = read_again(sent);
  CHECK(read.events.back().sequence == 250);
  CHECK(read.conditions.at(0).message.ends_with("…"));
  CHECK(read.problems.size() > 100);
  CHECK(read.lost == 3 + 250 - read.events.size());
}

TEST_CASE("a long text is cut between two characters") {
  auto sent = report();
  sent.conditions[0].message.clear();
  for (int i = 0; i < 100'000; ++i) sent.conditions[0].message += "ü";
  const auto message = read_again(sent).conditions.at(0).message;
  CHECK(message.size() <= 1024);
  CHECK(message.ends_with("ü…"));
}

TEST_CASE("a figure that is not a number is left out") {
  auto sent = figures();
  sent.sync_p99_seconds["/broken"] = std::numeric_limits<double>::quiet_NaN();
  const auto read = halves::decode_from_root(text(sent));
  REQUIRE(read);
  CHECK(std::get<Figures>(*read).sync_p99_seconds.size() == 1);
}
