// Work that depends on other work, done side by side. Private to this room.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/base/result.hpp"

namespace cloudos::images {

struct Task {
  std::function<Status()> work;
  std::vector<std::size_t> after = {};  // indices of tasks before it in the list
};

// Runs all tasks, at most `threads` at once, earlier ones first. After a failure nothing more is started; what runs is
// waited for. Gives the first error; cancelled when `stop` was requested.
[[nodiscard]] Status run_tasks(const std::vector<Task>& tasks, unsigned threads, const std::stop_token& stop);

}  // namespace cloudos::images
