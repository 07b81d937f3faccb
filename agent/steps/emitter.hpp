// Numbers and dates the events of a run on their way to the sink. Thread-safe; progress is thinned to ten a second.
#pragma once

#include <chrono>
#include <mutex>

#include "agent/steps/steps.hpp"

namespace cloudos::steps {

class Emitter {
 public:
  Emitter(const EventSink& sink, StageId stage) : sink_(sink), stage_(std::move(stage)) {}

  void emit(model::Event event);
  void emit(model::Event::Kind kind, const StepId& step, std::string text) { emit({.kind = kind, .step = step, .text = std::move(text)}); }
  void progress(const StepId& step, std::uint64_t done, std::uint64_t total);
  // The first failure of the sink, after which nothing was sent any more.
  [[nodiscard]] Status status() const { return status_; }

 private:
  const EventSink& sink_;
  StageId stage_;
  std::mutex mutex_;
  std::uint64_t sequence_ = 0;
  std::chrono::steady_clock::time_point last_progress_{};
  Status status_;
};

}  // namespace cloudos::steps
