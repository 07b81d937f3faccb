#include <sys/stat.h>

#include <catch2/catch_test_macros.hpp>

#include "agent/steps/journal.hpp"
#include "core/os/crypto/crypto.hpp"
#include "tests/unit/steps/fakes.hpp"

using namespace cloudos;
using namespace cloudos::test;
using Kind = model::Event::Kind;
namespace fs = std::filesystem;

namespace {

unsigned mode_of(const fs::path& path) {
  struct stat s{};
  REQUIRE(::lstat(path.c_str(), &s) == 0);
  return s.st_mode & 07777;
}

std::vector<model::JournalRecord> journal_of(const Machine& m) {
  auto journal = steps::Journal::read(m.at(paths::journal));
  REQUIRE(journal);
  return journal->records();
}

model::ApplyRequest some_files() {
  return request({step("folder:/etc/cloudos", model::Folder{"/etc/cloudos", 0750}),
                  step("file:/etc/cloudos/a", model::WriteFile{"/etc/cloudos/a", 0600, "ours\n"}),
                  step("file:/etc/hosts", model::WriteFile{"/etc/hosts", 0644, "127.0.0.1 localhost\n10.0.0.1 m1\n"}),
                  step("link", model::Symlink{"/usr/local/bin/kubectl", "/var/lib/cloudos/current/bin/kubectl", true})});
}

}  // namespace

TEST_CASE("steps that are applied hold, are in the journal, and are not done again") {
  Machine m;
  m.put("/etc/hosts", "127.0.0.1 localhost\n");
  fs::create_directories(m.at("/usr/local/bin"));
  REQUIRE(m.apply(some_files()));
  CHECK(m.get("/etc/cloudos/a") == "ours\n");
  CHECK(mode_of(m.at("/etc/cloudos/a")) == 0600);
  CHECK(mode_of(m.at("/etc/cloudos")) == 0750);
  CHECK(m.events.back().outputs.at("applied") == "4");
  const auto records = journal_of(m);
  REQUIRE(records.size() == 8);
  CHECK(records[0].state == "intent");
  CHECK(records[1].state == "done");

  REQUIRE(m.apply(some_files()));
  CHECK(m.events.back().outputs.at("applied") == "0");
  CHECK(m.events.back().outputs.at("satisfied") == "4");
  CHECK(journal_of(m).size() == 8);
}

TEST_CASE("events are numbered from 1 without gaps and end with the run's end") {
  Machine m;
  REQUIRE(m.apply(some_files()));
  for (std::size_t i = 0; i < m.events.size(); ++i) CHECK(m.events[i].sequence == i + 1);
  CHECK(m.events.front().kind == Kind::run_started);
  CHECK(m.events.back().kind == Kind::run_done);
}

TEST_CASE("a check-only run says what would be done and changes nothing") {
  Machine m;
  auto r = some_files();
  r.check_only = true;
  REQUIRE(m.apply(r));
  CHECK(m.count(Kind::step_needed) == 4);
  CHECK(fs::is_empty(m.folder.path()));
}

TEST_CASE("undo gives every file, link, folder and mode back as it was") {
  Machine m;
  m.put("/etc/hosts", "127.0.0.1 localhost\n");
  ::chmod(m.at("/etc/hosts").c_str(), 0640);
  REQUIRE(m.apply(some_files()));
  auto second = some_files();
  std::get<model::WriteFile>(second.steps[2].action).content = "127.0.0.1 localhost\n10.0.0.1 m1\n10.0.0.2 m2\n";
  REQUIRE(m.apply(second));
  REQUIRE(m.undo());
  CHECK(m.get("/etc/hosts") == "127.0.0.1 localhost\n");
  CHECK(mode_of(m.at("/etc/hosts")) == 0640);
  CHECK_FALSE(m.has("/etc/cloudos"));
  CHECK_FALSE(m.has("/usr/local/bin/kubectl"));
  CHECK_FALSE(m.has(paths::journal));
  CHECK_FALSE(m.has("/run/cloudos"));
  CHECK(m.undo());
}

