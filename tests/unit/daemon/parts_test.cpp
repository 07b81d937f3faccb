// The parts of the two halves that need no systemd, no kubelet and no API server.
#include <catch2/catch_test_macros.hpp>

#include <sys/stat.h>

#include <condition_variable>
#include <fstream>
#include <mutex>

#include "agent/daemon/root/certificates.hpp"
#include "agent/daemon/root/credential.hpp"
#include "agent/daemon/root/eyes.hpp"
#include "agent/daemon/root/gpus.hpp"
#include "agent/daemon/root/outbox.hpp"
#include "agent/daemon/root/worker.hpp"
#include "agent/daemon/watched_settings.hpp"
#include "agent/http/http.hpp"
#include "core/os/crypto/crypto.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace cloudos;
using namespace cloudos::daemon;
namespace fs = std::filesystem;

namespace {

void put(const fs::path& file, std::string_view text) {
  fs::create_directories(file.parent_path());
  std::ofstream(file) << text;
}

// Rounds of the loop until it is so; the loop itself waits.
bool goes_until(loop::Loop& loop, const std::function<bool()>& so) {
  for (int i = 0; i < 200 && !so(); ++i) REQUIRE(loop.step(Milliseconds{100}));
  return so();
}

const Membership member{.node = "n1", .role = "node", .address = "10.0.0.4"};

}  // namespace

TEST_CASE("what a machine belongs to is read as the install wrote it, and what is missing in it is named") {
  const test::TemporaryFolder folder;
  const auto file = folder.path() / "cluster.json";
  CHECK(read_membership(file).error().kind == ErrorKind::io);
  put(file, R"({"schema":1,"cluster_id":"x","role":"master","node":"m1","address":"10.0.0.1"})");
  const auto read = read_membership(file);
  REQUIRE(read);
  CHECK(read->node == "m1");
  CHECK(read->role == "master");
  CHECK(read->address == "10.0.0.1");
  put(file, R"({"role":"master","node":7})");
  CHECK(read_membership(file).error().message.contains("\"node\""));
  put(file, "[]");
  CHECK(read_membership(file).error().kind == ErrorKind::input);
}

TEST_CASE("certificates are asked for once, and again when a file has changed") {
  const test::TemporaryFolder folder;
  const auto file = (folder.path() / "a.crt").string();
  put(file, os::make_identity("n1", {"10.0.0.4"}).value().certificate);
  CertificateDates dates(CLOUDOS_AGENT, {file, (folder.path() / "none.crt").string()});
  const auto first = dates.look();
  REQUIRE(first);
  REQUIRE(*first);
  REQUIRE((*first)->size() == 1);
  CHECK((*first)->front().path == file);
  CHECK((*first)->front().expires_s == os::expiry(os::read(file).value()).value());
  put(file, "nothing");
  const auto second = dates.look();
  REQUIRE(second);
  REQUIRE(*second);
  CHECK((*second)->empty());
}

TEST_CASE("that nobody can be asked for certificates is said once, and again when a file has changed") {
  const test::TemporaryFolder folder;
  const auto file = (folder.path() / "a.crt").string();
  put(file, "one");
  CertificateDates nobody((folder.path() / "no-program").string(), {file});
  CHECK_FALSE(nobody.look());
  const auto again = nobody.look();
  REQUIRE(again);
  CHECK_FALSE(again->has_value());
  put(file, "another");
  CHECK_FALSE(nobody.look());
}

TEST_CASE("kubelet's certificate and key, which stand in one file, are told apart") {
  const test::TemporaryFolder folder;
  const auto made = os::make_identity("n1", {"10.0.0.4"});
  REQUIRE(made);
  const Certificates from{.kubelet = folder.path() / "pki", .ca = folder.path() / "ca.crt", .identity = folder.path() / "identity"};
  put(from.ca, made->certificate);
  CHECK(read_credential(member, from).error().kind == ErrorKind::io);
  put(from.kubelet / "kubelet-client-current.pem", made->certificate + std::string(made->key.reveal()));
  put(from.kubelet / "kubelet.crt", made->certificate);
  put(from.kubelet / "kubelet.key", made->key.reveal());
  REQUIRE(keep_identity(CLOUDOS_AGENT, member.node, member.address, from.identity));
  const auto read = read_credential(member, from);
  REQUIRE(read);
  CHECK_FALSE(read->certificate.contains("PRIVATE"));
  CHECK(read->key.reveal().contains("PRIVATE KEY"));
  CHECK_FALSE(read->key.reveal().contains("BEGIN CERTIFICATE"));
  CHECK(os::spki_hash(read->certificate).value() == os::spki_hash(made->certificate).value());
  CHECK(read->serving_key.reveal().contains("PRIVATE KEY"));
  CHECK(os::spki_hash(read->store_certificate).value() == keep_identity(CLOUDOS_AGENT, member.node, member.address, from.identity).value());
  CHECK(read->server == "https://127.0.0.1:7443");
  put(from.kubelet / "kubelet-client-current.pem", made->certificate);
  CHECK(read_credential(member, from).error().message.contains("no private key"));
}

