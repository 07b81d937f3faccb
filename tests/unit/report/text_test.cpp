#include <sys/stat.h>

#include <catch2/catch_test_macros.hpp>

#include <cstdlib>
#include <thread>

#include "core/os/file/file.hpp"
#include "installer/report/report.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace cloudos;
using Kind = model::Event::Kind;

namespace {

model::Event failed_step() {
  model::Event event{.kind = Kind::step_failed, .machine = {"10.0.0.4"}, .stage = {"join@10.0.0.4"}, .step = {"kubeadm-join"}};
  event.failure = {.message = "kubeadm did not join",
                   .command = "kubeadm join --config -",
                   .exit = "exit 1",
                   .logs = {"kubelet: cannot find cgroup", "containerd: ready"},
                   .cause = "the cgroup driver differs",
                   .hint = "look at /etc/cloudos/containerd.toml"};
  return event;
}

std::string written_by(const std::function<void(std::FILE*)>& work) {
  char* text = nullptr;
  std::size_t size = 0;
  std::FILE* out = ::open_memstream(&text, &size);
  work(out);
  std::fclose(out);
  std::string result(text, size);
  std::free(text);
  return result;
}

}  // namespace

TEST_CASE("a failed step tells machine, step, command, exit, logs, cause and what to do next") {
  CHECK(report::failure_text(failed_step()) ==
        "10.0.0.4: kubeadm-join failed\n"
        "  what     kubeadm did not join\n"
        "  command  kubeadm join --config -\n"
        "  ended    exit 1\n"
        "  logs\n"
        "    kubelet: cannot find cgroup\n"
        "    containerd: ready\n"
        "  cause    the cgroup driver differs\n"
        "  next     look at /etc/cloudos/containerd.toml\n");
}

TEST_CASE("plain lines hold no colour and no control characters unless colour was asked for") {
  auto event = failed_step();
  event.failure.message = "bad \x1b[31m text";
  CHECK_FALSE(report::line_of(event, {}).contains('\x1b'));
  CHECK(report::line_of(event, {.colour = true}).starts_with("10.0.0.4"));
  CHECK(report::line_of(event, {.colour = true}).contains("\x1b[31mkubeadm-join FAILED: bad \\x1b[31m text\x1b[0m"));
}

TEST_CASE("--quiet keeps failures and findings and drops the rest") {
  const report::PlainOptions quiet{.quiet = true};
  CHECK(report::line_of({.kind = Kind::note, .text = "hello"}, quiet).empty());
  CHECK(report::line_of({.kind = Kind::run_done, .machine = {"a"}, .text = "images"}, quiet).empty());
  CHECK_FALSE(report::line_of(failed_step(), quiet).empty());
  CHECK_FALSE(report::line_of({.kind = Kind::finding, .machine = {"a"}, .text = "left: /x"}, quiet).empty());
}

TEST_CASE("the end of a stage says what was applied, or that nothing was to be done") {
  model::Event done{.kind = Kind::run_done, .machine = {"10.0.0.4"}, .text = "images"};
  done.outputs = {{"applied", "3"}, {"satisfied", "9"}};
  CHECK(report::line_of(done, {}) == "10.0.0.4         images: done, 3 applied, 9 were right already");
  done.outputs = {{"applied", "0"}, {"satisfied", "12"}};
  CHECK(report::line_of(done, {}) == "10.0.0.4         images: nothing to do (12 checked)");
}

TEST_CASE("--json gives each event as one line that the records' own reader takes back") {
  const auto text = written_by([](std::FILE* out) {
    const auto listener = report::json_lines(out);
    listener->on(failed_step());
    listener->on({.kind = Kind::note, .text = "two\nlines"});
  });
  REQUIRE(std::count(text.begin(), text.end(), '\n') == 2);
  const auto first = model::decode_event(text.substr(0, text.find('\n')));
  REQUIRE(first);
  CHECK(*first == failed_step());
}

TEST_CASE("the log file and its folder are for the operator's eyes only") {
  const test::TemporaryFolder folder;
  const auto path = folder / "state" / "logs" / "x.log";
  const auto log = report::LogFile::open(path);
  REQUIRE(log);
  (*log)->on(failed_step());
  (*log)->debug("a line of {}", "ssh");
  (*log)->flush();
  struct stat status{};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  REQUIRE(::stat(path.parent_path().c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0700);
  const auto text = os::read(path);
  REQUIRE(text);
  CHECK(text->contains("kubeadm did not join"));
  CHECK(text->contains("a line of ssh"));
}

TEST_CASE("a log file that cannot be made is an error that names it") {
  const auto log = report::LogFile::open("/proc/none/x.log");
  REQUIRE_FALSE(log);
  CHECK(log.error().text().contains("/proc/none"));
}

TEST_CASE("events from many threads reach every listener one at a time") {
  struct Counter final : report::Listener {
    explicit Counter(int& seen) : seen_(seen) {}
    void on(const model::Event&) override { ++seen_; }
    int& seen_;
  };
  int seen = 0;
  report::Listeners listeners;
  listeners.add(std::make_unique<Counter>(seen));
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i)
      threads.emplace_back([&] {
        for (int n = 0; n < 500; ++n) listeners.on({.kind = Kind::note});
      });
  }
  CHECK(seen == 4000);
}

TEST_CASE("the live view leaves a tidy terminal: what was said stays, the block ends with a newline") {
  const auto text = written_by([](std::FILE* out) {
    const auto view = report::live(out, {{"10.0.0.4"}}, false);
    view->on(failed_step());
    view->rest();
  });
  CHECK(text.contains("kubeadm-join FAILED: kubeadm did not join\n"));
  CHECK(text.ends_with("\n"));
  CHECK_FALSE(text.contains("\x1b[?25l"));
}
