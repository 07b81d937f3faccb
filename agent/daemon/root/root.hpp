// agent/daemon/root: the half of the agent that is root and has no network, as one object on a loop. It looks at the machine
// (agent/health, agent/labels), restarts what hangs, offers GPUs (agent/devices), and answers the network half (agent/halves), whom
// it does not trust: a closed list of questions. Not here: the API, metrics, anything that speaks to another machine.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "agent/daemon/half.hpp"
#include "agent/daemon/root/credential.hpp"
#include "agent/daemon/root/eyes.hpp"
#include "agent/daemon/root/outbox.hpp"
#include "agent/daemon/root/services.hpp"
#include "agent/daemon/root/worker.hpp"
#include "agent/daemon/watched_settings.hpp"
#include "agent/devices/devices.hpp"

namespace cloudos::daemon {

class Root final : public Half {
 public:
  static Result<std::unique_ptr<Root>> start(loop::Loop& loop, os::Fd listening, Log& log);

  void reload() override { settings_.reload(); }

 private:
  // A connection of the network half.
  struct Peer {
    explicit Peer(halves::Link l) : link(std::move(l)) {}
    halves::Link link;
    loop::Source source;
    bool greeted = false, wants_report = false, wants_credential = false;
  };
  struct Workers {
    Worker looks, measurements, restarts;
  };

  Root(loop::Loop& loop, os::Fd listening, Log& log, Workers workers);
  Status begin();

  // root_talk.cpp: the other half.
  void accept();
  void hear(Peer& peer);
  [[nodiscard]] bool understand(Peer& peer, std::string_view text);
  [[nodiscard]] bool answer(Peer& peer, halves::Wish wish);
  [[nodiscard]] bool send(Peer& peer, const halves::FromRoot& message);
  void report_changed();
  void credential_changed();
  [[nodiscard]] halves::Figures figures() const;
  void drop(Peer& peer);

  // root.cpp: what is done and when.
  void look_at_health();
  void look_soon();
  void looked(health::Sample sample);
  void measure_sync();
  void look_for_labels();
  void restart(const health::Restart& restart);
  void restarted(const std::string& service, const Status& status);
  void apply(const settings::Settings& fresh);
  void refused(const std::string& why);
  void offer_gpus();
  void keep_annotations();
  void find_store_pin();
  void event(bool warning, std::string reason, std::string message);

  loop::Loop& loop_;
  os::Fd listening_;
  Log& log_;
  Workers workers_;
  WatchedSettings settings_;
  settings::Settings now_;
  bool bad_settings_ = false;

  Outbox outbox_;
  std::list<Peer> peers_;
  std::shared_ptr<health::KernelLog> kernel_;
  std::shared_ptr<CertificateDates> dates_;
  health::Monitor monitor_;
  Services services_;
  std::optional<devices::Plugin> plugin_;
  std::optional<Membership> membership_;
  std::string store_pin_;  // the hash of the agent's own key, once it is there

  bool looking_ = false, labelling_ = false, measuring_ = false, finding_pin_ = false;
  std::optional<std::int64_t> fresh_sync_us_;  // measured since the last look
  std::map<std::string, double> sync_seconds_;
  std::map<std::string, std::int64_t> expiries_;
  std::map<std::string, std::uint64_t> restarts_;
  loop::Source accepting_, health_timer_, label_timer_, sync_timer_, pki_;
};

}  // namespace cloudos::daemon
