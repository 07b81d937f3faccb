// Inside agent/daemon: what of this process stays in memory.
#pragma once

namespace cloudos::daemon {

// Unmaps the pages of code and constants that were touched until now, of the program and its libraries, and gives free heap back to
// the kernel. What is needed again comes back from the page cache at its next use, some microseconds a page. A start, or a TLS
// handshake, touches several times what the quiet life between does, and every page stays in the resident set, out of the kernel's
// easy reach, for as long as nobody says that it may go (docs/agent.md has the figures).
void give_back_idle_memory();

}  // namespace cloudos::daemon
