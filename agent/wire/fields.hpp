// Inside agent/wire: which member is which field. One list a message serves both directions.
#pragma once

#include <concepts>

#include "agent/wire/wire.hpp"

namespace cloudos::wire {

template <class M, class T>
concept Is = std::same_as<std::remove_const_t<M>, T>;

template <class V>
void fields(V&, const Empty&) {}
template <class V, Is<DevicePluginOptions> M>
void fields(V& v, M& m) {
  v(1, m.pre_start_required);
  v(2, m.get_preferred_allocation_available);
}
template <class V, Is<RegisterRequest> M>
void fields(V& v, M& m) {
  v(1, m.version);
  v(2, m.endpoint);
  v(3, m.resource_name);
  v(4, m.options);
}
template <class V, Is<NumaNode> M>
void fields(V& v, M& m) {
  v(1, m.id);
}
template <class V, Is<TopologyInfo> M>
void fields(V& v, M& m) {
  v(1, m.nodes);
}
template <class V, Is<Device> M>
void fields(V& v, M& m) {
  v(1, m.id);
  v(2, m.health);
  v(3, m.topology);
}
template <class V, Is<ListAndWatchResponse> M>
void fields(V& v, M& m) {
  v(1, m.devices);
}
template <class V, Is<ContainerPreferredRequest> M>
void fields(V& v, M& m) {
  v(1, m.available);
  v(2, m.must_include);
  v(3, m.size);
}
template <class V, class M>
  requires Is<M, PreferredRequest> || Is<M, PreferredResponse> || Is<M, AllocateRequest> || Is<M, AllocateResponse>
void fields(V& v, M& m) {
  v(1, m.containers);
}
template <class V, class M>
  requires Is<M, ContainerPreferredResponse> || Is<M, ContainerAllocateRequest> || Is<M, PreStartRequest>
void fields(V& v, M& m) {
  v(1, m.ids);
}
template <class V, Is<CdiDevice> M>
void fields(V& v, M& m) {
  v(1, m.name);
}
template <class V, Is<ContainerAllocateResponse> M>
void fields(V& v, M& m) {
  v(1, m.envs);
  v(5, m.cdi_devices);
}
// An entry of a map travels as a message of two fields.
template <class V, class M>
  requires Is<M, std::pair<std::string, std::string>>
void fields(V& v, M& m) {
  v(1, m.first);
  v(2, m.second);
}

}  // namespace cloudos::wire
