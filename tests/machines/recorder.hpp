// What a machine's kernel says it uses, written down over and over while something else is measured. Read here from the files
// themselves, by a shell on the machine, and with nothing of the agent's.
#pragma once

#include <cstdint>
#include <future>
#include <vector>

#include "tests/machines/machines.hpp"

namespace cloudos::machines {

class Recorder {
 public:
  // Begins; the shell that does it keeps a CPU busy, so that there is something to count.
  Recorder(const Sandbox& sandbox, Machine machine);
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  void stop();
  // CPU time between two moments (microseconds of CLOCK_REALTIME), in microseconds; required to have been recorded.
  [[nodiscard]] double cpu_us(std::int64_t from_us, std::int64_t to_us) const;
  // The least and the most memory in use that was seen around a moment.
  struct Range {
    double least = 0, most = 0;
  };
  [[nodiscard]] Range memory(std::int64_t at_us) const;

 private:
  struct Point {
    double at_us = 0, value = 0;
  };
  [[nodiscard]] double time_at(double at_us) const;
  const Sandbox& sandbox_;
  Machine machine_;
  std::future<Ran> running_;
  std::vector<Point> time_, memory_;
};

}  // namespace cloudos::machines
