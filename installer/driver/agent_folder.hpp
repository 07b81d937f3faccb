#pragma once

#include "installer/driver/driver.hpp"

namespace cloudos::driver {

// The bundle's agent: the blob and the folder on a machine that it becomes.
struct AgentFile {
  Digest blob;
  std::string stored;
  std::string name;    // 12 hex digits of the content digest
  std::string folder;  // /var/lib/cloudos/agent/<name>
  [[nodiscard]] std::string program() const { return folder + "/bin/cloudos-agent"; }
};
// Errors: input (the bundle holds none).
[[nodiscard]] Result<AgentFile> agent_of(const model::BundleIndex& index);

// The tar.gz with it, out of the bundle.
[[nodiscard]] Result<ByteSource> agent_archive(const AgentFile& agent, const images::Bundle& bundle);

// Unpacks it on the machine: into `<folder>.part`, then renamed, so that a half one never has its name.
[[nodiscard]] Status upload_agent(Machine& machine, const AgentFile& agent, const images::Bundle& bundle, const Setting& setting);
// Makes agent/current point to it.
[[nodiscard]] Status adopt_agent(Machine& machine, const std::string& name);
// Removes one agent's folder and those above it that are empty then.
[[nodiscard]] Status remove_agent(Machine& machine, const std::string& folder);

}  // namespace cloudos::driver
