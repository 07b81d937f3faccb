#include <algorithm>
#include <condition_variable>
#include <format>
#include <mutex>
#include <random>

#include "agent/admit/admit.hpp"
#include "agent/kube/events.hpp"
#include "core/base/clock.hpp"
#include "core/base/text.hpp"
#include "core/base/throttle.hpp"
#include "core/model/json_path.hpp"

namespace cloudos::admit {
namespace {

constexpr auto requests = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
constexpr auto of_our_signer = "fieldSelector=spec.signerName%3Dkubernetes.io%2Fkube-apiserver-client-kubelet";
constexpr auto tokens = "/api/v1/namespaces/cloudos-system/configmaps/join-tokens";
constexpr auto rights = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/cloudos:admit";
// The server ends a watch by itself then; what a lost event would have told is seen at the next look.
constexpr int watch_s = 240;
constexpr int most_conflicts = 32;

// Sleeps; wakes at once when `stop` is set.
void pause_for(Milliseconds span, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop, span, [] { return false; });
}

// Between a half and the whole, so that the masters do not all come back at once.
Milliseconds jittered(Milliseconds span) {
  std::minstd_rand random(std::random_device{}());
  return Milliseconds{std::uniform_int_distribution<std::int64_t>(span.count() / 2, span.count())(random)};
}

using model::text_at;

// One connection's worth of work.
class Desk {
 public:
  Desk(const Admitter::Options& options, kube::Api api, Throttle& told) : options_(options), api_(std::move(api)), told_(told) {}

  // All that wait now. Gives the version of the list, from which to watch.
  Result<std::string> look() {
    CLOUDOS_ASSIGN(const auto list, api_.get(std::format("{}?{}", requests, of_our_signer)));
    if (const auto items = list.find("items"); items != list.end() && items->is_array())
      for (const auto& each : *items) CLOUDOS_TRY(settle(each));
    return text_at(list, {"metadata", "resourceVersion"});
  }

  // Errors are those of the API; what is wrong with one request is not an error.
  Status settle(Json request) {
    auto candidate = candidate_of(request);
    if (!candidate) return {};
    if (auto node = node_of(request)) candidate->node = std::move(*node);
    else return refuse(std::move(request), *candidate, node.error());
    CLOUDOS_ASSIGN(const auto refusal, count_in(*candidate));
    if (refusal) return refuse(std::move(request), *candidate, *refusal);
    return admit(std::move(request), *candidate);
  }

 private:
  // Whether it may come in; where it may, it is counted when this returns.
  Result<std::optional<Refusal>> count_in(const Candidate& candidate) {
    for (int tries = 0; tries < most_conflicts; ++tries) {
      CLOUDOS_ASSIGN(const auto taken, name_of(candidate.node));
      auto map = api_.get(tokens);
      if (!map && !kube::not_found(map.error())) return fail(std::move(map).error());
      std::optional<model::JoinToken> token;
      if (map)
        if (auto entry = model::decode_join_token(candidate.token, text_at(*map, {"data", candidate.token.c_str()})))
          token = std::move(*entry);
      if (auto refusal = decide(candidate, taken, token, now())) return refusal;
      if (std::ranges::contains(token->admitted, candidate.request)) return std::nullopt;
      count(candidate, *token);
      (*map)["data"][candidate.token] = model::encode_join_token(*token);
      const auto written = api_.replace(tokens, *map);
      if (written) return std::nullopt;
      if (written.error().kind != ErrorKind::conflict) return fail(written.error());
    }
    return fail(ErrorKind::conflict, "the ConfigMap join-tokens is changed by others all the time");
  }

  Result<Name> name_of(const std::string& node) {
    const auto there = api_.get("/api/v1/nodes/" + node);
    if (there) return Name::of_a_node;
    if (!kube::not_found(there.error())) return fail(there.error());
    // A master's Node may have been deleted; its rights have not, and are nobody else's.
    const auto bound = api_.get(rights);
    if (!bound && !kube::not_found(bound.error())) return fail(bound.error());
    if (!bound) return Name::free;
    const auto subjects = bound->find("subjects");
    if (subjects != bound->end() && subjects->is_array())
      for (const auto& each : *subjects)
        if (text_at(each, {"name"}) == "system:node:" + node) return Name::of_a_master;
    return Name::free;
  }

