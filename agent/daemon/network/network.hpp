// agent/daemon/network: the half of the agent that speaks to the network and has no rights, as one object on a loop. It writes to
// the API what the root half found, and when (core.hpp), serves the metrics (agent/metrics), and does its part for machines that
// join (agent/supply, agent/admit). Not here: anything that looks at the machine.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>

#include "agent/daemon/half.hpp"
#include "agent/daemon/network/api_thread.hpp"
#include "agent/daemon/network/away.hpp"
#include "agent/daemon/network/clock.hpp"
#include "agent/daemon/network/join_service.hpp"
#include "agent/daemon/network/scrape.hpp"
#include "agent/daemon/watched_settings.hpp"

namespace cloudos::daemon {

class Network final : public Half {
 public:
  Network(loop::Loop& loop, Log& log);
  ~Network() override;

  Status begin();
  void reload() override { settings_.reload(); }
  [[nodiscard]] bool alive() const override { return !api_ || api_->alive(); }

 private:
  void connect();
  void lost(const std::string& why);
  void hear();
  void understand(std::string_view text);
  void say(const halves::FromNetwork& message);

  void take_report(halves::Report report);
  void take_credential(halves::Credential credential);
  void take_figures(halves::Figures figures);
  void apply(const settings::Settings& fresh);
  void tell_api();
  void look_at_clock();
  void serve();

  // Of the metrics' threads.
  [[nodiscard]] std::optional<halves::Figures> ask_figures();
  [[nodiscard]] std::optional<halves::Report> last_report() const;
  void figures_wanted();

  loop::Loop& loop_;
  Log& log_;
  WatchedSettings settings_;
  settings::Settings now_;
  std::optional<halves::Link> link_;
  AwayLog away_;
  std::optional<ApiThread> api_;
  ClockWatch clock_;
  std::optional<halves::Credential> credential_;

  mutable std::mutex mutex_;  // of what the metrics' threads see
  std::condition_variable answered_;
  std::optional<halves::Report> report_;
  std::optional<halves::Figures> figures_;
  std::uint64_t figures_count_ = 0;
  bool connected_ = false;
  os::Fd bell_;

  loop::Source link_source_, retry_, clock_timer_, serve_again_, bell_source_;
  std::unique_ptr<Scrape> scrape_;
  Store store_;
  Admission admission_;
};

}  // namespace cloudos::daemon
