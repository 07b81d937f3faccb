// Inside agent/nvml's door, too: the library asked once, from a thread of its own, by whoever does not stay to watch.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/nvml/nvml.hpp"

namespace cloudos::nvml {

struct Answer {
  Inventory inventory;
  std::vector<std::string> skipped;  // GPUs that were counted and could not be looked at, in words
  std::vector<Reading> readings;     // one of each GPU, in the inventory's order
};

class Question {
 public:
  // Begins to ask. `path` as Library::open has it. Errors: io.
  static Result<Question> ask(const std::filesystem::path& path);
  ~Question();
  Question(Question&&) noexcept;
  Question& operator=(Question&&) noexcept;

  // The answer, once. Errors: as Library::open and inventory(); timeout: the driver has not answered, and its thread is left behind.
  [[nodiscard]] Result<Answer> wait(Deadline until);

 private:
  struct Shared;
  explicit Question(std::shared_ptr<Shared> shared);
  std::shared_ptr<Shared> shared_;
};

}  // namespace cloudos::nvml
