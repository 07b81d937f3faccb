#include "agent/xid/xid.hpp"

#include <algorithm>
#include <format>
#include <iterator>

namespace cloudos::xid {
namespace {

struct Known {
  std::uint64_t number;
  Remedy remedy;
  const char* meaning;
};

// NVIDIA, "Xid Errors", chapter "Xid Catalog"; those that need nothing are also what NVIDIA's plugin passes over.
constexpr Known catalog[] = {
    {8, Remedy::none, "a program's work on the GPU was stopped because it took too long"},
    {13, Remedy::none, "a program's graphics engine exception"},
    {31, Remedy::none, "a program's memory page fault"},
    {32, Remedy::time, "an invalid or corrupted push buffer"},
    {38, Remedy::reset, "a driver firmware error"},
    {43, Remedy::none, "a program was stopped by its own fault"},
    {45, Remedy::none, "clean-up after a program that ended"},
    {48, Remedy::reset, "a double bit ECC error"},
    {61, Remedy::reset, "the microcontroller stopped at a breakpoint"},
    {62, Remedy::reset, "the microcontroller halted"},
    {63, Remedy::none, "a row of memory was remapped or a page retired"},
    {64, Remedy::replace, "a row of memory could not be remapped"},
    {66, Remedy::none, "a program's illegal access"},
    {68, Remedy::none, "a program's video decoder exception"},
    {69, Remedy::none, "a program's graphics engine class error"},
    {74, Remedy::reset, "an NVLink error"},
    {79, Remedy::restart, "the GPU has fallen off the bus"},
    {92, Remedy::none, "many single bit ECC errors"},
    {94, Remedy::none, "an uncorrectable memory error that was contained to its program"},
    {95, Remedy::reset, "an uncorrectable memory error that was not contained"},
    {109, Remedy::none, "a program's context switch timed out"},
    {110, Remedy::reset, "a security fault"},
    {119, Remedy::reset, "the GPU's system processor does not answer"},
    {120, Remedy::reset, "the GPU's system processor failed"},
    {121, Remedy::time, "a corrected error of the chip-to-chip link"},
    {137, Remedy::none, "a program's illegal access over NVLink"},
    {140, Remedy::reset, "an ECC error that was not recovered"},
    {143, Remedy::reset, "the GPU could not be initialised"},
    // Only says that the recovery action changed, which each look asks for.
    {154, Remedy::none, "the driver wants something done"},
};

const Known* known(std::uint64_t number) {
  const auto* const at = std::ranges::find(catalog, number, &Known::number);
  return at == std::end(catalog) ? nullptr : at;
}

}  // namespace

Remedy remedy_of(std::uint64_t number) {
  const auto* at = known(number);
  return at == nullptr ? Remedy::time : at->remedy;
}

std::string describe(std::uint64_t number) {
  const auto* at = known(number);
  return at == nullptr ? std::format("Xid {}", number) : std::format("Xid {}: {}", number, at->meaning);
}

}  // namespace cloudos::xid
