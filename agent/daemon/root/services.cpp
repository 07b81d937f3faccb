#include "agent/daemon/root/services.hpp"

#include <algorithm>
#include <format>

#include "core/base/text.hpp"
#include "core/model/paths.hpp"
#include "core/os/bus/bus.hpp"

namespace cloudos::daemon {

std::vector<Services::Question> node_services() {
  return {{.name = "containerd", .socket = paths::containerd_socket, .method = "/runtime.v1.RuntimeService/Version"},
          {.name = "kubelet",
           .socket = std::string(paths::kubelet_state) + "/pod-resources/kubelet.sock",
           .method = "/v1.PodResourcesLister/GetAllocatableResources"}};
}

std::string unit_of(const std::string& service) { return service == "containerd" ? "cloudos-containerd.service" : service + ".service"; }

void leave_out_stopped(std::vector<health::Sample::Service>& answers) {
  if (std::ranges::all_of(answers, &health::Sample::Service::answered)) return;
  auto systemd = os::Systemd::connect();
  std::erase_if(answers, [&](const auto& service) {
    if (service.answered) return false;
    const auto state = systemd ? systemd->state(unit_of(service.name)) : Result<os::UnitState>(fail(systemd.error()));
    return !state || state->active != "active";
  });
}

void Services::ask(Milliseconds patience) {
  for (const auto& question : questions_) {
    auto& call = calls_[question.name];
    if (call) continue;
    call =
        grpc::Call::start(loop_, question.socket, question.method, "", patience, [this, &question, patience](const grpc::Answer& answer) {
          calls_[question.name].reset();
          answered(question, answer, patience);
        });
  }
}

void Services::answered(const Question& question, const grpc::Answer& answer, Milliseconds patience) {
  // Any answer shows that it is alive, also that it does not know the question.
  const bool silent = !answer && (answer.error().code == grpc::Code::deadline_exceeded || answer.error().code == grpc::Code::unavailable);
  std::string reason;
  if (silent && answer.error().code == grpc::Code::deadline_exceeded) reason = std::format("nothing came within {}", human(patience));
  else if (silent) reason = sanitise(answer.error().message);
  std::erase_if(answers_, [&](const auto& old) { return old.name == question.name; });
  answers_.push_back({.name = question.name, .answered = !silent, .reason = std::move(reason)});
}

std::vector<health::Sample::Service> Services::take() { return std::exchange(answers_, {}); }

}  // namespace cloudos::daemon
