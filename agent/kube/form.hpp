#pragma once
// Inside agent/kube only: the API's answers as text from outside. What passes here is JSON of a bounded depth and of the form
// that the caller relies on; what does not is an error that is safe for a terminal.

#include <string>
#include <string_view>

#include "agent/kube/kube.hpp"

namespace cloudos::kube::form {

// Objects of the API nest some ten deep; nlohmann's values are destroyed and written by recursion.
constexpr int deepest = 64;
constexpr std::size_t longest_line = 1U << 20;

// An object. Errors: input.
[[nodiscard]] Result<Json> object(std::string_view text);
// What an answer that is no success says: a Status object's message, or the beginning of whatever came instead.
[[nodiscard]] Error refusal(int status, std::string_view body);

// The answers to the two questions about a caller. Errors: input.
[[nodiscard]] Result<std::optional<User>> reviewed(const Json& token_review);
[[nodiscard]] Result<bool> allowed(const Json& access_review);

// A watch's body, in pieces that may end anywhere.
class Events {
 public:
  // Tells of each event that is whole now. Errors: input; the Status of an event of type ERROR; those of `seen`.
  [[nodiscard]] Status take(std::string_view piece, const std::function<Status(const Json&)>& seen);
  // The body is over: an error when it ended within an event.
  [[nodiscard]] Status end() const;

 private:
  std::string begun_;
};

}  // namespace cloudos::kube::form
