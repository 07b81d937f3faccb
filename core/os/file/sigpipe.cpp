#include "core/os/file/sigpipe.hpp"

#include <pthread.h>

#include <cerrno>
#include <ctime>

namespace cloudos::os {

WithoutSigpipe::WithoutSigpipe() {
  sigset_t pending;
  sigpending(&pending);
  was_pending_ = sigismember(&pending, SIGPIPE) == 1;
  sigemptyset(&pipe_);
  sigaddset(&pipe_, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
}

WithoutSigpipe::~WithoutSigpipe() {
  const timespec now{};
  if (!was_pending_) {
    while (sigtimedwait(&pipe_, nullptr, &now) < 0 && errno == EINTR) {}
  }
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

}  // namespace cloudos::os