TEST_CASE("pods are known by their log folders") {
  const test::TemporaryFolder folder;
  fs::create_directories(folder.path() / "kube-system_flannel-x7_0b1c");
  fs::create_directories(folder.path() / "something else");
  CHECK(pods_in(folder.path()) == std::map<std::string, std::string>{{"0b1c", "kube-system/flannel-x7"}});
  CHECK(pods_in(folder.path() / "none").empty());
}

TEST_CASE("what the root half has to say is kept until it is written, and never more than 256 of it") {
  Outbox outbox("e1");
  for (int i = 0; i < 300; ++i) outbox.add({.reason = "R", .message = std::to_string(i), .pod = {}});
  CHECK(outbox.report().events.size() == 256);
  CHECK(outbox.report().lost == 44);
  CHECK(outbox.report().events.front().sequence == 45);
  outbox.delivered({.epoch = "another", .sequence = 300});
  CHECK(outbox.report().events.size() == 256);
  outbox.delivered({.epoch = "e1", .sequence = 299});
  REQUIRE(outbox.report().events.size() == 1);
  CHECK(outbox.report().events.front().sequence == 300);
}

TEST_CASE("settings are read again when the file changes, and a bad file is told and changes nothing") {
  const test::TemporaryFolder folder;
  const auto file = folder.path() / "agent.toml";
  auto loop = loop::Loop::make();
  REQUIRE(loop);
  WatchedSettings watched(*loop, file);
  std::vector<std::uint16_t> ports;
  std::vector<std::string> faults;
  watched.watch([&](const settings::Settings& fresh) { ports.push_back(fresh.metrics.port); },
                [&](const std::string& why) { faults.push_back(why); });
  CHECK(ports == std::vector<std::uint16_t>{9633});
  put(file, "[metrics]\nport = 9700\n");
  CHECK(goes_until(*loop, [&] { return ports.size() >= 2; }));
  CHECK(ports.back() == 9700);
  put(file, "[metrics]\nprot = 9701\n");
  CHECK(goes_until(*loop, [&] { return !faults.empty(); }));
  CHECK(faults.front().contains("prot"));
  CHECK(ports.back() == 9700);
}

TEST_CASE("a job that hangs holds up neither the loop nor other workers, nor the end") {
  auto loop = loop::Loop::make();
  REQUIRE(loop);
  struct Gate {
    std::mutex mutex;
    std::condition_variable opened;
    bool open = false;
  };
  const auto gate = std::make_shared<Gate>();
  auto hangs = Worker::start(*loop);
  auto works = Worker::start(*loop);
  REQUIRE(hangs);
  REQUIRE(works);
  bool never = false, done = false;
  hangs->run([gate, &never] {
    std::unique_lock lock(gate->mutex);
    gate->opened.wait(lock, [&] { return gate->open; });
    return [&never] { never = true; };
  });
  works->run([&done] { return [&done] { done = true; }; });
  CHECK(goes_until(*loop, [&] { return done; }));
  CHECK(hangs->busy());
  CHECK_FALSE(never);
  { const auto gone = std::move(*hangs); }
  const std::scoped_lock lock(gate->mutex);
  gate->open = true;
  gate->opened.notify_all();
}

TEST_CASE("one cause: the plugin's word on a GPU is what health is told") {
  devices::CardState card;
  card.uuid = "GPU-1";
  card.address = "0000:18:00.0";
  card.healthy = false;
  card.cause = "Xid 79: the GPU has fallen off the bus";
  card.remedy = xid::Remedy::restart;
  const auto seen = sample_of({card});
  REQUIRE(seen.size() == 1);
  CHECK_FALSE(seen.front().healthy);
  CHECK(seen.front().cause == card.cause);
  CHECK(seen.front().remedy == xid::Remedy::restart);
}
