// The first process of a pod: it holds the pod's namespaces open and reaps the processes that lose their parent there
// (pid_namespaces(7): they become children of the namespace's process 1). It waits for a signal; it never polls.
#include <sys/wait.h>

#include <csignal>
#include <cstdlib>

int main() {
  sigset_t awaited;
  sigemptyset(&awaited);
  sigaddset(&awaited, SIGINT);
  sigaddset(&awaited, SIGTERM);
  sigaddset(&awaited, SIGCHLD);
  // Blocked, so that none is lost between two calls of sigwait(3).
  if (sigprocmask(SIG_BLOCK, &awaited, nullptr) != 0) return EXIT_FAILURE;
  for (int signal = 0; sigwait(&awaited, &signal) == 0;) {
    if (signal != SIGCHLD) return EXIT_SUCCESS;
    while (waitpid(-1, nullptr, WNOHANG) > 0) {}
  }
  return EXIT_FAILURE;
}
