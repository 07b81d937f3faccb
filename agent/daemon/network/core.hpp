// Inside agent/daemon, and for those who measure it: what the network half writes to the API next. Pure: reports of the root
// half, answers of the API and the time come in; one request at a time goes out. No thread, no socket, no clock, so that tests
// run hours in milliseconds and a thousand of these fit into one process.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "agent/daemon/network/away.hpp"
#include "agent/halves/halves.hpp"
#include "agent/labels/labels.hpp"

namespace cloudos::daemon {

using Json = nlohmann::json;

// One request to the API server.
struct Request {
  enum class Kind {
    read,      // GET of the node
    metadata,  // merge patch of its labels and annotations
    status,    // strategic merge patch of its conditions
    event,     // POST of an event
  };
  Kind kind = Kind::read;
  std::string path;
  Json body = {};
};

// What came of it.
struct Reply {
  enum class Outcome {
    done,       // `object` is what the API gave back
    not_found,  // of the node: it has not joined yet, or somebody removed it
    refused,    // it would be refused again
    conflict,   // it is there already, or somebody was faster
    auth,       // the credential was not accepted, or may not
    away,       // nobody answered, or not now; it may have been carried out
  };
  Outcome outcome = Outcome::done;
  Json object = {};
  std::string why = {};
};

class Core {
 public:
  struct Options {
    std::string node;
    std::uint64_t seed = 0;              // of the jitter
    Milliseconds look_apart{65'000};     // a label that is absent is counted so often at most: longer than looks are apart
    Milliseconds read_again{1'800'000};  // what others changed on the node is seen after that time
    unsigned events_a_minute = 30;
    Milliseconds same_event{3'600'000};  // within it the same event about the same thing is not written again
  };
  struct Counters {
    std::map<std::string, std::uint64_t> requests;  // "read", "metadata", "status", "event": those that succeeded
    std::uint64_t failures = 0;                     // requests that did not
    std::uint64_t events_suppressed = 0, events_dropped = 0;
  };
  struct Next {
    std::optional<Request> request;  // to be made now, and answered by reply()
    Time until;                      // else nothing is to be done before, unless a report comes
  };

  explicit Core(Options options) : options_(std::move(options)), random_(static_cast<std::uint32_t>(options_.seed % 2'147'483'646 + 1)) {}

  void report(halves::Report report);
  // Something that this half saw itself.
  void add(const health::HealthEvent& event);
  // There is another credential: no need to wait any longer.
  void renewed() { not_before_ = Time::min(); }
  [[nodiscard]] Next next(Time now);
  void reply(const Request& request, Reply reply, Time now);

  // Whether the root half is to be asked for the credential; says so once for each time it was refused.
  [[nodiscard]] bool take_wants_credential() { return std::exchange(wants_credential_, false); }
  // What the root half need not keep any more, when there is news of it.
  [[nodiscard]] std::optional<halves::Delivered> take_delivered();
  [[nodiscard]] std::vector<std::string> take_log() { return std::exchange(log_, {}); }
  [[nodiscard]] const Counters& counters() const { return counters_; }
  [[nodiscard]] bool in_touch() const { return view_.has_value() && away_.failures() == 0; }

 private:
  // The node as the API had it when it last told.
  struct View {
    labels::Labels labels;
    std::map<std::string, std::string> annotations;  // those named cloudos.io/…
    struct Condition {
      std::string status, reason, message, since;
    };
    std::map<std::string, Condition> conditions;
  };
  struct Pending {
    std::string epoch;  // "" for this half's own
    std::uint64_t sequence = 0;
    health::HealthEvent event;
    int refusals = 0;
  };

  void see(const Json& node, Time now);
  [[nodiscard]] std::optional<Request> metadata(Time now);
  [[nodiscard]] std::optional<Request> status();
  [[nodiscard]] std::optional<Request> event(Time now);
  [[nodiscard]] std::optional<Request> dropped_event();
  [[nodiscard]] bool suppressed(const health::HealthEvent& event, Time now);
  void drop_oldest(std::size_t keep);
  void event_done(const Request& request, bool written, Time now);
  void failed(const Request& request, const Reply& reply, Time now);
  void event_failed(const Request& request, const Reply& reply);

  Options options_;
  std::minstd_rand random_;
  std::optional<View> view_;
  Time read_again_at_{};
  Time not_before_ = Time::min();
  bool wants_credential_ = false;
  AwayLog away_;
  std::vector<std::string> log_;
  Counters counters_;

  std::optional<halves::Report> report_;
  bool metadata_due_ = false, status_due_ = false;
  labels::Memory memory_;
  std::optional<Time> counted_at_;
  // What becomes of the two when the write that is under way succeeds.
  std::optional<labels::Memory> memory_then_;
  std::optional<Time> counted_then_;

  std::deque<Pending> events_;
  std::string epoch_;
  std::uint64_t taken_ = 0;  // of epoch_
  std::uint64_t own_ = 0;    // this half's own events so far
  std::optional<halves::Delivered> delivered_;
  std::map<std::string, Time> said_;  // what an event said and about what -> when
  Time window_{};
  unsigned in_window_ = 0;
  std::uint64_t dropped_ = 0, dropped_told_ = 0;
  std::int64_t dropped_at_ms_ = 0;
};

// As the API writes times: "2026-11-28T15:04:05Z".
[[nodiscard]] std::string timestamp(std::int64_t ms);
// The event object of `node`; its name is made of `key`, so that writing it twice is seen as such.
[[nodiscard]] Request event_request(const std::string& node, const health::HealthEvent& event, const std::string& key);

}  // namespace cloudos::daemon
