#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/model/join_token.hpp"
#include "installer/cli/table.hpp"

namespace cloudos::cli {

// "15m", "2h", "90s" in seconds, one minute to a day. Errors: usage.
[[nodiscard]] Result<std::int64_t> parse_lifetime(std::string_view text);
// "k=v" each. Errors: usage, also for labels that Kubernetes lets no node give itself.
[[nodiscard]] Result<std::map<std::string, std::string>> parse_labels(const std::vector<std::string>& words);

// A line a token; their secrets are not known here.
[[nodiscard]] std::string print(const model::JoinTokens& tokens, const Look& look);
// {"tokens":[…]}.
[[nodiscard]] std::string record(const model::JoinTokens& tokens);

}  // namespace cloudos::cli
