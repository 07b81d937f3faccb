// core/base: what every other room speaks. Errors as values, secrets that cannot be printed, argument vectors, the log
// interface, strong types for bytes and digests, text for people. No I/O, no third-party library, no global state.
#pragma once

#include <expected>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cloudos {

// What went wrong, coarse enough to decide on: the exit status and whether to try again.
enum class ErrorKind {
  usage,      // a wrong flag or argument                                    exit 2
  input,      // a file or value from outside that is not what it must be    exit 2
  refused,    // a check failed before anything was changed                  exit 3
  trust,      // a signature, digest, host key or certificate does not hold  exit 3
  auth,       // a credential was not accepted
  network,    // a peer cannot be reached or went away
  timeout,    // a deadline passed
  conflict,   // somebody else holds or changed it
  io,         // this machine's own files, processes, memory
  failed,     // work ran and did not succeed
  cancelled,  // the operator stopped it
};

// An error that travels by value. `message` is one sentence without a final stop; `context` grows outwards ("while
// installing containerd on 10.0.0.4"), innermost first; `hint` is what to do next. Nothing in it is secret.
struct Error {
  ErrorKind kind = ErrorKind::failed;
  std::string message;
  std::vector<std::string> context = {};
  std::string hint = {};
  bool retryable = false;

  [[nodiscard]] Error with(std::string where) && {
    context.push_back(std::move(where));
    return std::move(*this);
  }
  [[nodiscard]] Error advise(std::string what) && {
    hint = std::move(what);
    return std::move(*this);
  }
  // "message, while a, while b" and, on a second line, the hint.
  [[nodiscard]] std::string text() const;
};

template <class T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

[[nodiscard]] inline std::unexpected<Error> fail(ErrorKind kind, std::string message, std::string hint = {}) {
  return std::unexpected(Error{.kind = kind, .message = std::move(message), .hint = std::move(hint)});
}
[[nodiscard]] inline std::unexpected<Error> fail(Error error) { return std::unexpected(std::move(error)); }
// An error from errno (or a saved copy of it): "open /x: No such file or directory".
[[nodiscard]] std::unexpected<Error> fail_errno(std::string_view what, int saved_errno);

// The exit status that product and scripts rely on: 1 failed, 2 bad usage or input, 3 nothing was changed.
[[nodiscard]] int exit_status(ErrorKind kind);
[[nodiscard]] std::string_view name(ErrorKind kind);

}  // namespace cloudos

// Returns the error to the caller; with a second argument, adds a sentence of context to it.
#define CLOUDOS_TRY(expression)                                                                                            \
  do {                                                                                                                     \
    if (auto cloudos_status_ = (expression); !cloudos_status_) return std::unexpected(std::move(cloudos_status_).error()); \
  } while (false)
#define CLOUDOS_TRY_WITH(expression, where)                                                                                            \
  do {                                                                                                                                 \
    if (auto cloudos_status_ = (expression); !cloudos_status_) return std::unexpected(std::move(cloudos_status_).error().with(where)); \
  } while (false)
#define CLOUDOS_JOIN_(a, b) a##b
#define CLOUDOS_JOIN(a, b) CLOUDOS_JOIN_(a, b)
// CLOUDOS_ASSIGN(auto x, expression): x is the value, or the error goes to the caller.
#define CLOUDOS_ASSIGN(declaration, expression) CLOUDOS_ASSIGN_(CLOUDOS_JOIN(cloudos_value_, __LINE__), declaration, expression)
#define CLOUDOS_ASSIGN_(holder, declaration, expression)          \
  auto holder = (expression);                                     \
  if (!holder) return std::unexpected(std::move(holder).error()); \
  declaration = std::move(*holder)