TEST_CASE("undo leaves a file that somebody changed after us, and says so") {
  Machine m;
  REQUIRE(m.apply(request({step("file:/etc/x", model::WriteFile{"/etc/x", 0644, "ours\n"})})));
  m.put("/etc/x", "ours, and the operator's\n");
  REQUIRE(m.undo());
  CHECK(m.get("/etc/x") == "ours, and the operator's\n");
  bool said = false;
  for (const auto& e : m.events) said = said || (e.kind == Kind::note && e.text.contains("/etc/x"));
  CHECK(said);
}

TEST_CASE("a kubectl that the operator had in the PATH stays, before and after") {
  Machine m;
  m.put("/usr/local/bin/kubectl", "the operator's");
  REQUIRE(m.apply(some_files()));
  CHECK(m.get("/usr/local/bin/kubectl") == "the operator's");
  REQUIRE(m.undo());
  CHECK(m.get("/usr/local/bin/kubectl") == "the operator's");
}

TEST_CASE("a file that is the operator's to edit is laid down once and stays as they left it") {
  Machine m;
  const auto settings = request({step("file:/etc/cloudos/x", model::WriteFile{"/etc/cloudos/x", 0644, "#default\n", true})});
  REQUIRE(m.apply(settings));
  CHECK(m.get("/etc/cloudos/x") == "#default\n");
  m.put("/etc/cloudos/x", "edited\n");
  REQUIRE(m.apply(settings));
  CHECK(m.get("/etc/cloudos/x") == "edited\n");
}

TEST_CASE("a journal that a power cut tore is read up to its last whole line") {
  Machine m;
  REQUIRE(m.apply(request({step("file:/etc/x", model::WriteFile{"/etc/x", 0644, "ours\n"})})));
  std::ofstream(m.at(paths::journal), std::ios::app) << R"({"schema":1,"sequ)";
  REQUIRE(m.apply(request({step("file:/etc/y", model::WriteFile{"/etc/y", 0644, "ours\n"})})));
  const auto records = journal_of(m);
  REQUIRE(records.size() == 4);
  CHECK(records[3].sequence == 4);
  REQUIRE(m.undo());
  CHECK_FALSE(m.has("/etc/x"));
  CHECK_FALSE(m.has("/etc/y"));
}

TEST_CASE("a step that cannot be ends the run with machine-readable failure, and the steps after it are not tried") {
  Machine m;
  fs::create_directories(m.at("/etc/x"));
  REQUIRE_FALSE(
      m.apply(request({step("a", model::WriteFile{"/etc/x", 0644, "ours\n"}), step("b", model::WriteFile{"/etc/y", 0644, "ours\n"})})));
  REQUIRE(m.first(Kind::step_failed) != nullptr);
  CHECK(m.first(Kind::step_failed)->step.value == "a");
  CHECK(m.first(Kind::step_failed)->failure.message.contains("/etc/x"));
  CHECK(m.events.back().kind == Kind::run_failed);
  CHECK_FALSE(m.has("/etc/y"));
}

TEST_CASE("a program is installed from the store with the content that was signed") {
  Machine m;
  const std::string content(2'000'000, 'k');
  std::string stored;
  const auto packed = os::zstd_compress(bytes_of(content), into(stored), 3, 0);
  INFO((packed ? std::string() : packed.error().text()));
  REQUIRE(packed);
  const auto blob = os::sha256(stored);
  m.put(std::string(paths::store) + "/" + blob.hex(), stored);
  const model::InstallFile action{.path = "/var/lib/cloudos/versions/1/bin/kubelet",
                                  .mode = 0755,
                                  .blob = blob,
                                  .stored = "zstd",
                                  .content = os::sha256(content),
                                  .content_size = {content.size()}};
  REQUIRE(m.apply(request({step("install", action)})));
  CHECK(m.get(action.path) == content);
  CHECK(mode_of(m.at(action.path)) == 0755);
  REQUIRE(m.apply(request({step("install", action)})));
  CHECK(m.events.back().outputs.at("applied") == "0");

  SECTION("one that was changed behind our back is put right") {
    m.put(action.path, std::string(2'000'000, 'x'));
    REQUIRE(m.apply(request({step("install", action)})));
    CHECK(m.events.back().outputs.at("applied") == "1");
    CHECK(m.get(action.path) == content);
  }
  SECTION("a blob that the disk damaged is refused, and taken out of the store so that it is sent anew") {
    fs::remove(m.at(action.path));
    stored[stored.size() / 2] = static_cast<char>(~stored[stored.size() / 2]);
    m.put(std::string(paths::store) + "/" + blob.hex(), stored);
    REQUIRE_FALSE(m.apply(request({step("install", action)})));
    CHECK_FALSE(m.has(action.path));
    CHECK_FALSE(m.has(std::string(paths::store) + "/" + blob.hex()));
    CHECK_FALSE(m.first(Kind::step_failed)->failure.hint.empty());
  }
}

