#include "agent/loop/loop.hpp"

#include <signal.h>
#include <sys/inotify.h>
#include <systemd/sd-event.h>

#include <algorithm>
#include <chrono>

namespace cloudos::loop {

struct Source::State {
  sd_event_source* source = nullptr;
  std::function<void(std::uint32_t)> ready;
  std::function<void()> due;
  std::function<void(const std::string&)> made;

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (source != nullptr) sd_event_source_disable_unref(source);
  }
};

struct Loop::State {
  sd_event* event = nullptr;

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { sd_event_unref(event); }
};

namespace {

// A callback may drop its source, and with it the function that runs: so a copy runs.
int on_ready(sd_event_source*, int, std::uint32_t events, void* data) {
  const auto call = static_cast<Source::State*>(data)->ready;
  call(events);
  return 0;
}

int on_due(sd_event_source*, std::uint64_t, void* data) {
  const auto call = static_cast<Source::State*>(data)->due;
  call();
  return 0;
}

int on_made(sd_event_source*, const inotify_event* event, void* data) {
  const auto call = static_cast<Source::State*>(data)->made;
  const bool gone = (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)) != 0;
  call(gone || event->len == 0 ? std::string() : std::string(event->name));
  return 0;
}

}  // namespace

Source::Source() = default;
Source::Source(std::unique_ptr<State> state) : state_(std::move(state)) {}
Source::~Source() = default;
Source::Source(Source&&) noexcept = default;
Source& Source::operator=(Source&&) noexcept = default;

void Source::listen_for(std::uint32_t events) {
  if (state_ != nullptr) sd_event_source_set_io_events(state_->source, events);
}

Loop::Loop(std::unique_ptr<State> state) : state_(std::move(state)) {}
Loop::~Loop() = default;
Loop::Loop(Loop&&) noexcept = default;
Loop& Loop::operator=(Loop&&) noexcept = default;

Result<Loop> Loop::make() {
  auto state = std::make_unique<State>();
  if (const int r = sd_event_new(&state->event); r < 0) return fail_errno("make an event loop", -r);
  return Loop(std::move(state));
}

Result<Source> Loop::watch(int fd, std::uint32_t events, std::function<void(std::uint32_t)> ready) {
  auto state = std::make_unique<Source::State>();
  state->ready = std::move(ready);
  const int r = sd_event_add_io(state_->event, &state->source, fd, events, on_ready, state.get());
  if (r < 0) return fail_errno("watch a descriptor", -r);
  return Source(std::move(state));
}

Result<Source> Loop::after(Milliseconds span, std::function<void()> due) {
  auto state = std::make_unique<Source::State>();
  state->due = std::move(due);
  const auto microseconds = static_cast<std::uint64_t>(std::chrono::microseconds(std::max(span, Milliseconds(0))).count());
  const int r = sd_event_add_time_relative(state_->event, &state->source, CLOCK_MONOTONIC, microseconds,
                                           std::max<std::uint64_t>(microseconds / 10, 1), on_due, state.get());
  if (r < 0) return fail_errno("set a timer", -r);
  return Source(std::move(state));
}

Result<Source> Loop::folder(const std::filesystem::path& path, std::function<void(const std::string&)> made) {
  auto state = std::make_unique<Source::State>();
  state->made = std::move(made);
  const int r =
      sd_event_add_inotify(state_->event, &state->source, path.c_str(),
                           IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR, on_made, state.get());
  if (r < 0) return fail_errno("watch " + path.string(), -r);
  return Source(std::move(state));
}

Status Loop::run(bool signals) {
  if (signals) {
    // Without a callback of its own, sd-event ends the loop on the signal (sd_event_add_signal(3)).
    for (const int s : {SIGTERM, SIGINT})
      if (const int r = sd_event_add_signal(state_->event, nullptr, s | SD_EVENT_SIGNAL_PROCMASK, nullptr, nullptr); r < 0)
        return fail_errno("take signals", -r);
  }
  if (const int r = sd_event_loop(state_->event); r < 0) return fail_errno("event loop", -r);
  return {};
}

void Loop::stop() { sd_event_exit(state_->event, 0); }

Status Loop::step(Milliseconds span) {
  const int r = sd_event_run(state_->event, static_cast<std::uint64_t>(std::chrono::microseconds(span).count()));
  if (r < 0) return fail_errno("event loop", -r);
  return {};
}

}  // namespace cloudos::loop
