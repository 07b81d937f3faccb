#include "agent/cli/certificates.hpp"

#include <chrono>
#include <format>
#include <memory>
#include <nlohmann/json.hpp>

#include "agent/certificates/certificates.hpp"
#include "agent/cli/answer.hpp"
#include "core/model/paths.hpp"

namespace cloudos::agent {
namespace {

struct Flags {
  std::vector<std::string> files = certificates::watched();
  std::string root = "/", node, address, folder = paths::agent_identity;
  bool json = false;
};

Status show(const Flags& flags) {
  const auto found = certificates::expiries(flags.files, flags.root);
  if (flags.json) {
    auto list = nlohmann::json::array();
    for (const auto& each : found) list.push_back({{"path", each.path}, {"expires_s", each.expires_s}});
    return say(nlohmann::json{{"certificates", list}}.dump() + "\n");
  }
  for (const auto& each : found)
    CLOUDOS_TRY(say(std::format("{:%F %TZ}  {}\n", std::chrono::sys_seconds(std::chrono::seconds(each.expires_s)), each.path)));
  return {};
}

Status keep(const Flags& flags) {
  CLOUDOS_ASSIGN(const auto pin, certificates::keep_own(flags.node, flags.address, flags.folder));
  return say(pin + "\n");
}

}  // namespace

void add_certificates(CLI::App& app, int& status) {
  const auto flags = std::make_shared<Flags>();
  auto* shown = app.add_subcommand("certificates", "Until when this node's certificates hold");
  shown->add_option("files", flags->files, "Others than the usual");
  shown->add_option("--root", flags->root, "Where /etc and /var are");
  shown->add_flag("--json", flags->json, "As one line of JSON");
  shown->callback([flags, &status] { status = tell(show(*flags)); });
  auto* kept = app.add_subcommand("identity", "The hash of the agent's own key, which is made when there is none");
  kept->add_option("--node", flags->node, "The node's name")->required();
  kept->add_option("--address", flags->address, "The node's address")->required();
  kept->add_option("--folder", flags->folder, "Where it is kept");
  kept->callback([flags, &status] { status = tell(keep(*flags)); });
}

}  // namespace cloudos::agent