  Status admit(Json request, const Candidate& candidate) {
    const auto message = std::format("{} joins with token {}", candidate.node, candidate.token);
    CLOUDOS_ASSIGN(const bool ours, conclude(std::move(request), candidate, "Approved", "JoinTokenHolds", message));
    if (ours) tell("JoinAdmitted", message, false, candidate.request);
    return {};
  }
  Status refuse(Json request, const Candidate& candidate, const Refusal& refusal) {
    CLOUDOS_ASSIGN(const bool ours, conclude(std::move(request), candidate, "Denied", std::string(name(refusal.reason)), refusal.message));
    // Once a minute for a token and a reason: who has a token can make any number of requests.
    const auto key = std::format("{} {}", candidate.token, name(refusal.reason));
    if (ours && told_.allow(key, std::chrono::steady_clock::now()))
      tell("JoinRefused",
           std::format("{} with token {}: {}: {}", candidate.node.empty() ? "a machine" : candidate.node, candidate.token,
                       name(refusal.reason), refusal.message),
           true, candidate.request);
    return {};
  }

  // Writes the decision. Gives whether it was us: another master may have been first, or the request may be gone.
  Result<bool> conclude(Json request, const Candidate& candidate, std::string type, std::string reason, std::string message) {
    const Json condition{{"type", std::move(type)},
                         {"status", "True"},
                         {"reason", std::move(reason)},
                         {"message", std::move(message)},
                         {"lastUpdateTime", model::utc_text(now())}};
    const auto path = std::format("{}/{}", requests, candidate.request);
    for (int tries = 0; tries < most_conflicts; ++tries) {
      if (!request["status"].is_object()) request["status"] = Json::object();
      auto& conditions = request["status"]["conditions"];
      if (!conditions.is_array()) conditions = Json::array();
      conditions.push_back(condition);
      const auto written = api_.replace(path + "/approval", request);
      if (written) return true;
      if (kube::not_found(written.error())) return false;
      if (written.error().kind != ErrorKind::conflict) return fail(written.error());
      auto again = api_.get(path);
      if (!again && kube::not_found(again.error())) return false;
      if (!again) return fail(std::move(again).error());
      if (!candidate_of(*again)) return false;
      request = std::move(*again);
    }
    return fail(ErrorKind::conflict, std::format("the request {} is changed by others all the time", candidate.request));
  }

  // An event that cannot be written keeps nobody out; the log has it too.
  void tell(const std::string& reason, const std::string& message, bool warning, const std::string& request) {
    if (options_.log != nullptr) options_.log->info("{}: {} ({})", reason, message, request);
    const kube::Happening happening{
        .about = {{"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"namespace", "cloudos-system"}, {"name", "join-tokens"}},
        .reason = reason,
        .message = std::format("{} (request {})", message, request),
        .warning = warning,
        .component = options_.component,
        .node = options_.node};
    if (const auto told = kube::tell(api_, happening, now()); !told && options_.log != nullptr)
      options_.log->warning("the event {} was not written: {}", reason, told.error().text());
  }

  [[nodiscard]] std::int64_t now() const { return options_.now_s ? options_.now_s() : wall_s(); }

  const Admitter::Options& options_;
  kube::Api api_;
  Throttle& told_;
};

// Looks once, then watches until the server ends that.
Status look_and_watch(const Admitter::Options& options, Throttle& told, const std::stop_token& stop) {
  CLOUDOS_ASSIGN(auto access, options.access());
  CLOUDOS_ASSIGN(auto watcher, kube::Api::make(access));
  CLOUDOS_ASSIGN(auto api, kube::Api::make(std::move(access)));
  Desk desk(options, std::move(api), told);
  CLOUDOS_ASSIGN(const auto version, desk.look());
  const auto seen = [&](const Json& event) -> Status {
    const auto type = text_at(event, {"type"});
    // Most often: the version from which to go on is too old by now.
    if (type == "ERROR") return fail(ErrorKind::failed, "the watch ended: " + sanitise(text_at(event, {"object", "message"})));
    if (type != "ADDED" && type != "MODIFIED") return {};
    return desk.settle(event.value("object", Json::object()));
  };
  return watcher.watch(std::format("{}?{}&watch=1&timeoutSeconds={}&resourceVersion={}", requests, of_our_signer, watch_s, version), seen,
                       stop);
}

}  // namespace

void Admitter::run(const std::stop_token& stop) {
  Throttle told(Milliseconds{60'000}, 64);
  auto pause = options_.first_pause;
  std::string last_error;
  while (!stop.stop_requested()) {
    const auto ended = look_and_watch(options_, told, stop);
    if (stop.stop_requested()) return;
    if (ended) {
      pause = options_.first_pause;
      last_error.clear();
    } else if (auto said = ended.error().text(); said != last_error && options_.log != nullptr) {
      // The same trouble is told once, however long it lasts.
      options_.log->warning("machines cannot be admitted now: {}", said);
      last_error = std::move(said);
    }
    pause_for(jittered(pause), stop);
    if (!ended) pause = std::min(pause * 2, options_.longest_pause);
  }
}

}  // namespace cloudos::admit
