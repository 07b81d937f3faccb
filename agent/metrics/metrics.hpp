// agent/metrics: the text that the agent serves at /metrics, in Prometheus' format 0.0.4 (docs/metrics.md). The machine's figures
// under the names of node_exporter, GPUs under those of DCGM's exporter, ours as cloudos_*. It runs in the network half: it
// reads /proc and /sys as an unprivileged process may, and is told the rest. Not here: who may scrape, and the HTTP of it
// (agent/daemon, agent/http); what only root can read (halves::Figures).
#pragma once

#include <sys/statvfs.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "agent/facts/facts.hpp"
#include "agent/halves/halves.hpp"

namespace cloudos::metrics {

struct Options {
  facts::Roots roots;
  // How long the file systems of the machine may take to say how full they are, all together. What has not answered by then is
  // reported as node_filesystem_device_error.
  Milliseconds patience{500};
  // statvfs(3): 0 or an errno. It may hang, as it does on a dead NFS server; it is called from threads of its own, and must
  // stay callable when the Collectors are gone.
  std::function<int(const std::string& path, struct statvfs& out)> statvfs{};
};

// What the network half counts itself.
struct Own {
  std::uint64_t api_writes = 0;  // requests to the API server that changed something
  std::uint64_t api_errors = 0;  // requests that failed, for whatever reason
};

struct Inputs {
  std::string node;                          // its name in the cluster; empty: the host name
  const halves::Report* report = nullptr;    // nullptr: the root half is away, its figures are left out
  const halves::Figures* figures = nullptr;  // as above
  Own own{};
};

// One thread at a time.
class Collectors {
 public:
  explicit Collectors(Options options);
  ~Collectors();
  Collectors(Collectors&&) noexcept;
  Collectors& operator=(Collectors&&) noexcept;

  // The whole page. Never fails and never waits for longer than `patience`, whatever hangs: what cannot be read is left out, and
  // node_scrape_collector_success says of which collector.
  [[nodiscard]] std::string render(const Inputs& inputs);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cloudos::metrics
