#include <csignal>
#include <string>
#include <vector>

#include "agent/cli/cli.hpp"

int main(int argc, char** argv) {
  // A listener that goes away shows as a failed write, not as our end.
  std::signal(SIGPIPE, SIG_IGN);
  return cloudos::agent::run(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
}
