// The walk back. What pods and containerd made goes first, while their programs can still be asked; then the journal,
// backwards; then our own folders; then a look for what is left. Each part is safe to repeat.

#include <unistd.h>

#include <map>
#include <ranges>
#include <set>

#include "agent/steps/emitter.hpp"
#include "agent/steps/files.hpp"
#include "agent/steps/residue.hpp"
#include "agent/steps/session.hpp"
#include "agent/steps/steps.hpp"
#include "agent/steps/sweep.hpp"
#include "agent/steps/take_back.hpp"
#include "agent/steps/tunables.hpp"
#include "core/base/text.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::steps {
namespace {

using Kind = model::Event::Kind;

constexpr Milliseconds lock_limit{600'000};
constexpr Milliseconds leave_limit{30'000};
constexpr Milliseconds reset_limit{120'000};
constexpr Milliseconds stop_limit{90'000};
constexpr auto containerd = "cloudos-containerd.service";

bool is_kubeadm(const model::JournalRecord& r) {
  return r.kind == model::KubeadmInit::kind || r.kind == model::KubeadmJoin::kind || r.kind == model::KubeadmControlPlane::kind;
}

std::set<std::string> listed(const model::JournalRecord& record, const std::string& key) {
  const auto found = record.undo.find(key);
  const auto words = split(found == record.undo.end() ? "" : found->second, ',');
  return {words.begin(), words.end()};
}

class WalkBack {
 public:
  WalkBack(Environment& env, const UndoOptions& options, Journal& journal, Emitter& emitter)
      : env_(env), options_(options), journal_(journal), emitter_(emitter), session_(env, nothing_, journal) {
    std::set<StepId> undone;
    for (const auto& record : journal.records() | std::views::reverse) {
      if (record.state == "undone") undone.insert(record.step);
      if (record.state == "intent" && !undone.contains(record.step)) live_.push_back(record);
    }
    for (const auto& record : live_)
      if (is_kubeadm(record)) {
        kubernetes_ = true;
        // The oldest record, which comes last, tells what was here before all of it.
        tables_before_ = listed(record, "nft-tables");
        absent_before_ = listed(record, "absent");
        chains_before_ = listed(record, "nft-chains");
        before_ = record.undo;
        if (record.undo.contains("node")) node_ = record.undo.at("node");
      }
  }

  [[nodiscard]] int undone() const { return undone_; }

  int run() {
    if (kubernetes_) {
      leave();
      reset_kubernetes();
      // Before containerd's unit is stopped: its group goes with the last process in it.
      static_cast<void>(kill_pods(env_));
    }
    stop_units();
    if (kubernetes_) sweep();
    walk();
    remove_folders();
    return tell_residue();
  }

 private:
  void note(std::string text) { emitter_.emit(Kind::note, {}, std::move(text)); }
  void complain(const std::string& what, const Status& status) {
    if (!status) note(what + ": " + status.error().text());
  }

  // A master that goes from a cluster that stays must not go on counting for etcd's quorum.
  void leave() {
    if (options_.whole_cluster || !fs::exists(env_.at(paths::admin_conf))) return;
    const auto ready = session_.ask(session_.kubectl({"--request-timeout=3s", "get", "--raw", "/readyz"}), {.limit = Milliseconds{6'000}});
    if (!ready || !ready->exit.ok()) return;
    note("taking this master out of the cluster");
    static_cast<void>(session_.ask(session_.kubeadm({"reset", "phase", "remove-etcd-member", "--kubeconfig", paths::admin_conf}),
                                   {.limit = leave_limit}));
    static_cast<void>(
        session_.ask(session_.kubectl({"--request-timeout=5s", "delete", "node", node_, "--ignore-not-found", "--wait=false"}),
                     {.limit = Milliseconds{8'000}}));
  }

  void reset_kubernetes() {
    note("stopping Kubernetes");
    complain("kubelet", env_.services.stop("kubelet.service", in(stop_limit)));
    const auto runtime = env_.services.state(containerd);
    if (!runtime || runtime->active != "active" || !fs::exists(env_.at(std::string(paths::bin) + "/kubeadm"))) return;
    // Over CRI, so that the pods' networks and namespaces are taken down by those who made them; what it cannot do is swept
    // afterwards. Without a kubeconfig that loads it asks no API.
    static_cast<void>(session_.ask(session_.kubeadm({"reset", "--force", "--skip-phases=remove-etcd-member", "--kubeconfig=/nonexistent",
                                                     std::string("--cri-socket=unix://") + paths::containerd_socket}),
                                   {.limit = reset_limit}));
  }

  void stop_units() {
    std::set<std::string> names;
    for (const auto& record : live_)
      if (record.kind == model::Unit::kind && record.undo.contains("name")) names.insert(record.undo.at("name"));
    if (const auto loaded = env_.services.list_units("cloudos-*")) names.insert(loaded->begin(), loaded->end());
    if (kubernetes_ &&
        session_.env.services.state("kubepods.slice").transform([](const auto& s) { return s.active == "active"; }).value_or(false))
      names.insert("kubepods.slice");
    // The unit by which a machine joins by itself came with the machine, and may be what undoes just now.
    std::erase_if(names, [](const auto& name) { return name.starts_with("cloudos-apply-") || name == join_unit; });
    // A socket would start its service again.
    for (const bool sockets : {true, false})
      for (const auto& name : names)
        if (name.ends_with(".socket") == sockets) complain(name, env_.services.stop(name, in(stop_limit)));
  }

  void sweep() {
    note("removing pods, mounts, links and firewall tables");
    static_cast<void>(kill_pods(env_));
    complain("mounts", unmount_ours(env_));
    complain("cgroups", remove_cgroups(env_));
    complain("links", delete_links(env_));
    complain("nftables", delete_tables(env_, tables_before_));
    complain("sysctls", restore_tunables(env_, before_));
    for (const auto* family : {"iptables", "ip6tables"}) clean_iptables(family);
    if (before_.contains("nft-chains")) complain("nftables", delete_builtin_chains(env_, chains_before_));
  }

  // Chains in tables that were here before: out of the saved text, and back, counters and all.
  void clean_iptables(const std::string& family) {
    const auto saved = session_.ask({family + "-save", "-c"}, {.limit = Milliseconds{20'000}});
    if (!saved || !saved->exit.ok()) return;
    std::string kept;
    bool ours = false;
    for (const auto& line : split(saved->out, '\n')) {
      const bool mine = line.contains("KUBE-") || line.contains("FLANNEL-") || line.contains("CNI-");
      ours = ours || mine;
      if (!mine) kept += line + "\n";
    }
    if (ours) static_cast<void>(session_.ask({family + "-restore", "-c"}, {.input = bytes_of(kept), .limit = Milliseconds{20'000}}));
  }

  void walk() {
    std::map<StepId, int> left;
    for (const auto& record : live_) ++left[record.step];
    for (const auto& record : live_) {
      const auto last = --left[record.step] == 0;
      if (record.kind == model::Folder::kind || is_kubeadm(record)) continue;
      auto kept = take_back(env_, record, last);
      if (!kept) {
        emitter_.emit(Kind::finding, record.step, kept.error().text());
        ++findings_;
        continue;
      }
      if (*kept) kept_[record.undo.contains("path") ? record.undo.at("path") : record.step.value] = **kept;
      if (last) mark_undone(record);
    }
    complain("systemd", env_.services.daemon_reload());
  }

  void mark_undone(const model::JournalRecord& record) {
    complain("journal", journal_.write({.run = record.run, .step = record.step, .kind = record.kind, .state = "undone"}));
    emitter_.emit(Kind::step_done, record.step, "undone");
    ++undone_;
  }

  void remove_folders() {
    if (kubernetes_) {
      for (const auto& path : our_folders(env_)) complain(path, os::remove_tree(env_.at(path)));
      for (const auto& record : live_)
        if (is_kubeadm(record)) mark_undone(record);
    }
    complain(paths::config, os::remove_tree(env_.at(paths::config)));
    std::error_code error;
    for (const auto& each : fs::directory_iterator(env_.at(paths::state), error)) {
      const auto name = each.path().filename();
      // The journal goes last: as long as anything is left, another run can begin where this one was cut off.
      if (name != "agent" && name != fs::path(paths::journal).filename()) complain(each.path().string(), os::remove_tree(each.path()));
    }
    if (kubernetes_) remove_side_effects(env_, absent_before_);
    for (const auto& record : live_)
      if (record.kind == model::Folder::kind) take_back_folder(env_, record);
    if (findings_ == 0) ::unlink(env_.at(paths::journal).c_str());
    complain(paths::runtime, os::remove_tree(env_.at(paths::runtime)));
  }

  int tell_residue() {
    for (const auto& [path, sentence] : kept_)
      if (fs::exists(fs::symlink_status(env_.at(path)))) note(sentence);
    for (auto& sentence : residue(env_, kubernetes_, tables_before_)) {
      emitter_.emit(Kind::finding, {}, std::move(sentence));
      ++findings_;
    }
    return findings_;
  }

  Environment& env_;
  const UndoOptions& options_;
  Journal& journal_;
  Emitter& emitter_;
  const model::ApplyRequest nothing_{};
  Session session_;
  std::vector<model::JournalRecord> live_;  // newest first
  bool kubernetes_ = false;
  std::set<std::string> tables_before_, chains_before_, absent_before_;
  std::map<std::string, std::string> before_;  // what stands in the oldest record that brought Kubernetes
  std::string node_;
  std::map<std::string, std::string> kept_;  // by path: why it was left
  int findings_ = 0, undone_ = 0;
};

struct Outcome {
  int left = 0, undone = 0;
};

Result<Outcome> undo_here(Environment& env, const UndoOptions& options, Emitter& emitter) {
  CLOUDOS_TRY(os::make_folders(env.at(paths::machine_lock).parent_path(), 0755));
  CLOUDOS_ASSIGN(auto lock, os::Lock::take(env.at(paths::machine_lock), "undo", in(lock_limit)));
  CLOUDOS_ASSIGN(auto journal,
                 fs::exists(env.at(paths::journal)) ? Journal::open(env.at(paths::journal)) : Journal::read(env.at(paths::journal)));
  WalkBack back(env, options, journal, emitter);
  const int left = back.run();
  return Outcome{.left = left, .undone = back.undone()};
}

}  // namespace

Result<bool> undo(Environment& env, const UndoOptions& options, const EventSink& sink) {
  Emitter emitter(sink, {"undo"});
  emitter.emit(Kind::run_started, {}, "taking back what was done here");
  const auto outcome = undo_here(env, options, emitter);
  model::Event end{.kind = outcome && outcome->left == 0 ? Kind::run_done : Kind::run_failed};
  if (outcome) end.outputs = {{"applied", std::to_string(outcome->undone)}, {"satisfied", "0"}};
  if (outcome && outcome->left > 0) {
    end.failure.message = std::to_string(outcome->left) + (outcome->left == 1 ? " thing is left" : " things are left");
    end.failure.hint = "run the same command again; what stays is named above";
  }
  if (!outcome) end.failure = {.message = outcome.error().text(), .hint = outcome.error().hint};
  const bool clean = end.kind == Kind::run_done;
  emitter.emit(std::move(end));
  return clean;
}

}  // namespace cloudos::steps
