// What is remembered of a sandbox between two commands: its subnet and what its machines were made as. Plain data and its
// file, /var/lib/cloudos-sandbox/NAME/sandbox.json. What can be asked of the kernel (does it run?) is not in it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "installer/sandbox/network.hpp"
#include "installer/sandbox/sandbox.hpp"

namespace cloudos::sandbox {

struct MachineRecord {
  std::string name, address;
  MachineSize size;
};

struct Record {
  std::string name;
  Kind kind = Kind::container;
  std::string release, shell;
  Subnet subnet;
  std::vector<MachineRecord> machines;
  std::string accelerator = {};  // of VMs: "kvm" or "tcg"; empty before the first boot
};

// JSON, version 1. Errors of decode: input.
[[nodiscard]] std::string encode(const Record& record);
[[nodiscard]] Result<Record> decode(std::string_view text);

// Adds the machines that `masters` and `nodes` ask for and the record lacks; those that are there stay as they are.
// master-N has the address .10+N, node-N .100+N. Errors: usage (more than the subnet has addresses for).
[[nodiscard]] Status grow(Record& record, unsigned masters, unsigned nodes, const MachineSize& size);

[[nodiscard]] Result<std::optional<Record>> load(const std::string& name);
[[nodiscard]] Status save(const Record& record);
// The names of the sandboxes that have a folder, sorted.
[[nodiscard]] std::vector<std::string> names_here();

// fs.inotify.max_user_instances is one figure for all machines of a computer; a kubelet and a containerd each take dozens.
// Raises it to 8192 and remembers what it was; put_back restores that unless somebody changed it since.
[[nodiscard]] Status raise_inotify();
[[nodiscard]] Status put_back_inotify();

}  // namespace cloudos::sandbox
