#include "agent/daemon/network/network.hpp"

using namespace cloudos;

int main(int argc, char** argv) {
  return daemon::run_half(argc, argv, "cloudos-agent-network: the half of the node agent that speaks to the network and has no rights",
                          "waiting for the root half", [](loop::Loop& loop, Log& log) -> Result<std::unique_ptr<daemon::Half>> {
                            auto half = std::make_unique<daemon::Network>(loop, log);
                            CLOUDOS_TRY(half->begin());
                            return half;
                          });
}
