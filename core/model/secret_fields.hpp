#pragma once

// Beside codec.hpp: secrets in documents. Only for streams that stay within one machine or one SSH connection: what the installer
// sends to the agent (plan.hpp, ApplyRequest), and what the agent's root half tells its network half (agent/halves).

#include "core/base/secret.hpp"
#include "core/model/codec.hpp"

namespace cloudos {

// Beside Secret, not in codec: found by argument-dependent lookup.
inline model::codec::Json to(const Secret& secret) { return std::string(secret.reveal()); }
inline void from(const model::codec::Json& j, Secret& secret) {
  std::string text;
  model::codec::from(j, text);
  secret = Secret(std::move(text));
}

}  // namespace cloudos
