#include "installer/driver/transfer.hpp"

#include <algorithm>
#include <condition_variable>
#include <format>
#include <mutex>

#include "core/base/clock.hpp"
#include "core/base/text.hpp"
#include "installer/driver/speech.hpp"

namespace cloudos::driver {

Milliseconds retry_delay(const Timing& timing, int attempt) {
  auto delay = timing.retry_first;
  for (int i = 0; i < attempt && delay < timing.retry_most; ++i) delay *= 2;
  return std::min(delay, timing.retry_most);
}

void sleep_for(Milliseconds span, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  wake.wait_for(lock, stop, span, [] { return false; });
}

namespace {

using Clock = std::chrono::steady_clock;

// The header, then every blob from its offset on, read from the bundle only when its turn comes.
class Stream {
 public:
  Stream(const std::vector<MissingBlob>& blobs, const images::Bundle& bundle, const Setting& setting, std::function<void(std::size_t)> sent)
      : blobs_(blobs), bundle_(bundle), setting_(setting), sent_(std::move(sent)), current_(bytes_of(encode_receive(blobs))) {}

  Result<std::size_t> read(std::span<std::byte> into) {
    for (;;) {
      if (setting_.stop.stop_requested()) return fail(ErrorKind::cancelled, "stopped by the operator");
      CLOUDOS_ASSIGN(const auto count, current_(into));
      if (count > 0) {
        if (next_ > 0) sent_(count);
        return count;
      }
      if (next_ == blobs_.size()) return std::size_t{0};
      const auto& blob = blobs_[next_++];
      CLOUDOS_ASSIGN(current_, bundle_.blob(blob.digest, blob.offset));
    }
  }

 private:
  const std::vector<MissingBlob>& blobs_;
  const images::Bundle& bundle_;
  const Setting& setting_;
  std::function<void(std::size_t)> sent_;
  ByteSource current_;
  std::size_t next_ = 0;
};

class Transfer {
 public:
  Transfer(const Machine& machine, std::vector<MissingBlob> blobs, const images::Bundle& bundle, const Setting& setting,
           const std::function<void(const Digest&)>& stored)
      : machine_(machine), blobs_(std::move(blobs)), bundle_(bundle), setting_(setting), stored_(stored), alive_(Clock::now()) {
    for (const auto& blob : blobs_) total_ += blob.size - blob.offset;
  }

  Status run() {
    int attempt = 0;
    while (!blobs_.empty()) {
      const auto before = blobs_.size();
      auto status = once();
      if (status) break;
      if (blobs_.size() < before) attempt = 0;
      auto& error = status.error();
      // A blob that arrived damaged is sent once more; what is damaged here already is found out before it is sent.
      const bool refused = error.kind == ErrorKind::failed && refusals_++ < 1;
      const bool again = error.kind == ErrorKind::network || error.kind == ErrorKind::timeout || refused;
      if (!again || setting_.stop.stop_requested() || Clock::now() - alive_ > setting_.timing.lost_after)
        return fail(std::move(error).with(std::format("sending the bundle to {}", machine_.id().value)));
      setting_.log->warning("{}: transfer interrupted, trying again: {}", machine_.id().value, error.message);
      sleep_for(retry_delay(setting_.timing, attempt++), setting_.stop);
    }
    tell(true);
    return {};
  }

 private:
  Status once() {
    CLOUDOS_ASSIGN(const auto connection, setting_.connect(machine_.config()));
    alive_ = Clock::now();
    if (broken_) CLOUDOS_TRY(look(*connection));
    broken_ = true;  // until this ends well: what was on its way may or may not have arrived
    const auto going = blobs_;
    Stream stream(going, bundle_, setting_, [this](std::size_t count) {
      sent_ += count;
      alive_ = Clock::now();
      tell(false);
    });
    std::string err;
    const auto receipt = by_line([this](std::string_view line) -> Status {
      CLOUDOS_ASSIGN(const auto digest, decode_stored(line));
      arrived(digest);
      return {};
    });
    auto ended = connection->run({machine_.agent, "store", "receive"},
                                 {.in = [&](std::span<std::byte> room) { return stream.read(room); }, .out = receipt, .err = into(err)},
                                 in(setting_.timing.transfer));
    if (!ended) return fail(std::move(ended).error());
    if (ended->ok() && blobs_.empty()) return {};
    const auto words = sanitise(trim(err));
    if (ended->ok()) return fail(ErrorKind::failed, "the agent ended before it had all blobs");
    return fail(ErrorKind::failed, std::format("the agent refused a blob: {}", words.empty() ? "it said nothing" : words));
  }

  // After a lost connection the machine says how far it got.
  Status look(ssh::Transport& connection) {
    std::vector<Digest> wanted;
    for (const auto& blob : blobs_) wanted.push_back(blob.digest);
    std::string out, err;
    CLOUDOS_ASSIGN(const auto ended,
                   connection.run({machine_.agent, "store", "missing"},
                                  {.in = bytes_of(encode_wanted(wanted, bundle_.index())), .out = into(out), .err = into(err)},
                                  in(setting_.timing.question)));
    if (!ended.ok()) return fail(ErrorKind::failed, std::format("the agent cannot say what it has: {}", sanitise(trim(err))));
    CLOUDOS_ASSIGN(auto left, decode_missing(trim(out)));
    const auto before = std::exchange(blobs_, std::move(left));
    std::uint64_t remaining = 0;
    for (const auto& blob : blobs_) remaining += blob.size - blob.offset;
    sent_ = total_ > remaining ? total_ - remaining : 0;
    for (const auto& blob : before)
      if (std::ranges::find(blobs_, blob.digest, &MissingBlob::digest) == blobs_.end()) stored_(blob.digest);
    return {};
  }

  void arrived(const Digest& digest) {
    std::erase_if(blobs_, [&](const auto& blob) { return blob.digest == digest; });
    stored_(digest);
  }

  // Ten times a second is enough for any listener.
  void tell(bool last) {
    const auto now = Clock::now();
    if (!last && now - told_ < Milliseconds{100}) return;
    told_ = now;
    setting_.emit({.kind = model::Event::Kind::progress,
                   .at_ms = wall_ms(),
                   .machine = machine_.id(),
                   .text = "sending",
                   .done = std::min(sent_, total_),
                   .total = total_});
  }

  const Machine& machine_;
  std::vector<MissingBlob> blobs_;
  const images::Bundle& bundle_;
  const Setting& setting_;
  const std::function<void(const Digest&)>& stored_;
  Clock::time_point alive_, told_{};
  std::uint64_t sent_ = 0, total_ = 0;
  bool broken_ = false;
  int refusals_ = 0;
};

}  // namespace

Status transfer(const Machine& machine, std::vector<MissingBlob> blobs, const images::Bundle& bundle, const Setting& setting,
                const std::function<void(const Digest&)>& stored) {
  return Transfer(machine, std::move(blobs), bundle, setting, stored).run();
}

}  // namespace cloudos::driver
