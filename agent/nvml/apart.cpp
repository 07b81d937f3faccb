#include "agent/nvml/apart.hpp"

#include <signal.h>

#include <system_error>
#include <thread>

namespace cloudos::nvml {

Status run_apart(std::function<void()> work) {
  // Signals are the loop's: the thread inherits a mask without them.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  Status started;
  try {
    std::thread(std::move(work)).detach();
  } catch (const std::system_error& error) { started = fail(ErrorKind::io, std::string("start a thread: ") + error.what()); }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return started;
}

}  // namespace cloudos::nvml
