// agent/kube: the Kubernetes API as the agent's network half uses it: get, watch, patch, create, with a node's own credential or
// a bootstrap token, and what is asked about callers (TokenReview, SubjectAccessReview). Answers of the API are from outside:
// each is checked for its form here. Not here: what is written and when (agent/daemon, agent/admit), kubectl (agent/steps).
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "agent/http/http.hpp"

namespace cloudos::kube {

using Json = nlohmann::json;

// With whom and as whom to speak.
struct Access {
  std::string server;                           // "https://127.0.0.1:7443"
  std::string ca;                               // PEM
  std::optional<http::Identity> identity = {};  // a node's client certificate
  Secret token = {};                            // or a bearer token
};

enum class Patch { merge, strategic, apply };  // application/merge-patch+json and so on

// An error of the API by its kind: auth (401, 403), input (400, 404, 422, and an answer that has not the form expected), conflict
// (409; 410, retryable: list anew and watch from there), network (5xx, 429: retryable; or not reached). The message is the Status
// object's, cleaned for a terminal: "404 NotFound: nodes "n1" not found". `not_found` tells 404 from the rest.
[[nodiscard]] bool not_found(const Error& error);

// One connection. One thread at a time; calls block, each at most ten seconds.
class Api {
 public:
  static Result<Api> make(Access access);
  ~Api();
  Api(Api&&) noexcept;
  Api& operator=(Api&&) noexcept;

  [[nodiscard]] Result<Json> get(const std::string& path);
  [[nodiscard]] Result<Json> patch(const std::string& path, Patch kind, const Json& body);
  [[nodiscard]] Result<Json> create(const std::string& path, const Json& body);
  // PUT, with the object's resourceVersion: conflict when somebody else was first.
  [[nodiscard]] Result<Json> replace(const std::string& path, const Json& body);
  [[nodiscard]] Status remove(const std::string& path);
  // Each event of a watch ({"type":…,"object":…}) until the server ends it, `seen` fails or `stop` is set (which is no error). A
  // line that is no event, an event of type ERROR, a line longer than 1 MiB and ten minutes without a byte (ask for bookmarks)
  // end it with an error.
  [[nodiscard]] Status watch(const std::string& path, const std::function<Status(const Json&)>& seen, std::stop_token stop);

 private:
  struct State;
  explicit Api(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Who calls, as the API server says of their token.
struct User {
  std::string name;
  std::string uid;
  std::vector<std::string> groups;
};
// Nothing: the token is not accepted. Errors: the API's.
[[nodiscard]] Result<std::optional<User>> review_token(Api& api, const Secret& token);
// Whether the user may `verb` on a non-resource path ("/metrics").
[[nodiscard]] Result<bool> may(Api& api, const User& user, const std::string& verb, const std::string& path);

// Who may scrape, as kubelet decides it (webhook authentication and authorisation): decisions are kept, accepted ones for two
// minutes and refused ones for half a minute, at most 256 of them by the token's digest. One thread.
class Gate {
 public:
  enum class Verdict { yes, unknown_caller, forbidden, cannot_tell };
  // `api` may be null for a time (no credential yet): cannot_tell.
  [[nodiscard]] Verdict check(Api* api, const Secret& token, const std::string& verb, const std::string& path,
                              std::chrono::steady_clock::time_point now);

 private:
  struct Kept {
    std::string key;
    Verdict verdict = Verdict::cannot_tell;
    std::chrono::steady_clock::time_point until;
  };
  std::vector<Kept> kept_;
};

}  // namespace cloudos::kube
