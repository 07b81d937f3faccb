// What core/os/bus promises, on a systemd that runs: a program of its own, without libraries, that a machine test carries to a machine.
#include "core/os/bus/bus.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <chrono>
#include <cstdlib>

#include "core/os/file/file.hpp"

using namespace cloudos;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
namespace fs = std::filesystem;

namespace {

os::Systemd connected() {
  auto systemd = os::Systemd::connect();
  INFO((systemd ? std::string() : systemd.error().text()));
  REQUIRE(systemd);
  return std::move(*systemd);
}

// A unit file that is there for one test.
class UnitFile {
 public:
  UnitFile(os::Systemd& systemd, std::string name, const std::string& text) : systemd_(systemd), name_(std::move(name)) {
    REQUIRE(os::write_atomic(path(), text, 0644));
    REQUIRE(systemd_.daemon_reload());
  }
  ~UnitFile() {
    (void)systemd_.stop(name_, in(10s));
    (void)systemd_.disable(name_);
    (void)systemd_.reset_failed(name_);
    std::error_code ignored;
    fs::remove(path(), ignored);
    (void)systemd_.daemon_reload();
  }
  UnitFile(const UnitFile&) = delete;
  UnitFile& operator=(const UnitFile&) = delete;
  [[nodiscard]] fs::path path() const { return fs::path("/run/systemd/system") / name_; }

 private:
  os::Systemd& systemd_;
  std::string name_;
};

std::string all_of(int fd) {
  std::string out;
  std::array<char, 4096> buffer{};
  for (ssize_t n = 0; (n = ::read(fd, buffer.data(), buffer.size())) > 0;) out.append(buffer.data(), static_cast<std::size_t>(n));
  return out;
}

}  // namespace

TEST_CASE("A unit that is not there is so said, and needs no stopping, disabling or forgiving") {
  auto systemd = connected();
  const auto state = systemd.state("cloudos-test-none.service");
  REQUIRE(state);
  CHECK(state->load == "not-found");
  CHECK(state->active == "inactive");
  CHECK(systemd.stop("cloudos-test-none.service", in(10s)));
  CHECK(systemd.disable("cloudos-test-none.service"));
  CHECK(systemd.reset_failed("cloudos-test-none.service"));
  const auto start = systemd.start("cloudos-test-none.service", in(10s));
  REQUIRE_FALSE(start);
  CHECK_THAT(start.error().message, ContainsSubstring("start cloudos-test-none.service") && ContainsSubstring("not found"));
}

