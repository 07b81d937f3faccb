#include "agent/join/join.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <format>
#include <mutex>
#include <random>
#include <set>

#include "agent/facts/facts.hpp"
#include "agent/join/carry.hpp"
#include "agent/join/clock.hpp"
#include "agent/join/fetch.hpp"
#include "agent/join/stores.hpp"
#include "agent/join/wanted.hpp"
#include "agent/kube/kube.hpp"
#include "agent/steps/journal.hpp"
#include "agent/steps/steps.hpp"
#include "core/base/clock.hpp"
#include "core/base/text.hpp"
#include "core/join_file/join_file.hpp"
#include "core/os/crypto/crypto.hpp"
#include "core/os/file/file.hpp"
#include "core/plan/plan.hpp"

namespace cloudos::joining {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// The plan of a join that has begun, without secrets: what is left of it after the kubelet has its certificate needs neither the
// token nor the stores any more.
constexpr auto plan_file = "/var/lib/cloudos/join-plan.json";
constexpr Milliseconds one_look{1'000};
constexpr std::size_t longest_file = 1U << 20;
constexpr auto configmaps = "/api/v1/namespaces/cloudos-system/configmaps/";
constexpr auto requests =
    "/apis/certificates.k8s.io/v1/certificatesigningrequests?limit=500&fieldSelector=spec.signerName%3D"
    "kubernetes.io%2Fkube-apiserver-client-kubelet";

void sleep_for(Milliseconds span, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  wake.wait_for(lock, stop, span, [] { return false; });
}

std::pair<std::string, std::uint16_t> place_of(const std::string& address) {
  const auto colon = address.rfind(':');
  auto host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const auto port = parse_number(std::string_view(address).substr(colon == std::string::npos ? address.size() : colon + 1), 1, 65535);
  return {host, static_cast<std::uint16_t>(port.value_or(0))};
}

// The blobs of the plan that are not here, those that are needed first before the others, and of these the small ones.
std::vector<store::Blob> missing_of(const model::Plan& plan, const model::BundleIndex& bundle, const store::Store& here) {
  std::vector<store::Blob> out;
  std::set<Digest> known;
  for (const auto& stage : plan.stages) {
    std::vector<store::Blob> wanted;
    for (const auto& digest : model::blobs_of(stage))
      if (const auto blob = bundle.blobs.find(digest.hex()); blob != bundle.blobs.end() && known.insert(digest).second)
        wanted.push_back({.digest = digest, .size = blob->second.size.count});
    std::ranges::stable_sort(wanted, {}, &store::Blob::size);
    std::ranges::move(here.missing(wanted), std::back_inserter(out));
  }
  return out;
}

class Joining {
 public:
  Joining(const Options& options, steps::Environment& environment, const Voice& voice)
      : options_(options), env_(environment), voice_(voice), here_(environment.at(paths::store)) {}

  Result<Outcome> run() {
    CLOUDOS_TRY(read_file());
    CLOUDOS_ASSIGN(const auto facts, look());
    CLOUDOS_ASSIGN(const auto member, already(facts));
    if (member) return *member;
    if (const auto now = wall_s(); file_.expires_s <= now)
      return fail(ErrorKind::refused,
                  std::format("the join file expired at {} (it is {} here)", date_text(file_.expires_s), date_text(now)),
                  "make a new one: `cloudos token create > join.toml`");
    CLOUDOS_TRY(look_back());
    CLOUDOS_TRY(await_network());
    Stores stores(file_, reachable_, voice_.log);
    voice_.status("asking the stores for the cluster");
    CLOUDOS_ASSIGN(const auto hello, stores.hello());
    CLOUDOS_TRY(await_clock(hello));
    CLOUDOS_ASSIGN(const auto wanted, ask_cluster(hello.ca));
    CLOUDOS_ASSIGN(auto index, stores.index(wanted.bundle));
    CLOUDOS_ASSIGN(const auto plan, make_plan(wanted, std::move(index)));
    CLOUDOS_TRY(carry(plan, hello, stores));
    return end(Outcome::joined);
  }

 private:
  Status read_file() {
    const auto path = env_.at(options_.file.string());
    auto text = os::read(path, longest_file);
    if (!text) return fail(std::move(text).error().advise("`cloudos token create > join.toml` makes one"));
    text_ = Secret(std::move(*text));
    CLOUDOS_ASSIGN(file_, join_file::parse(text_.reveal(), options_.file.string()));
    struct stat s{};
    if (::stat(path.c_str(), &s) == 0 && (s.st_mode & 077U) != 0)
      voice_.log.warning("{} may be read by others ({:04o}): it holds a token; chmod 600", options_.file.string(), s.st_mode & 0777U);
    return {};
  }

  [[nodiscard]] Result<model::HostFacts> look() const { return facts::gather({.root = env_.root}); }

  // A member already: of this cluster, or of another. One that was cut off after its kubelet had joined goes on from the plan.
  Result<std::optional<Outcome>> already(const model::HostFacts& facts) {
    const auto& kubernetes = facts.kubernetes;
    if (!kubernetes.cluster_id.empty() && kubernetes.cluster_id != file_.cluster_id)
      return fail(ErrorKind::refused,
                  std::format("this machine belongs to another cluster ({}) than the join file's ({}, {})", sanitise(kubernetes.cluster_id),
                              sanitise(file_.cluster), file_.cluster_id),
                  "take it out of that one first (`cloudos reset --nodes` it), or remove the join file");
    if (kubernetes.state != "joined") return std::nullopt;
    CLOUDOS_ASSIGN(const auto text, os::read_if_any(env_.at(plan_file)));
    if (!text) {
      if (kubernetes.cluster_id.empty()) return std::nullopt;
      voice_.log.info("this machine is a node of {} already ({}): nothing is to be done", sanitise(file_.cluster),
                      sanitise(kubernetes.node_name));
      CLOUDOS_TRY(end(Outcome::member));
      return Outcome::member;
    }
    CLOUDOS_ASSIGN(const auto plan, model::decode_plan(*text));
    voice_.log.info("it had joined when it was cut off; going on");
    CLOUDOS_TRY(carry_out(work_for(plan), env_, voice_));
    CLOUDOS_TRY(end(Outcome::joined));
    return Outcome::joined;
  }

  // Whether an earlier run came as far as kubeadm: the token may have been used by this very machine.
  Status look_back() {
    const auto path = env_.at(paths::journal);
    if (std::error_code error; !fs::exists(path, error)) return {};
    CLOUDOS_ASSIGN(const auto journal, steps::Journal::read(path));
    tried_before_ = journal.last_of(model::KubeadmJoin::kind) != nullptr;
    return {};
  }

  // Until one of the stores can be reached; the kernel then tells from which of this machine's addresses.
  Status await_network() {
    facts::ReachRequest request{.from = MachineId{"this machine"}, .targets = {}};
    for (const auto& store : file_.stores) {
      const auto [host, port] = place_of(store.address);
      request.targets.push_back({.id = MachineId{store.address}, .host = host, .port = port});
    }
    const auto until = in(options_.network);
    for (bool told = false;; told = true) {
      const auto ways = facts::reach(request, one_look);
      const auto way = std::ranges::find_if(ways, &model::Reach::tcp);
      if (way != ways.end()) {
        address_ = way->source;
        // Those that do not answer now come last.
        std::ranges::stable_partition(file_.stores, [&](const auto& store) {
          return std::ranges::any_of(ways, [&](const auto& each) { return each.tcp && each.to.value == store.address; });
        });
        reachable_ = static_cast<std::size_t>(std::ranges::count_if(ways, &model::Reach::tcp));
        return {};
      }
      std::string reasons;
      for (const auto& each : ways) reasons += std::format("{}{}: {}", reasons.empty() ? "" : "; ", each.to.value, sanitise(each.reason));
      if (!told) voice_.log.info("waiting for the network ({})", reasons);
      voice_.status("waiting for the network");
      if (options_.stop.stop_requested()) return fail(ErrorKind::cancelled, "stopped while waiting for the network");
      if (std::chrono::steady_clock::now() > until)
        return fail(
            Error{.kind = ErrorKind::network,
                  .message = "no store can be reached (" + reasons + ")",
                  .hint = "are these nodes up, and is the way to their port open? `cloudos token create` names those that are there now",
                  .retryable = true});
      sleep_for(Milliseconds{500}, options_.stop);
    }
  }

  // Certificates have dates: with a clock that is far off nothing below would hold.
  Status await_clock(const Hello& hello) {
    if (!hello.date_s) return {};
    const auto asked = std::chrono::steady_clock::now();
    const auto ahead = [&] {
      const auto since = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - asked).count();
      return wall_s() - *hello.date_s - since;
    };
    auto fault = clock_fault(ahead());
    if (fault.empty()) return {};
    voice_.log.warning("{}; waiting for it to be set right", fault);
    const auto until = in(options_.clock);
    while (!fault.empty()) {
      voice_.status("waiting for the clock: " + fault);
      if (options_.stop.stop_requested()) return fail(ErrorKind::cancelled, "stopped while waiting for the clock");
      if (std::chrono::steady_clock::now() > until)
        return fail(Error{.kind = ErrorKind::failed,
                          .message = fault,
                          .hint = "set it (chronyc makestep, timedatectl set-time), and keep it in step with NTP",
                          .retryable = true});
      sleep_for(Milliseconds{500}, options_.stop);
      fault = clock_fault(ahead());
    }
    return {};
  }

  // `ask` of the masters in turn until one answers.
  template <class T>
  Result<T> of_a_master(const std::string& ca, const std::function<Result<T>(kube::Api&)>& ask) {
    auto masters = file_.masters;
    std::ranges::shuffle(masters, std::mt19937{std::random_device{}()});
    std::optional<Error> last;
    for (const auto& master : masters) {
      auto answer = [&]() -> Result<T> {
        CLOUDOS_ASSIGN(auto api, kube::Api::make({.server = "https://" + master, .ca = ca, .token = file_.token}));
        return ask(api);
      }();
      if (answer) return answer;
      const bool elsewhere = answer.error().kind == ErrorKind::network || answer.error().kind == ErrorKind::timeout;
      last = std::move(answer).error().with("asking the master " + master);
      if (!elsewhere) break;
    }
    if (!last) return fail(ErrorKind::input, "the join file names no master");
    return fail(std::move(*last));
  }

  Result<Wanted> ask_cluster(const std::string& ca) {
    voice_.status("asking the cluster");
    ca_ = ca;
    auto answers = of_a_master<std::pair<json, json>>(ca, [&](kube::Api& api) -> Result<std::pair<json, json>> {
      CLOUDOS_ASSIGN(auto tokens, api.get(std::string(configmaps) + "join-tokens"));
      CLOUDOS_ASSIGN(auto cluster, api.get(std::string(configmaps) + "cluster"));
      return std::pair{std::move(tokens), std::move(cluster)};
    });
    if (!answers) {
      auto error = std::move(answers).error();
      // 403: a cluster that was installed before there were join tokens.
      if (error.kind == ErrorKind::auth && error.message.starts_with("403"))
        return fail(ErrorKind::refused, "the cluster does not let join tokens read its wanted state: " + error.message,
                    "run `cloudos install` on that cluster once more: it sets up the rules for them");
      if (error.kind == ErrorKind::auth || kube::not_found(error)) return fail(unknown_token(file_.token_id));
      return fail(std::move(error));
    }
    CLOUDOS_TRY(token_serves(answers->first, file_.token_id, wall_s(), tried_before_));
    CLOUDOS_ASSIGN(auto wanted, wanted_of(answers->second));
    if (wanted.cluster_id != file_.cluster_id)
      return fail(ErrorKind::trust,
                  std::format("its masters are of the cluster {}, the join file is for {}", sanitise(wanted.cluster_id), file_.cluster_id),
                  "take the join file of this cluster: `cloudos token create` makes one");
    return wanted;
  }

  Result<model::Plan> make_plan(const Wanted& wanted, Index index) {
    CLOUDOS_ASSIGN(auto facts, look());
    plan::Joiner joiner{.config = wanted.config,
                        .cluster_id = wanted.cluster_id,
                        .masters = file_.masters,
                        .address = address_,
                        .labels = file_.labels,
                        .bundle = std::move(index.content),
                        .bundle_digest = wanted.bundle,
                        .vouched = {.json = std::move(index.json),
                                    .minisig = std::move(index.minisig),
                                    .keys = {{index.signer.id_hex(), os::format(index.signer)}}}};
    joiner.seen.facts = std::move(facts);
    const auto plan = plan::join_plan(joiner);
    missing_ = missing_of(plan, joiner.bundle, here_);
    for (const auto& blob : missing_) joiner.missing += Bytes{blob.size - blob.offset};
    CLOUDOS_TRY(check(plan::join_preflight(joiner)));
    node_ = plan.machines.empty() ? "" : plan.machines.front().node;
    voice_.log.info("joins {} as {} ({}): {} to fetch", sanitise(file_.cluster), node_, address_, human(joiner.missing));
    return plan;
  }

  Status check(const std::vector<model::Finding>& findings) {
    std::string errors;
    for (const auto& finding : findings) {
      const bool error = finding.severity == model::Finding::Severity::error;
      const auto line = std::format("{} ({}): {}", finding.message, finding.code, finding.remedy);
      if (error) errors += std::format("{}{} ({})", errors.empty() ? "" : "; ", finding.message, finding.code);
      else voice_.log.info("{}", line);
      if (error) voice_.log.warning("{}", line);
    }
    if (errors.empty()) return {};
    return fail(ErrorKind::refused, "this machine cannot be a node: " + errors, "nothing was changed; what to do stands with each above");
  }

  Work work_for(const model::Plan& plan) const {
    return {.plan = plan, .values = {{"ca", os::base64(ca_)}}, .secrets = {{"join-token", file_.token}}, .stop = options_.stop};
  }

  Status carry(const model::Plan& plan, const Hello& hello, Stores& stores) {
    ca_ = hello.ca;
    CLOUDOS_TRY(os::write_atomic(env_.at(plan_file), model::encode_plan(plan), 0600));
    Fetcher fetcher(
        {.stores = stores.usable(), .token_id = file_.token_id, .token = file_.token, .missing = missing_, .pause = options_.pause}, here_,
        voice_);
    auto work = work_for(plan);
    work.before = [&](const model::Stage& stage) { return fetcher.await(model::blobs_of(stage), options_.stop); };
    std::vector<std::string> before;
    const auto listed = ask_requests();
    if (listed) before = request_names(*listed);
    work.refused = [&, before] {
      const auto now = ask_requests();
      return now ? denial(*now, file_.token_id, node_, before) : std::string();
    };
    auto carried = carry_out(work, env_, voice_);
    if (carried || carried.error().kind != ErrorKind::refused) return carried;
    return take_back(carried.error());
  }

  Result<json> ask_requests() {
    return of_a_master<json>(ca_, [](kube::Api& api) { return api.get(requests); });
  }

  // The masters said no: the machine is as it was before, but for the agent and the join file.
  Status take_back(const Error& refusal) {
    voice_.log.warning("the cluster refused this machine ({}); taking back what was done", refusal.message);
    voice_.status("refused; taking back what was done");
    const auto clean = steps::undo(env_, {}, [&](const model::Event& event) -> Status {
      if (event.kind == model::Event::Kind::finding) voice_.log.warning("{}", sanitise(event.text));
      return {};
    });
    if (!clean || !*clean) voice_.log.warning("not all could be taken back: `cloudos-agent undo` tries again");
    CLOUDOS_TRY(os::write_atomic(env_.at(options_.file.string()), text_.reveal(), 0600));
    return fail(ErrorKind::refused, "the cluster refused this machine: " + refusal.message,
                "when that is put right: `systemctl restart cloudos-join`, or a new join file from `cloudos token create`");
  }

  Result<Outcome> end(Outcome outcome) {
    const auto path = env_.at(options_.file.string());
    const auto plan = env_.at(plan_file);
    for (const auto& each : {path, plan})
      if (::unlink(each.c_str()) != 0 && errno != ENOENT) return fail_errno("remove " + each.string(), errno);
    CLOUDOS_TRY(os::fsync_folder(path.parent_path()));
    return outcome;
  }

  const Options& options_;
  steps::Environment& env_;
  const Voice& voice_;
  const store::Store here_;
  Secret text_;
  join_file::JoinFile file_;
  bool tried_before_ = false;
  std::size_t reachable_ = 0;
  std::string address_, node_, ca_;
  std::vector<store::Blob> missing_;
};

}  // namespace

Result<Outcome> join(const Options& options, steps::Environment& environment, const Voice& voice) {
  return Joining(options, environment, voice).run();
}

}  // namespace cloudos::joining
