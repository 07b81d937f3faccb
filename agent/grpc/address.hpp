// Inside agent/grpc: unix sockets (unix(7)) by path.
#pragma once

#include <filesystem>

#include "core/os/file/file.hpp"

namespace cloudos::grpc {

// Connected and non-blocking. Errors: network, retryable; input, for a path longer than a socket's name may be (107 bytes).
[[nodiscard]] Result<os::Fd> connect_unix(const std::filesystem::path& path);
// Listening, non-blocking, mode 0600 from its first moment; an old socket of that name is removed first. Errors: io, input.
[[nodiscard]] Result<os::Fd> listen_unix(const std::filesystem::path& path);

}  // namespace cloudos::grpc
