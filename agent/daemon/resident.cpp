#include "agent/daemon/resident.hpp"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace cloudos::daemon {
namespace {

// Segments that nobody may write hold what is in the file, so that dropping them (MADV_DONTNEED, madvise(2)) loses nothing. Relocated
// constants (RELRO) belong to a segment that is written.
int drop(dl_phdr_info* object, std::size_t /*size*/, void* /*data*/) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const auto& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
    // The last page may be shared with the next segment's first.
    const auto begin = (object->dlpi_addr + segment.p_vaddr + page - 1) / page * page;
    const auto end = (object->dlpi_addr + segment.p_vaddr + segment.p_filesz) / page * page;
    // Failure costs memory and nothing else.
    if (begin < end)
      static_cast<void>(
          ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED));  // NOLINT(performance-no-int-to-ptr): as it comes
  }
  return 0;
}

}  // namespace

void give_back_idle_memory() {
  ::dl_iterate_phdr(drop, nullptr);
  ::malloc_trim(0);
}

}  // namespace cloudos::daemon
