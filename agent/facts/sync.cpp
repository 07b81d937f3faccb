#include <algorithm>
#include <array>
#include <chrono>
#include <format>

#include <fcntl.h>
#include <unistd.h>

#include "agent/facts/facts.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::facts {

Result<model::HostFacts::SyncLatency> measure_sync(const std::filesystem::path& folder, int writes) {
  using Clock = std::chrono::steady_clock;
  // Without a name nothing is left behind, however this ends (open(2), O_TMPFILE).
  auto fd = os::open(folder, O_TMPFILE | O_WRONLY, 0600);
  if (!fd) return fail(std::move(fd).error().with(std::format("measuring how fast {} makes writes durable", folder.string())));
  const std::array<std::byte, 2300> block{};
  std::vector<std::int64_t> took;
  const auto deadline = Clock::now() + std::chrono::seconds(5);
  for (int i = 0; i < writes && Clock::now() < deadline; ++i) {
    const auto start = Clock::now();
    CLOUDOS_TRY(os::write_all(fd->get(), block));
    if (fdatasync(fd->get()) != 0) return fail_errno("fdatasync in " + folder.string(), errno);
    took.push_back(std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start).count());
  }
  if (took.empty()) return fail(ErrorKind::input, "at least one write is needed to measure");
  std::ranges::sort(took);
  return model::HostFacts::SyncLatency{
      .median_us = took[took.size() / 2], .p99_us = took[(took.size() - 1) * 99 / 100], .writes = static_cast<int>(took.size())};
}

}  // namespace cloudos::facts
