#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/model/event.hpp"

namespace cloudos::report {

// What the live view shows, as a value: events go in, lines come out. Knows no terminal and no clock.
class Screen {
 public:
  using Time = std::chrono::steady_clock::time_point;
  explicit Screen(std::vector<MachineId> machines, std::map<StepId, std::string> steps = {});

  void on(const model::Event& event, Time now);
  // A line a machine, none wider than `width` columns and not more than `height` of them: when there are more machines,
  // those at work come first and a last line counts the others.
  [[nodiscard]] std::vector<std::string> lines(std::size_t width, std::size_t height, bool colour, Time now) const;

 private:
  enum class State { waiting, working, done, failed };
  struct Row {
    MachineId machine;
    State state = State::waiting;
    std::string stage, step;
    std::string moving;  // what the bytes are of, "" when nothing is on its way
    std::uint64_t done = 0, total = 0;
    Time since{};
  };
  [[nodiscard]] static std::string line(const Row& row, std::size_t name_width, std::size_t width, bool colour, Time now);
  std::vector<Row> rows_;
  std::map<StepId, std::string> steps_;
};

// The first `width` columns of UTF-8 text, with "…" where something was left out. Counts a code point as a column.
[[nodiscard]] std::string clip(std::string_view text, std::size_t width);

}  // namespace cloudos::report
