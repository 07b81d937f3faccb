#include "installer/report/screen.hpp"

#include <algorithm>
#include <format>

#include "core/base/text.hpp"

namespace cloudos::report {

namespace {

std::size_t columns(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string padded(std::string text, std::size_t width) {
  const auto have = columns(text);
  if (have < width) text.append(width - have, ' ');
  return text;
}

}  // namespace

std::string clip(std::string_view text, std::size_t width) {
  if (columns(text) <= width) return std::string{text};
  if (width == 0) return "";
  std::size_t at = 0;
  for (std::size_t seen = 0; at < text.size(); ++at) {
    if ((static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) continue;
    if (++seen == width) break;
  }
  return std::string{text.substr(0, at)} + "…";
}

Screen::Screen(std::vector<MachineId> machines, std::map<StepId, std::string> steps) : steps_(std::move(steps)) {
  for (auto& machine : machines) rows_.push_back({.machine = std::move(machine)});
}

void Screen::on(const model::Event& event, Time now) {
  using Kind = model::Event::Kind;
  const auto row = std::ranges::find(rows_, event.machine, &Row::machine);
  if (row == rows_.end()) return;
  const auto work = [&](std::string stage, std::string step) {
    row->state = State::working;
    if (!stage.empty()) row->stage = std::move(stage);
    row->step = std::move(step);
    row->since = now;
  };
  switch (event.kind) {
    case Kind::run_started: work(sanitise(event.text), ""); break;
    case Kind::step_started: {
      const auto name = steps_.find(event.step);
      work("", sanitise(name == steps_.end() ? event.step.value : name->second));
      break;
    }
    case Kind::progress:
      row->moving = event.done < event.total ? sanitise(event.text) : "";
      row->done = event.done;
      row->total = event.total;
      break;
    case Kind::step_failed:
      row->state = State::failed;
      row->step = sanitise(event.failure.message);
      break;
    case Kind::run_failed: row->state = State::failed; break;
    case Kind::run_done:
      row->state = State::done;
      row->step.clear();
      break;
    default: break;
  }
}

std::string Screen::line(const Row& row, std::size_t name_width, std::size_t width, bool colour, Time now) {
  struct Look {
    std::string_view mark, colour;
  };
  static constexpr Look looks[] = {{"·", "\x1b[2m"}, {"▸", "\x1b[36m"}, {"✓", "\x1b[32m"}, {"✗", "\x1b[31m"}};
  const auto& look = looks[static_cast<std::size_t>(row.state)];
  std::string text = padded(sanitise(row.machine.value), name_width) + "  ";
  text += row.stage.empty() ? "waiting" : row.stage;
  if (!row.step.empty()) text += ": " + row.step;
  if (!row.moving.empty()) text += std::format("  [{} {} of {}]", row.moving, human(Bytes{row.done}), human(Bytes{row.total}));
  if (row.state == State::working) text += std::format("  {}", human(std::chrono::duration_cast<Milliseconds>(now - row.since)));
  text = clip(text, width > 2 ? width - 2 : 0);
  if (!colour) return std::format("{} {}", look.mark, text);
  return std::format("{}{}\x1b[0m {}", look.colour, look.mark, text);
}

std::vector<std::string> Screen::lines(std::size_t width, std::size_t height, bool colour, Time now) const {
  std::size_t name_width = 0;
  for (const auto& row : rows_) name_width = std::max(name_width, columns(row.machine.value));
  std::vector<const Row*> shown;
  for (const auto& row : rows_) shown.push_back(&row);
  const bool all = shown.size() <= height;
  if (!all) {
    const auto rank = [](const Row* row) { return row->state == State::failed ? 0 : row->state == State::working ? 1 : 2; };
    std::ranges::stable_sort(shown, {}, rank);
    shown.resize(height > 0 ? height - 1 : 0);
  }
  std::vector<std::string> out;
  for (const auto* row : shown) out.push_back(line(*row, name_width, width, colour, now));
  if (!all && height > 0) out.push_back(clip(std::format("  and {} more machines", rows_.size() - shown.size()), width));
  return out;
}

}  // namespace cloudos::report