TEST_CASE("a unit is read anew only when it changed, and restarted only when what it watches is newer") {
  Machine m;
  const model::Unit unit{.name = "cloudos-x.service", .content = "[Service]\nExecStart=/bin/x\n", .watches = {"/etc/cloudos/x.toml"}};
  m.put("/etc/cloudos/x.toml", "a");
  REQUIRE(m.apply(request({step("unit", unit)})));
  CHECK(m.services.told == std::vector<std::string>{"enable cloudos-x.service", "daemon-reload", "start cloudos-x.service"});
  m.services.told.clear();
  REQUIRE(m.apply(request({step("unit", unit)})));
  CHECK(m.services.told.empty());
  m.services.units["cloudos-x.service"].active_since_us = 1'000'000;
  REQUIRE(m.apply(request({step("unit", unit)})));
  CHECK(m.services.told == std::vector<std::string>{"restart cloudos-x.service"});
  m.services.told.clear();
  REQUIRE(m.undo());
  CHECK_FALSE(m.has("/etc/systemd/system/cloudos-x.service"));
  CHECK(m.services.units["cloudos-x.service"].active == "inactive");
  CHECK(m.services.units["cloudos-x.service"].file_state == "disabled");
}

TEST_CASE("a kernel setting holds now and after a boot, and undo gives the old value back") {
  Machine m;
  m.put("/proc/sys/net/ipv4/ip_forward", "0\n");
  const auto r = request({step("sysctl", model::Sysctl{"net.ipv4.ip_forward", "1"})});
  // A plain file stands in for procfs: it keeps what follows the bytes that were written.
  REQUIRE(m.apply(r));
  CHECK(m.get("/proc/sys/net/ipv4/ip_forward") == "1\n");
  CHECK(m.get("/etc/sysctl.d/90-cloudos-net.ipv4.ip_forward.conf").contains("net.ipv4.ip_forward = 1"));
  REQUIRE(m.undo());
  CHECK(m.get("/proc/sys/net/ipv4/ip_forward") == "0\n");
  CHECK_FALSE(m.has("/etc/sysctl.d/90-cloudos-net.ipv4.ip_forward.conf"));
}

TEST_CASE("of a folder of ours only what is wanted stays, and no other folder is ever swept") {
  Machine m;
  m.put("/var/lib/cloudos/bundles/old/bundle.json", "{}");
  m.put("/var/lib/cloudos/bundles/new/bundle.json", "{}");
  const auto sweep = step("only", model::KeepOnly{"/var/lib/cloudos/bundles", {"new"}});
  REQUIRE(m.apply(request({sweep})));
  CHECK_FALSE(m.has("/var/lib/cloudos/bundles/old"));
  CHECK(m.has("/var/lib/cloudos/bundles/new/bundle.json"));
  REQUIRE(m.apply(request({sweep})));
  CHECK(m.count(model::Event::Kind::step_satisfied) == 1);
  m.put("/home/someone/letter", "dear");
  for (const auto* path : {"/home/someone", "/var/lib/cloudos/../../../home/someone"}) {
    CHECK_FALSE(m.apply(request({step("other", model::KeepOnly{path, {}})})));
    CHECK(m.has("/home/someone/letter"));
  }
}
