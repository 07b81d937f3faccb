#include <algorithm>
#include <cmath>

#include "agent/halves/fields.hpp"

namespace cloudos::halves {
namespace {

using model::codec::Json;
using model::codec::line;

// What an event's note may have in the API (events.k8s.io/v1: 1 kB); no text of ours is near it.
constexpr std::size_t longest_text = 1024;
constexpr std::size_t digits = 20;  // of the largest number

template <class T>
std::string sealed(const char* type, const T& body, int spoken = version) {
  return line(Json{{"version", spoken}, {"type", type}, {"body", model::codec::to(body)}});
}

// At the end of a character, whatever stands before it.
void cut(std::string& text) {
  constexpr std::string_view more = "…";
  if (text.size() <= longest_text) return;
  auto end = longest_text - more.size();
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  text.resize(end);
  text += more;
}

void cut_texts(Report& report) {
  for (auto& condition : report.conditions)
    for (auto* text : {&condition.type, &condition.reason, &condition.message}) cut(*text);
  for (auto& problem : report.problems)
    for (auto* text : {&problem.type, &problem.subject, &problem.reason}) cut(*text);
  for (auto& [sequence, event] : report.events)
    for (auto* text : {&event.reason, &event.message, &event.pod}) cut(*text);
}

// How many items from `first` on have room.
template <class It>
It fitting(It first, const It& last, std::size_t room) {
  for (; first != last; ++first) {
    const auto size = line(model::codec::to(*first)).size() + 1;  // and a comma
    if (size > room) break;
    room -= size;
  }
  return first;
}

void drop_events(Report& report, std::size_t room) {
  const auto kept = fitting(report.events.rbegin(), report.events.rend(), room).base();
  report.lost += static_cast<std::uint64_t>(kept - report.events.begin());
  report.events.erase(report.events.begin(), kept);
}

// Labels and annotations stay as they are: one that is not told is taken off the node.
std::string encode_report(Report report) {
  constexpr const char* type = "report";
  if (report.events.size() > most_events) {
    const auto extra = report.events.size() - most_events;
    report.events.erase(report.events.begin(), report.events.begin() + static_cast<std::ptrdiff_t>(extra));
    report.lost += extra;
  }
  auto text = sealed(type, report);
  if (text.size() <= longest_message) return text;
  cut_texts(report);
  report.problems.erase(fitting(report.problems.begin(), report.problems.end(), longest_message / 4), report.problems.end());
  auto events = std::exchange(report.events, {});
  const auto bare = sealed(type, report).size() + digits;
  report.events = std::move(events);
  drop_events(report, bare < longest_message ? longest_message - bare : 0);
  return sealed(type, report);
}

// JSON has no word for what is not a number.
std::string encode_figures(Figures figures) {
  std::erase_if(figures.sync_p99_seconds, [](const auto& measured) { return !std::isfinite(measured.second); });
  return sealed("figures", figures);
}

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};

}  // namespace

Secret encode(const FromRoot& message) {
  return Secret(std::visit(
      Overloaded{[](const Report& report) { return encode_report(report); }, [](const Figures& figures) { return encode_figures(figures); },
                 [](const Credential& credential) { return sealed("credential", credential); }},
      message));
}

std::string encode(const FromNetwork& message) {
  return std::visit(Overloaded{[](const Hello& hello) { return sealed("hello", hello, hello.version); },
                               [](const Ask& ask) { return sealed("ask", ask); },
                               [](const Delivered& delivered) { return sealed("delivered", delivered); }},
                    message);
}

}  // namespace cloudos::halves
