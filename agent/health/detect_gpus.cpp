// GPUs. Which one is ill is judged by whoever offers them (agent/devices); here that becomes a condition. Only where nobody
// watches them, or for one that the watcher does not know, the errors in the kernel's log are all there is.
#include <algorithm>
#include <format>

#include "agent/health/detectors.hpp"
#include "core/base/text.hpp"

namespace cloudos::health {

namespace {

using xid::Remedy;

constexpr std::size_t longest_text = 200, most_gpus = 256;
// A driver's first answer to the watcher: what the log told before may be long past.
constexpr std::int64_t first_answer_ms = 120'000;

const char* reason_of(Remedy remedy, bool answered) {
  switch (remedy) {
    case Remedy::reset: return "GPUNeedsReset";
    case Remedy::restart: return "GPULost";
    case Remedy::replace: return "GPUNeedsReplacement";
    case Remedy::none:
    case Remedy::time: break;
  }
  return answered ? "GPUUnfit" : "GPUDoesNotAnswer";
}

std::string_view advice_for(Remedy remedy) {
  switch (remedy) {
    case Remedy::reset: return "it needs a reset";
    case Remedy::restart: return "restart the machine, and replace the GPU when it comes again";
    case Remedy::replace: return "replace it";
    case Remedy::none:
    case Remedy::time: break;
  }
  return "it is given out again when it was well for a while";
}

Reading bad(const std::string& address, const std::string& cause, Remedy remedy, bool answered) {
  return {.type = type::gpu,
          .subject = address,
          .verdict = Verdict::bad,
          .reason = reason_of(remedy, answered),
          .message = std::format("GPU {}: {}: {}", address, sanitise(cause).substr(0, longest_text), advice_for(remedy))};
}

class Gpus final : public Detector {
 public:
  explicit Gpus(const Thresholds& t) : t_(t) {}

  void look(const Sample& sample, Readings& out) override {
    for (const auto& line : sample.kernel_lines)
      if (const auto xid = xid_of(line.text)) take(*xid, sample, out);
    if (sample.gpus) judged(*sample.gpus, out);
    const bool waiting = sample.gpus && sample.gpus->empty() && sample.monotonic_ms - watched_since(sample) < first_answer_ms;
    // After a transient error nothing more comes, and that is all that can be known.
    std::erase_if(told_,
                  [&](const auto& t) { return t.second.remedy == Remedy::time && sample.monotonic_ms - t.second.at >= t_.quiet_ms; });
    for (const auto& [address, told] : told_) {
      auto reading = bad(address, told.cause, told.remedy, true);
      if (waiting) reading.verdict = Verdict::between;
      out.list.push_back(std::move(reading));
    }
    any_ = any_ || !told_.empty();
    if (sample.gpus || any_) out.looked.insert(type::gpu);
  }

 private:
  struct Told {
    Remedy remedy = Remedy::none;
    std::string cause;
    std::int64_t at = 0;  // the last
  };

  void take(const Xid& xid, const Sample& sample, Readings& out) {
    const auto remedy = xid::remedy_of(xid.number);
    const auto text = sanitise(xid.text).substr(0, longest_text);
    out.events.push_back({.reason = remedy == Remedy::none ? "GPUApplicationFault" : "GPUFault",
                          .message = std::format("GPU {} reports {} ({})", xid.address, xid::describe(xid.number), text),
                          .pod = {},
                          .at_ms = sample.wall_ms});
    if (remedy == Remedy::none || (told_.size() >= most_gpus && !told_.contains(xid.address))) return;
    auto& told = told_[xid.address];
    // Of several the gravest counts.
    if (remedy >= told.remedy) told = {.remedy = remedy, .cause = xid::describe(xid.number)};
    told.at = sample.monotonic_ms;
  }

  void judged(const std::vector<Sample::Gpu>& gpus, Readings& out) {
    for (const auto& gpu : gpus) {
      told_.erase(gpu.address);
      out.list.push_back(gpu.healthy ? Reading{.type = type::gpu, .subject = gpu.address}
                                     : bad(gpu.address, gpu.cause, gpu.remedy, gpu.answered));
    }
  }

  std::int64_t watched_since(const Sample& sample) {
    if (!watched_since_) watched_since_ = sample.monotonic_ms;
    return *watched_since_;
  }

  const Thresholds& t_;
  std::map<std::string, Told> told_;  // address -> what the log told, and nobody else could judge
  std::optional<std::int64_t> watched_since_;
  bool any_ = false;
};

}  // namespace

std::unique_ptr<Detector> gpu_detector(const Thresholds& t) { return std::make_unique<Gpus>(t); }

}  // namespace cloudos::health
