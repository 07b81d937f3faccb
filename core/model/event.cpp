#include "core/model/event.hpp"

#include <array>

#include "core/model/codec.hpp"

namespace cloudos::model {
namespace {

constexpr std::array<std::pair<Event::Kind, std::string_view>, 11> kinds{{
    {Event::Kind::run_started, "run-started"},
    {Event::Kind::step_started, "step-started"},
    {Event::Kind::step_satisfied, "step-satisfied"},
    {Event::Kind::step_done, "step-done"},
    {Event::Kind::step_needed, "step-needed"},
    {Event::Kind::step_failed, "step-failed"},
    {Event::Kind::progress, "progress"},
    {Event::Kind::note, "note"},
    {Event::Kind::finding, "finding"},
    {Event::Kind::run_done, "run-done"},
    {Event::Kind::run_failed, "run-failed"},
}};

}  // namespace

inline codec::Json to(Event::Kind kind) { return name(kind); }
inline void from(const codec::Json& j, Event::Kind& kind) {
  std::string text;
  codec::from(j, text);
  for (const auto& [value, spelling] : kinds)
    if (spelling == text) {
      kind = value;
      return;
    }
  throw codec::ShapeError("unknown event \"" + text + "\"");
}

using codec::is;

void fields(auto& a, is<Event::Failure> auto& v) {
  a("message", v.message);
  a("command", v.command);
  a("exit", v.exit);
  a("logs", v.logs);
  a("cause", v.cause);
  a("hint", v.hint);
}
void fields(auto& a, is<Event> auto& v) {
  a("event", v.kind);
  a("seq", v.sequence);
  a("at", v.at_ms);
  a("machine", v.machine);
  a("stage", v.stage);
  a("step", v.step);
  a("text", v.text);
  a("done", v.done);
  a("total", v.total);
  a("outputs", v.outputs);
  a("failure", v.failure);
}
void fields(auto& a, is<JournalRecord> auto& v) {
  a("seq", v.sequence);
  a("at", v.at_ms);
  a("run", v.run);
  a("step", v.step);
  a("kind", v.kind);
  a("state", v.state);
  a("undo", v.undo);
}

std::string_view name(Event::Kind kind) {
  for (const auto& [value, spelling] : kinds)
    if (value == kind) return spelling;
  return "note";
}

// Absent and empty mean the same in an event, so the empty fields stay out of the line.
std::string encode_event(const Event& event) {
  auto j = codec::to(event);
  if (event.failure == Event::Failure{}) j.erase("failure");
  if (event.outputs.empty()) j.erase("outputs");
  for (const char* key : {"machine", "stage", "step", "text"})
    if (j[key].get_ref<const std::string&>().empty()) j.erase(key);
  if (event.kind != Event::Kind::progress) {
    j.erase("done");
    j.erase("total");
  }
  return codec::line(j);
}
Result<Event> decode_event(std::string_view json) { return codec::decode<Event>(json, "event"); }
std::string encode_journal(const JournalRecord& record) { return codec::encode(record, JournalRecord::schema); }
Result<JournalRecord> decode_journal(std::string_view json) {
  return codec::decode<JournalRecord>(json, "journal record", JournalRecord::schema);
}

}  // namespace cloudos::model
