#pragma once

#include <filesystem>

#include "images/bundle.hpp"
#include "installer/cli/command.hpp"

namespace cloudos::cli {

// Which bundle is installed, and whose signature it must carry.
struct BundleFlags {
  std::string file;
  std::vector<std::string> keys;
  bool allow_unsigned = false;
  void add_to(CLI::App& command);
};

// Opens the bundle that was named, or the newest *.bundle beside the program, in its parent folders' "build" or in ./build.
// Keys: those named, else bundle.pub beside the bundle, else ~/.config/cloudos/keys/*.pub.
// Errors: input (no bundle, no key), and images::Bundle::open's.
[[nodiscard]] Result<images::Bundle> open_bundle(const BundleFlags& flags);

}  // namespace cloudos::cli
