// agent/halves: what the two halves of the agent say to each other, and the socket they say it over. The root half has no network;
// the network half has no rights. Messages are JSON with a version, one a packet (unix(7), SOCK_SEQPACKET), at most 128 KiB,
// of the closed lists below; anything else ends the connection. The root half believes nothing it is told: all that it can be
// asked for is named in `Wish`. Not here: what either half does with a message (agent/daemon).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "agent/health/health.hpp"
#include "agent/loop/loop.hpp"
#include "core/base/secret.hpp"
#include "core/model/usage.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::halves {

constexpr int version = 1;
// What a unix socket takes in one packet is bounded by its send buffer, and that by what the machine's administrator allows
// (socket(7), wmem_max: 208 KiB by default). So much fits everywhere, and leaves the kernel no large piece of memory to find.
constexpr std::size_t longest_message = 128U << 10;
constexpr std::size_t most_events = 256;

// --- from the root half ------------------------------------------------------------------------------------------------

// What the node is and how it is: always whole, so that a half that starts anew has all of it at once.
struct Report {
  std::string agent_version;
  std::map<std::string, std::string> labels;
  std::set<std::string> unknown;                   // groups of labels that could not be looked at (labels::Found)
  std::map<std::string, std::string> annotations;  // "cloudos.io/…" of the node, as they should be
  std::vector<health::Condition> conditions;
  std::vector<health::Problem> problems;
  struct Event {
    std::uint64_t sequence = 0;  // grows by one; begins anew with the root half (see `epoch`)
    health::HealthEvent event;
    bool operator==(const Event&) const = default;
  };
  std::string epoch;          // of this root half's life: random
  std::vector<Event> events;  // not yet said to be delivered, at most most_events; the oldest go
  std::uint64_t lost = 0;     // events that went so
  bool operator==(const Report&) const = default;
};

// Figures that only root can read, for the metrics. Asked for by each scrape.
struct Figures {
  std::vector<model::Usage::Gpu> gpus;
  struct GpuErrors {
    std::string uuid, address;
    std::uint64_t last_xid = 0, ecc_corrected = 0, ecc_uncorrected = 0;
    bool healthy = true;
  };
  std::vector<GpuErrors> gpu_errors;
  std::map<std::string, double> sync_p99_seconds;                       // folder -> of the last measurement
  std::map<std::string, std::int64_t> certificates;                     // path -> seconds since the epoch when it expires
  std::map<std::string, std::uint64_t> restarts;                        // service -> times that the agent restarted it
  std::map<std::string, std::map<std::string, std::uint64_t>> devices;  // resource -> "healthy" | "unhealthy" -> count
};

// With what the network half speaks to the API server and serves. Sent when asked for, and when a file of it has changed.
struct Credential {
  std::string node;         // the name that it joined with
  std::string role;         // "master" | "node"
  std::string address;      // the node's, to listen on
  std::string server;       // of the API: the node's own balancer
  std::string ca;           // PEM
  std::string certificate;  // kubelet's client certificate, PEM; with its key in `key`
  Secret key;
  std::string serving_certificate;  // kubelet's serving certificate, PEM
  Secret serving_key;
  std::string store_certificate;  // the agent's own, that join files pin, PEM
  Secret store_key;
};

// --- from the network half ---------------------------------------------------------------------------------------------

struct Hello {
  int version = halves::version;
};
enum class Wish { report, figures, credential };
struct Ask {
  Wish wish = Wish::report;
};
// All events up to this one are written, or given up.
struct Delivered {
  std::string epoch;
  std::uint64_t sequence = 0;
};

using FromRoot = std::variant<Report, Figures, Credential>;
using FromNetwork = std::variant<Hello, Ask, Delivered>;

// Secrets are in it. A report always fits: long texts in it are cut, problems beyond a quarter of a packet are left out, then the
// oldest events go and are counted in its `lost`. What is not UTF-8 is replaced. Errors of decoding: input, with what is wrong and
// where, never with a value.
[[nodiscard]] Secret encode(const FromRoot& message);
[[nodiscard]] std::string encode(const FromNetwork& message);
[[nodiscard]] Result<FromRoot> decode_from_root(std::string_view text);
[[nodiscard]] Result<FromNetwork> decode_from_network(std::string_view text);

// --- the socket --------------------------------------------------------------------------------------------------------

// One end of a connection, non-blocking, on the caller's loop or polled.
class Link {
 public:
  explicit Link(os::Fd fd);
  [[nodiscard]] int fd() const { return fd_.get(); }
  // One message. Errors: network (the other end has gone), timeout (it does not read: retryable), input (too long, or empty).
  [[nodiscard]] Status send(std::string_view message);
  // One message, nothing when none is there. Errors: network (the other end has gone), input (longer than it may be: the link is
  // of no more use).
  [[nodiscard]] Result<std::optional<std::string>> receive();

 private:
  os::Fd fd_;
};
// A pair of connected ends (socketpair(2)).
[[nodiscard]] Result<std::pair<Link, Link>> pair();
// Connects to the socket that systemd holds for the root half. Errors: network, timeout (too many wait already), both retryable;
// input (the path is too long).
[[nodiscard]] Result<Link> connect(const std::filesystem::path& socket);
// Takes the next connection of a listening socket, if its peer is this user or root (SO_PEERCRED); nothing when none waits.
// Errors: auth (somebody else), io.
[[nodiscard]] Result<std::optional<Link>> accept(int listening, std::uint32_t uid);

}  // namespace cloudos::halves
