#include "core/base/argv.hpp"

#include <algorithm>
#include <cstring>
#include <format>
#include <memory>

namespace cloudos {

std::string quote(const Argv& argv) {
  constexpr std::string_view bare = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./:=@%+,-";
  std::string out;
  for (const auto& word : argv.words) {
    if (&word != argv.words.data()) out += ' ';
    // A leading '=' is a command lookup in zsh, a leading '%' a job in fish: quoted.
    if (!word.empty() && word[0] != '=' && word[0] != '%' && word.find_first_not_of(bare) == std::string::npos) {
      out += word;
      continue;
    }
    out += '\'';
    for (const char c : word) {
      // fish reads \' and \\ inside single quotes, POSIX shells do not: both stand outside, where all agree.
      if (c == '\'') out += "'\\''";
      else if (c == '\\') out += "'\\\\'";
      else out += c;
    }
    out += '\'';
  }
  return out;
}

ByteSource no_bytes() {
  return [](std::span<std::byte>) -> Result<std::size_t> { return 0; };
}

ByteSource bytes_of(std::string text) {
  return [text = std::make_shared<const std::string>(std::move(text)),
          at = std::size_t{0}](std::span<std::byte> room) mutable -> Result<std::size_t> {
    const auto n = std::min(room.size(), text->size() - at);
    std::memcpy(room.data(), text->data() + at, n);
    at += n;
    return n;
  };
}

ByteSink into(std::string& out, std::size_t limit) {
  return [&out, limit](std::span<const std::byte> bytes) -> Status {
    if (out.size() + bytes.size() > limit) return fail(ErrorKind::failed, std::format("the command printed more than {} bytes", limit));
    out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  };
}

ByteSink discard() {
  return [](std::span<const std::byte>) -> Status { return {}; };
}

}  // namespace cloudos
