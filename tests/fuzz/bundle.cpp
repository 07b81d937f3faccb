// Any bytes as a whole bundle file that is taken without a signature: refused with an error, or every blob can be asked for
// and what is given out is what its chunks say.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <format>

#include "core/os/file/file.hpp"
#include "images/bundle.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cloudos;
  const os::Fd file(::memfd_create("bundle", MFD_CLOEXEC));
  if (!os::write_all(file.get(), std::as_bytes(std::span(data, size)))) std::abort();
  const auto bundle = images::Bundle::open(std::format("/proc/self/fd/{}", file.get()), {.allow_unsigned = true});
  if (!bundle) {
    if (bundle.error().message.empty()) std::abort();
    return 0;
  }
  for (const auto& [hex, blob] : bundle->index().blobs) {
    const auto content = bundle->read(Digest::parse(hex).value(), 1U << 20);
    if (content && blob.chunks.size() == 1 && os::sha256(*content) != blob.chunks[0]) std::abort();
  }
  static_cast<void>(images::verify_all(*bundle));
  return 0;
}
