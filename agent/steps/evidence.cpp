#include "agent/steps/evidence.hpp"

#include <algorithm>
#include <chrono>
#include <format>
#include <optional>

#include "agent/steps/causes.hpp"
#include "core/base/text.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::steps {
namespace {

constexpr std::size_t lines_a_source = 12;
constexpr std::uintmax_t tail_bytes = 16U << 10;
constexpr std::chrono::minutes recent_events{5};
constexpr auto containerd = "cloudos-containerd.service";
constexpr auto kubelet = "kubelet.service";

void add(std::vector<std::string>& out, const std::string& source, std::string_view text, const Session& session) {
  std::vector<std::string> lines;
  for (const auto& line : split(text, '\n'))
    if (!trim(line).empty()) lines.push_back(source + ": " + sanitise(session.redact(line.substr(0, 400))));
  const auto from = lines.size() > lines_a_source ? lines.size() - lines_a_source : 0;
  out.insert(out.end(), lines.begin() + static_cast<std::ptrdiff_t>(from), lines.end());
}

void add_unit(std::vector<std::string>& out, const std::string& unit, Session& session) {
  auto answer = session.ask({"journalctl", "--no-pager", "-q", "-o", "cat", "-n", "40", "-u", unit}, {.limit = Milliseconds{10'000}});
  if (answer && answer->exit.ok()) add(out, unit.substr(0, unit.rfind('.')), answer->out, session);
}

std::string tail(const fs::path& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  auto text = os::read(path);
  if (error || !text) return "";
  return size > tail_bytes ? text->substr(text->size() - tail_bytes) : *text;
}

// The newest log of each static pod: /var/log/pods/kube-system_<pod>_<uid>/<container>/<restart>.log (kubelet's
// ContainerLogsDir layout).
void add_static_pods(std::vector<std::string>& out, Session& session) {
  for (const auto* name : {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"}) {
    std::optional<fs::path> newest;
    std::error_code error;
    for (const auto& pod : fs::directory_iterator(session.at("/var/log/pods"), error)) {
      if (!pod.path().filename().string().starts_with("kube-system_" + std::string(name) + "-")) continue;
      std::error_code inner;
      for (const auto& log : fs::directory_iterator(pod.path() / name, inner))
        if (log.path().extension() == ".log" && (!newest || log.last_write_time(inner) > fs::last_write_time(*newest, inner)))
          newest = log.path();
    }
    if (newest) add(out, name, tail(*newest), session);
  }
}

// What follows the RFC 3339 time at the line's beginning, or "" when that is before `since`. Times in UTC compare as text.
std::string recent(const std::string& line, std::string_view since) {
  const auto space = line.find(' ');
  return space == std::string::npos || line.substr(0, space) < since ? "" : line.substr(space + 1);
}

void add_events(std::vector<std::string>& out, Session& session) {
  auto answer = session.ask(
      session.kubectl(
          {"--request-timeout=10s", "get", "events", "-A", "--field-selector", "type=Warning", "--sort-by=.lastTimestamp", "-o",
           R"(jsonpath={range .items[*]}{.lastTimestamp}{" "}{.involvedObject.name}{": "}{.reason}{": "}{.message}{"\n"}{end})"}),
      {.limit = Milliseconds{15'000}});
  if (!answer || !answer->exit.ok()) return;
  const auto since = std::format("{:%FT%TZ}", std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now() - recent_events));
  std::string telling;
  for (const auto& line : split(answer->out, '\n'))
    // The kubelet warns of cgroup v1 at each start (KEP-5573); it explains no failure.
    if (const auto text = recent(line, since); !text.contains(": CgroupV1: ") && !telling.contains(text + "\n")) telling += text + "\n";
  add(out, "event", telling, session);
}

}  // namespace

std::vector<std::string> evidence_for(const model::Action& action, Session& session) {
  std::vector<std::string> lines;
  const auto kind = model::kind_of(action);
  if (const auto* unit = std::get_if<model::Unit>(&action)) add_unit(lines, unit->name, session);
  if (kind == model::LoadImages::kind) add_unit(lines, containerd, session);
  if (kind == model::KubeadmInit::kind || kind == model::KubeadmJoin::kind || kind == model::KubeadmControlPlane::kind ||
      kind == model::NodeReady::kind) {
    add_unit(lines, kubelet, session);
    add_unit(lines, containerd, session);
    add_static_pods(lines, session);
  }
  if (kind == model::NodeReady::kind || kind == model::WorkloadsReady::kind) add_events(lines, session);
  return lines;
}

model::Event::Failure failure_of(const Error& error, const model::Action& action, Session& session) {
  model::Event::Failure failure;
  failure.message = session.redact(sanitise(error.message));
  for (const auto& context : error.context) failure.message += ", " + sanitise(context);
  if (session.failed_command) {
    failure.command = session.failed_command->command;
    failure.exit = session.failed_command->exit;
    for (const auto& line : session.failed_command->lines) failure.logs.push_back("output: " + line);
  }
  auto lines = evidence_for(action, session);
  // The command's own words weigh more than what the services say at the same time.
  const auto own = likely_cause(failure.message + "\n" + join(failure.logs, "\n"));
  const auto around = likely_cause(join(lines, "\n"));
  failure.logs.insert(failure.logs.end(), std::make_move_iterator(lines.begin()), std::make_move_iterator(lines.end()));
  const auto& best = own.cause.empty() || (own.symptom && !around.cause.empty()) ? around : own;
  failure.cause = best.cause;
  failure.hint = error.hint.empty() ? best.hint : error.hint;
  if (failure.hint.empty()) failure.hint = "run the same command again: it goes on where it stopped";
  return failure;
}

}  // namespace cloudos::steps
