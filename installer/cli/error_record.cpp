#include <nlohmann/json.hpp>

#include "core/base/text.hpp"
#include "installer/cli/command.hpp"

namespace cloudos::cli {

std::string error_record(const Error& error) {
  const nlohmann::json record{{"error",
                               {{"kind", name(error.kind)},
                                {"message", error.message},
                                {"context", error.context},
                                {"hint", error.hint},
                                {"exit", exit_status(error.kind)}}}};
  return record.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace cloudos::cli
