// Inside agent/metrics: how full file systems are, asked so that one that hangs keeps nobody waiting. Calls run in threads that
// nobody joins; the one that is stuck in a call is left there, and its mount is not asked again before that call returns.
#pragma once

#include <sys/statvfs.h>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/units.hpp"

namespace cloudos::metrics {

class Spaces {
 public:
  using Ask = std::function<int(const std::string& path, struct statvfs& out)>;
  struct Question {
    std::string path;
    bool network = false;  // it hangs when a server somewhere does
  };
  struct Answer {
    bool answered = false;  // or it hangs
    int error = 0;
    struct statvfs space{};
  };
  // Threads that may be stuck at once. Then file systems over the network are not asked any more; one more thread is for the
  // others, and when that is stuck too nobody is asked.
  static constexpr std::size_t most_stuck = 4;

  Spaces(Ask ask, Milliseconds patience);
  // One answer a question, within `patience` in all; one file system may take a fifth of it.
  [[nodiscard]] std::vector<Answer> ask(std::vector<Question> questions);

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
  Milliseconds patience_;
};

}  // namespace cloudos::metrics
