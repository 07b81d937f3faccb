#include <format>

#include "core/base/text.hpp"
#include "core/base/units.hpp"
#include "installer/report/report.hpp"

namespace cloudos::report {

namespace {

using Kind = model::Event::Kind;

struct Colour {
  std::string_view start, end;
};
Colour colour_of(Kind kind, bool wanted) {
  if (!wanted) return {};
  switch (kind) {
    case Kind::step_failed:
    case Kind::run_failed: return {"\x1b[31m", "\x1b[0m"};
    case Kind::finding: return {"\x1b[33m", "\x1b[0m"};
    case Kind::run_done: return {"\x1b[32m", "\x1b[0m"};
    default: return {};
  }
}

// "applied 3, satisfied 12" out of the counts that the agent gives at the end of a run.
std::string counts_of(const model::Event& event) {
  const auto count = [&](const char* key) {
    const auto at = event.outputs.find(key);
    return at == event.outputs.end() ? std::string{"0"} : at->second;
  };
  const auto applied = count("applied");
  const auto satisfied = count("satisfied");
  return applied == "0" ? std::format("nothing to do ({} checked)", satisfied)
                        : std::format("done, {} applied, {} were right already", applied, satisfied);
}

std::string step_of(const model::Event& event) { return event.step.value.empty() ? event.stage.value : event.step.value; }

std::string body_of(const model::Event& event, const PlainOptions& options) {
  switch (event.kind) {
    case Kind::run_started: return event.text;
    case Kind::step_started: return options.verbose > 0 ? std::format("{}: {}", step_of(event), event.text) : "";
    case Kind::step_satisfied: return options.verbose > 1 ? std::format("{}: right already", step_of(event)) : "";
    case Kind::step_done: return options.verbose > 0 ? std::format("{}: done", step_of(event)) : "";
    case Kind::step_needed: return std::format("{} would be applied: {}", step_of(event), event.text);
    case Kind::step_failed: return std::format("{} FAILED: {}", step_of(event), event.failure.message);
    case Kind::progress:
      if (options.verbose < 2) return "";
      return std::format("{} {} of {}", event.text, human(Bytes{event.done}), human(Bytes{event.total}));
    case Kind::note:
    case Kind::finding: return event.text;
    case Kind::run_done: return std::format("{}: {}", event.text.empty() ? event.stage.value : event.text, counts_of(event));
    case Kind::run_failed: return options.verbose > 0 ? std::format("{} failed", event.stage.value) : "";
  }
  return "";
}

void add_line(std::string& out, std::string_view label, std::string_view text) {
  if (!text.empty()) out += std::format("  {:<9}{}\n", label, text);
}

}  // namespace

std::string line_of(const model::Event& event, const PlainOptions& options) {
  const bool failure = event.kind == Kind::step_failed || event.kind == Kind::finding;
  if (options.quiet && !failure) return "";
  const auto body = sanitise(body_of(event, options));
  if (body.empty()) return "";
  const auto colour = colour_of(event.kind, options.colour);
  if (event.machine.value.empty()) return std::format("{}{}{}", colour.start, body, colour.end);
  return std::format("{:<16} {}{}{}", sanitise(event.machine.value), colour.start, body, colour.end);
}

std::string failure_text(const model::Event& event) {
  const auto& failure = event.failure;
  std::string out = std::format("{}: {} failed\n", event.machine.value, step_of(event));
  add_line(out, "what", failure.message);
  add_line(out, "command", failure.command);
  add_line(out, "ended", failure.exit);
  if (!failure.logs.empty()) {
    out += "  logs\n";
    for (const auto& line : failure.logs) out += std::format("    {}\n", line);
  }
  add_line(out, "cause", failure.cause);
  add_line(out, "next", failure.hint);
  return sanitise(out);
}

}  // namespace cloudos::report
