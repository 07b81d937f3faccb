// Writing to whoever may be gone, where no MSG_NOSIGNAL can be given: pipes, and libraries that write by themselves.
#pragma once

#include <csignal>

namespace cloudos::os {

// While this lives, SIGPIPE is blocked in this thread only, and one that our own write raised is taken off the thread before the old
// mask comes back (pthread_sigmask(3), sigtimedwait(2)): the write fails with EPIPE, and nobody else's signals change.
class WithoutSigpipe {
 public:
  WithoutSigpipe();
  ~WithoutSigpipe();
  WithoutSigpipe(const WithoutSigpipe&) = delete;
  WithoutSigpipe& operator=(const WithoutSigpipe&) = delete;

 private:
  sigset_t pipe_{}, before_{};
  bool was_pending_ = false;
};

}  // namespace cloudos::os
