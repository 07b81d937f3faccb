#include <catch2/catch_test_macros.hpp>

#include <format>
#include <thread>

#include "core/os/file/file.hpp"
#include "core/os/process/process.hpp"

using namespace cloudos;

TEST_CASE("A request to stop ends a command and all that it started") {
  std::stop_source stop;
  const auto start = std::chrono::steady_clock::now();
  std::string said;
  std::jthread requester;
  os::RunOptions options{.stdout_sink = [&](std::span<const std::byte> bytes) -> Status {
    CLOUDOS_TRY(into(said)(bytes));
    if (!requester.joinable()) requester = std::jthread([&] { stop.request_stop(); });
    return {};
  }};
  options.stop = stop.get_token();
  const auto exit = os::run({"sh", "-c", "sleep 60 & echo $!; wait"}, std::move(options));
  REQUIRE_FALSE(exit);
  CHECK(exit.error().kind == ErrorKind::cancelled);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(30));
  REQUIRE(!said.empty());
  // Gone, or dead and waiting for its new parent to take notice; a kill is heard when its target next gets a core.
  const auto over = [&] {
    const auto status = os::read_if_any(std::format("/proc/{}/status", std::stoi(said)));
    return status && (!*status || (*status)->contains("State:\tZ") || (*status)->contains("State:\tX"));
  };
  for (int i = 0; i < 1000 && !over(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(over());
}

TEST_CASE("A request to stop that came before the command was started is heard too") {
  std::stop_source stop;
  stop.request_stop();
  os::RunOptions options;
  options.stop = stop.get_token();
  const auto exit = os::run({"sleep", "60"}, std::move(options));
  REQUIRE_FALSE(exit);
  CHECK(exit.error().kind == ErrorKind::cancelled);
}

TEST_CASE("A command that is not stopped ends as ever") {
  std::stop_source stop;
  os::RunOptions options;
  options.stop = stop.get_token();
  const auto exit = os::run({"true"}, std::move(options));
  REQUIRE(exit);
  CHECK(exit->ok());
}