TEST_CASE("A service is started, told of, restarted and stopped, each when it is done") {
  auto systemd = connected();
  const std::string name = "cloudos-test-run.service";
  const UnitFile file(systemd, name, "[Service]\nExecStart=/bin/sleep 600\n[Install]\nWantedBy=multi-user.target\n");
  REQUIRE(systemd.start(name, in(10s)));
  const auto first = systemd.state(name);
  REQUIRE(first);
  CHECK(first->load == "loaded");
  CHECK(first->active == "active");
  CHECK(first->sub == "running");
  CHECK(first->file_state == "disabled");
  CHECK(first->main_pid > 1);
  CHECK(first->active_since_us > 1'600'000'000'000'000);
  CHECK_FALSE(first->needs_reload);
  REQUIRE(systemd.restart(name, in(10s)));
  CHECK(systemd.state(name)->main_pid != first->main_pid);
  REQUIRE(systemd.enable(name));
  REQUIRE(systemd.daemon_reload());
  CHECK(systemd.state(name)->file_state.starts_with("enabled"));
  REQUIRE(systemd.stop(name, in(10s)));
  CHECK(systemd.state(name)->active == "inactive");
  REQUIRE(systemd.disable(name));
  REQUIRE(systemd.daemon_reload());
  CHECK(systemd.state(name)->file_state == "disabled");
}

TEST_CASE("A unit file that changed on disk is noticed") {
  auto systemd = connected();
  const std::string name = "cloudos-test-changed.service";
  const UnitFile file(systemd, name, "[Service]\nExecStart=/bin/sleep 600\n");
  REQUIRE(systemd.start(name, in(10s)));
  fs::last_write_time(file.path(), fs::file_time_type::clock::now() + 1h);
  CHECK(systemd.state(name)->needs_reload);
  REQUIRE(systemd.daemon_reload());
  CHECK_FALSE(systemd.state(name)->needs_reload);
}

TEST_CASE("A service that fails to start is an error with the job's and the service's result") {
  auto systemd = connected();
  const std::string name = "cloudos-test-fails.service";
  const UnitFile file(systemd, name, "[Service]\nType=oneshot\nExecStart=/bin/false\n");
  const auto start = systemd.start(name, in(10s));
  REQUIRE_FALSE(start);
  CHECK(start.error().kind == ErrorKind::failed);
  CHECK_THAT(start.error().text(), ContainsSubstring(name) && ContainsSubstring("'failed'") && ContainsSubstring("'exit-code'") &&
                                       ContainsSubstring("journalctl -u"));
  CHECK(systemd.state(name)->active == "failed");
  REQUIRE(systemd.reset_failed(name));
  CHECK(systemd.state(name)->active == "inactive");
}

TEST_CASE("A service that never says that it is ready is a timeout at the deadline") {
  auto systemd = connected();
  const std::string name = "cloudos-test-slow.service";
  const UnitFile file(systemd, name, "[Service]\nType=notify\nExecStart=/bin/sleep 600\n");
  const auto begin = std::chrono::steady_clock::now();
  const auto start = systemd.start(name, in(1s));
  REQUIRE_FALSE(start);
  CHECK(start.error().kind == ErrorKind::timeout);
  CHECK(std::chrono::steady_clock::now() - begin < 5s);
}

TEST_CASE("A transient unit gets its streams and environment, and nothing is left of it") {
  auto systemd = connected();
  const os::Fd request(::memfd_create("request", MFD_CLOEXEC));
  const std::string_view text = "the request\n";
  REQUIRE(::write(request.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  REQUIRE(::lseek(request.get(), 0, SEEK_SET) == 0);
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  const os::Fd reader(ends[0]);
  os::Fd writer(ends[1]);
  REQUIRE(
      systemd.start_transient({.name = "cloudos-test-transient.service",
                               .description = "A test of cloudos",
                               .command = {"/bin/sh", "-c", "cat; echo \"$GREETING $1 $2\"; exit 3", "sh", "two words", "$it's ${A} $$ %n"},
                               .stdin_fd = request.get(),
                               .stdout_fd = writer.get(),
                               .environment = {"GREETING=hello there"}},
                              in(10s)));
  writer.reset();
  CHECK(all_of(reader.get()) == "the request\nhello there two words $it's ${A} $$ %n\n");
  for (int i = 0; i < 100 && !systemd.list_units("cloudos-test-transient*")->empty(); ++i) ::usleep(20'000);
  CHECK(systemd.list_units("cloudos-test-transient*")->empty());
}

TEST_CASE("A transient unit's name is taken while it runs") {
  auto systemd = connected();
  const os::TransientUnit unit{.name = "cloudos-test-twice.service", .description = "A test of cloudos", .command = {"/bin/sleep", "600"}};
  REQUIRE(systemd.start_transient(unit, in(10s)));
  CHECK(*systemd.list_units("cloudos-test-tw*") == std::vector<std::string>{"cloudos-test-twice.service"});
  const auto again = systemd.start_transient(unit, in(10s));
  REQUIRE_FALSE(again);
  CHECK(again.error().kind == ErrorKind::conflict);
  REQUIRE(systemd.stop(unit.name, in(10s)));
  CHECK(systemd.list_units("cloudos-test-twice*")->empty());
  CHECK_FALSE(systemd.start_transient({.name = "cloudos-test-relative.service", .command = {"sleep"}}, in(10s)));
}
