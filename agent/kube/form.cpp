#include "agent/kube/form.hpp"

#include <algorithm>
#include <array>
#include <format>

#include "core/base/text.hpp"

namespace cloudos::kube::form {
namespace {

constexpr std::size_t longest_message = 500;

// Follows a text without making anything of it, and stops where it nests too deep.
class Depth final : public nlohmann::json_sax<Json> {
 public:
  [[nodiscard]] bool too_deep() const { return depth_ > deepest; }

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool key(string_t&) override { return true; }
  bool start_object(std::size_t) override { return ++depth_ <= deepest; }
  bool start_array(std::size_t) override { return ++depth_ <= deepest; }
  bool end_object() override { return --depth_ >= 0; }
  bool end_array() override { return --depth_ >= 0; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

 private:
  int depth_ = 0;
};

// One line of somebody else's text, for an error.
std::string quoted(std::string_view text) {
  auto line = sanitise(trim(text.substr(0, longest_message)));
  std::ranges::replace_if(line, [](char c) { return c == '\n' || c == '\t'; }, ' ');
  return line;
}

const Json* member(const Json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found != object.end() ? &*found : nullptr;
}
std::string_view text_in(const Json& object, const char* name) {
  const auto* const value = member(object, name);
  return value != nullptr && value->is_string() ? std::string_view(value->get_ref<const std::string&>()) : std::string_view();
}
bool is(const Json* value) { return value != nullptr && value->is_boolean() && value->get<bool>(); }

ErrorKind kind_of(int status) {
  switch (status) {
    case 401:
    case 403: return ErrorKind::auth;
    case 400:
    case 404:
    case 422: return ErrorKind::input;
    case 409:
    case 410: return ErrorKind::conflict;
    default: return status == 429 || status >= 500 ? ErrorKind::network : ErrorKind::failed;
  }
}

std::unexpected<Error> malformed(std::string_view what, std::string_view expected) {
  return fail(ErrorKind::input, std::format("the API server's {} has not the form expected: {}", what, expected));
}

Status tell(std::string_view line, const std::function<Status(const Json&)>& seen) {
  if (trim(line).empty()) return {};
  CLOUDOS_ASSIGN(const Json event, object(line));
  static constexpr std::array<std::string_view, 4> types = {"ADDED", "MODIFIED", "DELETED", "BOOKMARK"};
  const auto type = text_in(event, "type");
  const auto* const subject = member(event, "object");
  if (subject == nullptr || !subject->is_object()) return malformed("event", "\"object\" is an object");
  if (type == "ERROR") {
    const auto* const code = member(*subject, "code");
    const bool known = code != nullptr && code->is_number_integer() && *code >= 400 && *code <= 599;
    return fail(refusal(known ? code->get<int>() : 500, subject->dump(-1, ' ', false, Json::error_handler_t::replace)));
  }
  if (!std::ranges::contains(types, type))
    return malformed("event", std::format("\"type\" is one of {}", "ADDED, MODIFIED, DELETED, BOOKMARK, ERROR"));
  return seen(event);
}

}  // namespace

Result<Json> object(std::string_view text) {
  Depth depth;
  const bool sound = Json::sax_parse(text, &depth);
  if (depth.too_deep()) return fail(ErrorKind::input, std::format("the API server's answer nests deeper than {}", deepest));
  auto value = sound ? Json::parse(text, nullptr, false) : Json(Json::value_t::discarded);
  if (value.is_discarded() || !value.is_object())
    return fail(ErrorKind::input, std::format("the API server answers with what is no JSON object: \"{}\"", quoted(text.substr(0, 100))),
                "see whether a proxy or another server stands at this address");
  return value;
}

Error refusal(int status, std::string_view body) {
  const auto kind = kind_of(status);
  Error error{.kind = kind, .message = std::format("{}", status), .retryable = kind == ErrorKind::network || status == 410};
  const auto said = object(body);
  if (said && text_in(*said, "kind") == "Status") {
    const auto reason = quoted(text_in(*said, "reason"));
    const auto message = quoted(text_in(*said, "message"));
    error.message += reason.empty() ? std::string() : " " + reason;
    error.message += message.empty() ? std::string() : ": " + message;
  } else if (const auto text = quoted(body.substr(0, 100)); !text.empty()) {
    error.message += std::format(", and no Status: \"{}\"", text);
  }
  return error;
}

Result<std::optional<User>> reviewed(const Json& token_review) {
  const auto* const status = member(token_review, "status");
  if (status == nullptr || !status->is_object()) return malformed("TokenReview", "\"status\" is an object");
  if (!is(member(*status, "authenticated"))) return std::optional<User>();
  const auto* const user = member(*status, "user");
  if (user == nullptr || text_in(*user, "username").empty()) return malformed("TokenReview", "\"status.user.username\" is a name");
  User out{.name = std::string(text_in(*user, "username")), .uid = std::string(text_in(*user, "uid")), .groups = {}};
  const auto* const groups = member(*user, "groups");
  if (groups == nullptr || groups->is_null()) return out;
  if (!groups->is_array() || !std::ranges::all_of(*groups, [](const Json& one) { return one.is_string(); }))
    return malformed("TokenReview", "\"status.user.groups\" is a list of names");
  for (const auto& group : *groups) out.groups.push_back(group.get<std::string>());
  return out;
}

Result<bool> allowed(const Json& access_review) {
  const auto* const status = member(access_review, "status");
  if (status == nullptr || !status->is_object()) return malformed("SubjectAccessReview", "\"status\" is an object");
  return is(member(*status, "allowed")) && !is(member(*status, "denied"));
}

Status Events::take(std::string_view piece, const std::function<Status(const Json&)>& seen) {
  for (;;) {
    const auto at = piece.find('\n');
    const auto part = piece.substr(0, at);
    if (begun_.size() + part.size() > longest_line)
      return fail(ErrorKind::input, std::format("an event of the watch is longer than {}", human(Bytes{longest_line})));
    begun_ += part;
    if (at == std::string_view::npos) return {};
    const auto line = std::exchange(begun_, {});
    CLOUDOS_TRY(tell(line, seen));
    piece.remove_prefix(at + 1);
  }
}

Status Events::end() const {
  if (trim(begun_).empty()) return {};
  Error error{.kind = ErrorKind::network, .message = "the watch ended within an event", .retryable = true};
  return fail(std::move(error));
}

}  // namespace cloudos::kube::form
