#include <catch2/catch_test_macros.hpp>
#include <condition_variable>
#include <map>
#include <mutex>

#include "agent/metrics/spaces.hpp"
#include "core/os/file/file.hpp"
#include "tests/unit/metrics/server.hpp"

using namespace cloudos;
using namespace cloudos::test;
using metrics::Spaces;

namespace {

// File systems that hang when asked for as long as the test wants. Threads that are stuck hold on to it.
class Kernel {
 public:
  int ask(const std::string& path, struct statvfs& out) {
    std::unique_lock lock(mutex_);
    ++asked_[path];
    changed_.wait(lock, [&] { return !hanging_.contains(path); });
    ++answered_;
    changed_.notify_all();
    out.f_blocks = 1, out.f_frsize = 4096;
    return 0;
  }
  void hang(const std::string& path) {
    const std::scoped_lock lock(mutex_);
    hanging_.insert(path);
  }
  // Lets all go on, and waits until so many calls in all were answered.
  void recover(int answered) {
    std::unique_lock lock(mutex_);
    hanging_.clear();
    changed_.notify_all();
    changed_.wait(lock, [&] { return answered_ >= answered; });
  }
  int asked(const std::string& path) {
    const std::scoped_lock lock(mutex_);
    return asked_[path];
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string> hanging_;
  std::map<std::string, int> asked_;
  int answered_ = 0;
};

Spaces::Ask through(const std::shared_ptr<Kernel>& kernel) {
  return [kernel](const std::string& path, struct statvfs& out) { return kernel->ask(path, out); };
}

std::vector<bool> answered(const std::vector<Spaces::Answer>& answers) {
  std::vector<bool> out;
  for (const auto& answer : answers) out.push_back(answer.answered);
  return out;
}

constexpr Milliseconds patience{50};

}  // namespace

TEST_CASE("a scrape with a hanging mount still gives all else") {
  const Server server;
  const auto kernel = std::make_shared<Kernel>();
  const auto hung = (server.root() / "mnt/nfs").string();
  kernel->hang(hung);
  auto options = server.options();
  options.statvfs = through(kernel);
  options.patience = patience;
  metrics::Collectors collectors(options);
  const auto text = collectors.render({});
  CHECK(line(text, "node_filesystem_device_error{device=\"server:/export\"") ==
        "node_filesystem_device_error{device=\"server:/export\",mountpoint=\"/mnt/nfs\",fstype=\"nfs4\",device_error=\"mountpoint "
        "timeout\"} 1");
  CHECK(lines(text, "node_filesystem_size_bytes{device=\"server:/export\"").empty());
  CHECK(lines(text, "node_filesystem_size_bytes{").size() == 4);  // also of those that come after it
  CHECK(lines(text, "node_cpu_seconds_total{").size() == 16);
  CHECK(line(text, "node_scrape_collector_success{collector=\"filesystem\"}").ends_with(" 1"));
  kernel->recover(5);
}

TEST_CASE("a mount that hangs is asked again only when its call has returned") {
  const auto kernel = std::make_shared<Kernel>();
  kernel->hang("/nfs");
  Spaces spaces(through(kernel), patience);
  const std::vector<Spaces::Question> questions = {{"/nfs", true}, {"/", false}};
  for (int i = 0; i < 3; ++i) CHECK(answered(spaces.ask(questions)) == std::vector{false, true});
  CHECK(kernel->asked("/nfs") == 1);
  CHECK(kernel->asked("/") == 3);
  kernel->recover(4);
  // The thread that was stuck says that it is no more right after the call; ask until it has.
  while (!spaces.ask(questions)[0].answered) {}
  CHECK(kernel->asked("/nfs") == 2);
}

TEST_CASE("however many mounts hang, only so many threads wait for them") {
  const auto kernel = std::make_shared<Kernel>();
  std::vector<Spaces::Question> questions;
  for (int i = 0; i < 10; ++i) {
    questions.push_back({"/nfs" + std::to_string(i), true});
    kernel->hang(questions.back().path);
  }
  questions.push_back({"/", false});
  Spaces spaces(through(kernel), patience);
  const auto stuck = [&] {
    int count = 0;
    for (int i = 0; i < 10; ++i) count += kernel->asked("/nfs" + std::to_string(i));
    return count;
  };
  for (int i = 0; i < 4; ++i) static_cast<void>(spaces.ask(questions));
  CHECK(stuck() == static_cast<int>(Spaces::most_stuck));
  // Those of this machine are asked all the same.
  CHECK(spaces.ask(questions).back().answered);
  // Unless one of them hangs as well: then nobody is asked before something comes back.
  kernel->hang("/dead");
  CHECK(answered(spaces.ask({{"/dead", false}})) == std::vector{false});
  CHECK(answered(spaces.ask({{"/", false}, {"/home", false}})) == std::vector{false, false});
  CHECK(kernel->asked("/home") == 0);
  kernel->recover(5);
  while (!spaces.ask(questions)[0].answered) {}
}

TEST_CASE("a file system that cannot be asked says why") {
  const Server server;
  auto options = server.options();
  options.statvfs = [](const std::string& path, struct statvfs& out) {
    out = {};
    return path.ends_with("/mnt/nfs") ? ESTALE : EACCES;
  };
  metrics::Collectors collectors(options);
  const auto text = collectors.render({});
  CHECK(line(text, "node_filesystem_device_error{device=\"server:/export\"").ends_with("device_error=\"stale file handle\"} 1"));
  CHECK(line(text, "node_filesystem_device_error{device=\"/dev/sda1\"").ends_with("device_error=\"permission denied\"} 1"));
  CHECK(lines(text, "node_filesystem_size_bytes").empty());
}
