// Inside agent/devices: what a vendor has on this node, as plain data.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace cloudos::devices {

// What kubelet hands out: a GPU, an instance of one, or a share of either.
struct Unit {
  std::string id;      // kubelet's name of it, at most 63 characters
  std::string card;    // the GPU that it is on: what health is about
  std::string device;  // the CDI device, without its kind
  std::optional<int> numa = {};
  std::string island = {};  // GPUs with the same one reach each other over links of their own; "" when there are none
  bool operator==(const Unit&) const = default;
};

struct Resource {
  std::string name;    // "nvidia.com/gpu"
  std::string socket;  // the file's name in kubelet's folder
  std::string kind;    // of the CDI devices: "cloudos.local/nvidia"
  // The variable that the vendor's own plugin sets to the devices given; "" for none.
  std::string variable = {};
  std::vector<Unit> units = {};
  bool operator==(const Resource&) const = default;
};

// A CDI spec: what is put into a container for a device, and for any device (`all`).
struct Edits {
  std::vector<std::string> nodes;                           // below /dev: "nvidia0", "dri/renderD128"
  std::vector<std::pair<std::string, std::string>> mounts;  // read-only: here, in the container
  bool operator==(const Edits&) const = default;
};
struct Spec {
  std::string kind;
  std::vector<std::pair<std::string, Edits>> devices;
  Edits all;
  bool operator==(const Spec&) const = default;
};

struct Vendor {
  std::vector<Resource> resources;
  Spec spec;
  std::vector<std::string> remarks;  // what somebody should know, in words
  bool operator==(const Vendor&) const = default;
};

}  // namespace cloudos::devices
