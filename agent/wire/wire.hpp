// agent/wire: the messages of kubelet's device plugin API v1beta1 as plain data, to and from protobuf's wire format
// (protobuf.dev/programming-guides/encoding; the messages: k8s.io/kubelet pkg/apis/deviceplugin/v1beta1/api.proto). Not
// here: how they travel (agent/grpc), what they mean (agent/devices), any other message.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"

namespace cloudos::wire {

struct Empty {
  bool operator==(const Empty&) const = default;
};
struct DevicePluginOptions {
  bool pre_start_required = false;
  bool get_preferred_allocation_available = false;
  bool operator==(const DevicePluginOptions&) const = default;
};
struct RegisterRequest {
  std::string version;   // "v1beta1"
  std::string endpoint;  // the socket's name in kubelet's folder of device plugins
  std::string resource_name;
  std::optional<DevicePluginOptions> options;
  bool operator==(const RegisterRequest&) const = default;
};
struct NumaNode {
  std::int64_t id = 0;
  bool operator==(const NumaNode&) const = default;
};
struct TopologyInfo {
  std::vector<NumaNode> nodes;
  bool operator==(const TopologyInfo&) const = default;
};
struct Device {
  std::string id;      // at most 63 characters
  std::string health;  // "Healthy" or "Unhealthy"
  std::optional<TopologyInfo> topology;
  bool operator==(const Device&) const = default;
};
struct ListAndWatchResponse {
  std::vector<Device> devices;
  bool operator==(const ListAndWatchResponse&) const = default;
};
struct ContainerPreferredRequest {
  std::vector<std::string> available, must_include;
  std::int32_t size = 0;
  bool operator==(const ContainerPreferredRequest&) const = default;
};
struct PreferredRequest {
  std::vector<ContainerPreferredRequest> containers;
  bool operator==(const PreferredRequest&) const = default;
};
struct ContainerPreferredResponse {
  std::vector<std::string> ids;
  bool operator==(const ContainerPreferredResponse&) const = default;
};
struct PreferredResponse {
  std::vector<ContainerPreferredResponse> containers;
  bool operator==(const PreferredResponse&) const = default;
};
struct ContainerAllocateRequest {
  std::vector<std::string> ids;
  bool operator==(const ContainerAllocateRequest&) const = default;
};
struct AllocateRequest {
  std::vector<ContainerAllocateRequest> containers;
  bool operator==(const AllocateRequest&) const = default;
};
struct CdiDevice {
  std::string name;  // "vendor/class=device"
  bool operator==(const CdiDevice&) const = default;
};
// Mounts, device nodes and annotations of the API are left out: CDI does that.
struct ContainerAllocateResponse {
  std::map<std::string, std::string> envs;
  std::vector<CdiDevice> cdi_devices;
  bool operator==(const ContainerAllocateResponse&) const = default;
};
struct AllocateResponse {
  std::vector<ContainerAllocateResponse> containers;
  bool operator==(const AllocateResponse&) const = default;
};
struct PreStartRequest {
  std::vector<std::string> ids;
  bool operator==(const PreStartRequest&) const = default;
};

// Fields at their default are left out, as proto3 does it.
template <class Message>
[[nodiscard]] std::string encode(const Message& message);

// Fields that are not known are passed over; of a single field that comes twice the last counts. Errors: input, for bytes
// that end within a field, a field of another wire type than it must have, groups, and more than 16,384 elements in all
// repeated fields together: what a message makes us hold is bounded.
template <class Message>
[[nodiscard]] Result<Message> decode(std::string_view bytes);

}  // namespace cloudos::wire
