// The few things that undo needs of the kernel's network, over netlink(7), since a raw machine may have neither ip nor nft.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/result.hpp"

namespace cloudos::steps {

// Deletes a link by name; a missing one is fine.
[[nodiscard]] Status delete_link(const std::string& name);

struct NftTable {
  std::uint8_t family = 0;  // NFPROTO_IPV4 (2), NFPROTO_IPV6 (10), NFPROTO_INET (1), …
  std::string name;
  bool operator==(const NftTable&) const = default;
  [[nodiscard]] std::string text() const;  // "ip nat"
};
// All tables of this network namespace; none where the kernel has no nf_tables.
[[nodiscard]] Result<std::vector<NftTable>> nft_tables();
// The names of a table's chains.
[[nodiscard]] Result<std::vector<std::string>> nft_chains(const NftTable& table);
// Deletes a table with all that is in it; a missing one is fine.
[[nodiscard]] Status delete_nft_table(const NftTable& table);
// Deletes a chain that has no rules and that no rule jumps to; one that has, or is missing, is left, and fine.
[[nodiscard]] Status delete_empty_chain(const NftTable& table, const std::string& chain);

}  // namespace cloudos::steps
