#pragma once

#include <format>
#include <string>
#include <string_view>

namespace cloudos {

// Where library code says what it does. spdlog implements it at the edge of each program; tests collect the lines.
// Thread-safe implementations only.
class Log {
 public:
  enum class Level { trace, debug, info, warning, error };
  virtual ~Log() = default;
  virtual void write(Level level, std::string_view line) = 0;

  template <class... A>
  void debug(std::format_string<A...> f, A&&... a) {
    write(Level::debug, std::format(f, std::forward<A>(a)...));
  }
  template <class... A>
  void info(std::format_string<A...> f, A&&... a) {
    write(Level::info, std::format(f, std::forward<A>(a)...));
  }
  template <class... A>
  void warning(std::format_string<A...> f, A&&... a) {
    write(Level::warning, std::format(f, std::forward<A>(a)...));
  }
};

// Says nothing.
class NullLog final : public Log {
 public:
  void write(Level, std::string_view) override {}
};

}  // namespace cloudos
