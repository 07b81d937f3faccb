#pragma once

#include <cstddef>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"

namespace cloudos {

// A command as a vector of arguments: never a shell string. `argv[0]` is the program.
struct Argv {
  std::vector<std::string> words;
  Argv() = default;
  Argv(std::initializer_list<std::string> w) : words(w) {}
  explicit Argv(std::vector<std::string> w) : words(std::move(w)) {}
  Argv& operator+=(std::string word) {
    words.push_back(std::move(word));
    return *this;
  }
  bool operator==(const Argv&) const = default;
};

// The one quoting function, for the one place that needs it: sshd hands a command to the user's login shell as a single
// string (RFC 4254, section 6.5). The result is read back as the same words by POSIX sh, bash, zsh, dash and fish:
// words of [A-Za-z0-9_./:=@%+,-] stay bare, others stand in single quotes with ' and \ outside of them, escaped.
[[nodiscard]] std::string quote(const Argv& argv);

// A producer and a consumer of bytes. A source fills the span and returns how much (0: the end). Both may fail, which
// ends the transfer with that error.
using ByteSource = std::function<Result<std::size_t>(std::span<std::byte>)>;
using ByteSink = std::function<Status(std::span<const std::byte>)>;

[[nodiscard]] ByteSource no_bytes();
[[nodiscard]] ByteSource bytes_of(std::string text);
// Appends to `out`, which must outlive the sink; more than `limit` bytes is ErrorKind::failed ("endless output").
[[nodiscard]] ByteSink into(std::string& out, std::size_t limit = 64U << 20);
[[nodiscard]] ByteSink discard();

}  // namespace cloudos
