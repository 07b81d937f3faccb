#include <data.hpp>

#include <format>

#include "core/model/paths.hpp"
#include "core/plan/prepare.hpp"

namespace cloudos::plan {

namespace {

constexpr auto root_service = "cloudos-agent-root.service";
// An agent is laid down as a folder of its own, to which this link then points: its files are as old as their build says.
const auto link_to_agent = std::string(paths::agents) + "/current";

model::Unit unit(const char* name, std::string_view content, std::vector<std::string> watches) {
  return {.name = name, .content = std::string(content), .enable = true, .start = true, .watches = std::move(watches)};
}

}  // namespace

void add_agent(StepList& steps) {
  steps.add(std::string("file:") + paths::agent_config, std::format("the agent's settings ({})", paths::agent_config),
            "every key with its default; one that is there stays",
            model::WriteFile{.path = paths::agent_config, .mode = 0644, .content = std::string(data::agent_toml), .keep_existing = true});
  // systemd starts no socket whose service it does not know; and the service must not be running yet.
  auto root = unit(root_service, data::cloudos_agent_root_service, {});
  root.start = false;
  steps.add(std::string("unit:") + root_service, "node agent, root half", "sees what is wrong, restarts what hangs, offers GPUs",
            std::move(root));
  steps.add("unit:cloudos-agent-root.socket", "node agent: where its halves meet", "neither waits for the other to start",
            unit("cloudos-agent-root.socket", data::cloudos_agent_root_socket, {}));
  steps.add(std::string("run:") + root_service, "node agent, root half, running", "started again for a new agent",
            unit(root_service, "", {std::string("/etc/systemd/system/") + root_service, link_to_agent}));
  steps.add("unit:cloudos-agent.service", "node agent, network half", "tells the cluster what the node is and how it is",
            unit("cloudos-agent.service", data::cloudos_agent_service, {link_to_agent}));
}

}  // namespace cloudos::plan
