#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "installer/driver/driver.hpp"

namespace cloudos::driver {

// What the agent's commands read and write, as JSON. decode_* take text from a machine: anything gives a value or
// ErrorKind::failed.
[[nodiscard]] std::string encode_wanted(const std::vector<Digest>& blobs, const model::BundleIndex& index);
[[nodiscard]] Result<std::vector<MissingBlob>> decode_missing(std::string_view json);
[[nodiscard]] std::string encode_receive(const std::vector<MissingBlob>& blobs);
[[nodiscard]] Result<Digest> decode_stored(std::string_view json);
[[nodiscard]] std::string encode_reach_request(const MachineId& from, const std::vector<const model::MachineConfig*>& targets);

// Cuts a stream into lines and hands each to `take`, without its newline. A line longer than 16 MiB is an error.
[[nodiscard]] ByteSink by_line(std::function<Status(std::string_view)> take);

}  // namespace cloudos::driver
