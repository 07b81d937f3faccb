#include "agent/daemon/notify.hpp"
#include "agent/daemon/root/root.hpp"

using namespace cloudos;

int main(int argc, char** argv) {
  return daemon::run_half(argc, argv, "cloudos-agent-root: the half of the node agent that is root and has no network", "watching",
                          [](loop::Loop& loop, Log& log) -> Result<std::unique_ptr<daemon::Half>> {
                            CLOUDOS_ASSIGN(auto listening, daemon::inherited_socket());
                            return daemon::Root::start(loop, std::move(listening), log);
                          });
}
