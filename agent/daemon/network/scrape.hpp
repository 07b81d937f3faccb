// Inside agent/daemon: the metrics as they are served: TLS on the node's address to callers whom the API server knows and allows
// (as kubelet does it), plain on the machine itself for whoever is there, if an operator wants that.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "agent/halves/halves.hpp"
#include "agent/settings/settings.hpp"
#include "core/base/log.hpp"

namespace cloudos::daemon {

class Scrape {
 public:
  struct Hooks {
    // From the servers' threads: the figures that only root can read, asked for anew; nothing when the root half is away.
    std::function<std::optional<halves::Figures>()> figures;
    std::function<std::optional<halves::Report>()> report;
    struct Own {
      std::uint64_t writes = 0, errors = 0;
    };
    std::function<Own()> own;
  };
  Scrape(Hooks hooks, Log& log);
  ~Scrape();
  Scrape(const Scrape&) = delete;
  Scrape& operator=(const Scrape&) = delete;

  // What is served, and with what. Starts, stops and renews what has changed; false when something could not be started and
  // is to be tried again.
  bool set(const settings::Settings::Metrics& settings, const std::optional<halves::Credential>& credential);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cloudos::daemon
