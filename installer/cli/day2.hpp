#pragma once

#include "installer/cli/saved_cluster.hpp"
#include "installer/cli/session.hpp"

namespace cloudos::cli {

// What the commands for a cluster that runs have in common: which one, and how its machines are reached.
struct DayTwoFlags {
  InventoryFlags inventory;
  ConnectionFlags connection;
  std::string log_file;
  // Without the flags that only an installation needs.
  void add_to(CLI::App& command);
};

struct DayTwo {
  std::unique_ptr<Session> session;
  config::Loaded loaded;
  driver::Setting setting;  // refers to `session`
};
// Nothing when the findings have been shown (exit 2). Errors: Session::open's, connector's.
[[nodiscard]] Result<std::optional<DayTwo>> begin(const DayTwoFlags& flags, const Context& context, std::string_view command);

}  // namespace cloudos::cli
