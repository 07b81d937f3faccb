// Inside agent/nvml's door, too: the library watched from a thread of its own, because a call into a broken driver may never
// return, and the rest of the agent must not wait for it.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "agent/nvml/nvml.hpp"

namespace cloudos::nvml {

struct WatchTiming {
  Milliseconds probe{10'000};      // between two rounds of readings
  Milliseconds inventory{60'000};  // between two looks for what is new: GPUs, MIG instances
  Milliseconds retry{10'000};      // between two tries to open the library at first; doubles to six times as much
};

// What is new since it was last asked. Bounded: readings are the last ones, Xids at most 256.
struct News {
  std::optional<Inventory> inventory;  // when it is another than before
  std::vector<std::string> skipped;    // GPUs that were counted and could not be looked at, in words
  std::filesystem::path folder;        // of the driver's libraries
  std::vector<Reading> readings;       // empty: no round was made since
  std::vector<Xid> xids;
  std::optional<Error> missing;  // the library or its driver is not there (any more); readings go on when it comes (back)
};

class Watch {
 public:
  using Clock = std::chrono::steady_clock;
  // `path` as Library::open has it. Errors: io.
  static Result<Watch> start(const std::filesystem::path& path, const WatchTiming& timing);
  // Waits a moment for the thread; one that hangs in the driver is left behind.
  ~Watch();
  Watch(Watch&&) noexcept;
  Watch& operator=(Watch&&) noexcept;

  // Readable when there are news (eventfd(2)); take() makes it quiet again.
  [[nodiscard]] int fd() const;
  [[nodiscard]] News take();
  // When the library last came back from a call. A driver that hangs shows as a growing age.
  [[nodiscard]] Clock::time_point last_answer() const;

 private:
  struct Shared;
  explicit Watch(std::shared_ptr<Shared> shared);
  std::shared_ptr<Shared> shared_;
};

}  // namespace cloudos::nvml
