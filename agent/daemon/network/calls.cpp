#include "agent/daemon/network/calls.hpp"

namespace cloudos::daemon {
namespace {

Reply::Outcome outcome_of(const Error& error) {
  if (kube::not_found(error)) return Reply::Outcome::not_found;
  switch (error.kind) {
    case ErrorKind::auth:
    case ErrorKind::trust: return Reply::Outcome::auth;  // the CA has another key now, perhaps: to be read anew as well
    case ErrorKind::conflict: return Reply::Outcome::conflict;
    case ErrorKind::input: return Reply::Outcome::refused;
    default: return Reply::Outcome::away;
  }
}

Result<Json> ask(kube::Api& api, const Request& request) {
  switch (request.kind) {
    case Request::Kind::read: return api.get(request.path);
    case Request::Kind::metadata: return api.patch(request.path, kube::Patch::merge, request.body);
    case Request::Kind::status: return api.patch(request.path, kube::Patch::strategic, request.body);
    case Request::Kind::event: return api.create(request.path, request.body);
  }
  return fail(ErrorKind::failed, "no such request");
}

}  // namespace

Reply perform(kube::Api& api, const Request& request) {
  auto answer = ask(api, request);
  if (answer) return {.outcome = Reply::Outcome::done, .object = std::move(*answer)};
  return {.outcome = outcome_of(answer.error()), .object = {}, .why = answer.error().message};
}

}  // namespace cloudos::daemon
