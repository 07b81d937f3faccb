#pragma once

// Inside core/model only: the fields that more than one document shares.

#include "core/model/codec.hpp"
#include "core/model/config.hpp"

namespace cloudos::model {

// Beside Role, not in codec: found by argument-dependent lookup.
using codec::Json;
inline Json to(Role role) { return role == Role::master ? "master" : "node"; }
inline void from(const Json& j, Role& role) {
  std::string text;
  codec::from(j, text);
  if (text != "master" && text != "node") throw codec::ShapeError("expected \"master\" or \"node\", found \"" + text + "\"");
  role = text == "master" ? Role::master : Role::node;
}

void fields(auto& a, codec::is<Taint> auto& t) {
  a("key", t.key);
  a("value", t.value);
  a("effect", t.effect);
}
void fields(auto& a, codec::is<MachineConfig> auto& m) {
  a("id", m.id);
  a("host", m.host);
  a("port", m.port);
  a("user", m.user);
  a("key", m.key);
  a("host_key", m.host_key);
  a("role", m.role);
  a("hostname", m.hostname);
  a("address", m.address);
  a("labels", m.labels);
  a("taints", m.taints);
}
void fields(auto& a, codec::is<ClusterConfig> auto& c) {
  a("name", c.name);
  a("endpoint", c.endpoint);
  a("pod_cidr", c.pod_cidr);
  a("service_cidr", c.service_cidr);
  a("dns_domain", c.dns_domain);
  a("default_user", c.default_user);
  a("machines", c.machines);
}

}  // namespace cloudos::model
