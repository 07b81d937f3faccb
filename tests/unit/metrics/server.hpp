// A machine to look at: fixtures/server.tree laid into a folder of the test.
#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "agent/metrics/metrics.hpp"
#include "tests/support/temporary_folder.hpp"

namespace cloudos::test {

class Server {
 public:
  Server();
  [[nodiscard]] const std::filesystem::path& root() const { return folder_.path(); }
  // Looks at it; its file systems say that they have 1000 blocks of 4096 bytes unless `statvfs` says otherwise.
  [[nodiscard]] metrics::Options options() const;

 private:
  TemporaryFolder folder_;
};

// What the root half could say of a machine with two GPUs.
[[nodiscard]] halves::Report a_report();
[[nodiscard]] halves::Figures some_figures();

// The lines that begin so, in their order.
[[nodiscard]] std::vector<std::string> lines(const std::string& text, std::string_view beginning);
// The one line that begins so; several or none fail the test.
[[nodiscard]] std::string line(const std::string& text, std::string_view beginning);

}  // namespace cloudos::test
