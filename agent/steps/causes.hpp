// From what the logs say to what is likely wrong and what to do: pure, so that every rule is tested with a real log line.
#pragma once

#include <string>
#include <string_view>

namespace cloudos::steps {

struct Diagnosis {
  std::string cause, hint;  // both "" when nothing is known
  bool symptom = false;     // only that something did not answer: whatever else is known says more
};
// Looks for the known signs, the most telling first, in everything that a failed step left: its message, its command's
// output, the logs.
[[nodiscard]] Diagnosis likely_cause(std::string_view text);

}  // namespace cloudos::steps
