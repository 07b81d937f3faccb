// The Debian root file systems that machines start as copies of: made once per release by mmdebstrap(1) from this
// computer's own mirror, kept under the cache folder by what they are made of.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "core/base/result.hpp"
#include "core/base/units.hpp"
#include "installer/sandbox/sandbox.hpp"

namespace cloudos::sandbox {

// The mirror's address in the output of `apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)'`: the first entry
// whose signed Release file says that it is Debian itself; other vendors' entries may stand before it. Empty: none.
[[nodiscard]] std::string debian_mirror(std::string_view indextargets);

[[nodiscard]] Result<std::filesystem::path> cache_folder();

// The folder with the root file system. Errors: failed (mmdebstrap's last words).
[[nodiscard]] Result<std::filesystem::path> ensure_root(const UpRequest& request, const Note& note);
// An ext4 image of `size` with the root file system in it, sparse. Errors: refused (the size is too small).
[[nodiscard]] Result<std::filesystem::path> ensure_image(const std::filesystem::path& root, Bytes size, const Note& note);

}  // namespace cloudos::sandbox
