// Inside agent/halves: the fields of each message, once for both ways (core/model/codec.hpp).
#pragma once

#include "agent/halves/halves.hpp"
#include "core/model/secret_fields.hpp"
#include "core/model/usage_fields.hpp"

namespace cloudos::health {

void fields(auto& a, model::codec::is<Condition> auto& v) {
  a("type", v.type);
  a("status", v.status);
  a("reason", v.reason);
  a("message", v.message);
  a("since_ms", v.since_ms);
}
void fields(auto& a, model::codec::is<HealthEvent> auto& v) {
  a("warning", v.warning);
  a("reason", v.reason);
  a("message", v.message);
  a("pod", v.pod);
  a("at_ms", v.at_ms);
}
void fields(auto& a, model::codec::is<Problem> auto& v) {
  a("type", v.type);
  a("subject", v.subject);
  a("reason", v.reason);
}

}  // namespace cloudos::health

namespace cloudos::halves {

using model::codec::is;

inline std::string_view word(Wish wish) {
  switch (wish) {
    case Wish::report: return "report";
    case Wish::figures: return "figures";
    case Wish::credential: return "credential";
  }
  return "";
}
inline model::codec::Json to(Wish wish) { return word(wish); }
inline void from(const model::codec::Json& j, Wish& wish) {
  std::string text;
  model::codec::from(j, text);
  for (const auto known : {Wish::report, Wish::figures, Wish::credential})
    if (text == word(known)) {
      wish = known;
      return;
    }
  throw model::codec::ShapeError("expected \"report\", \"figures\" or \"credential\"");
}

void fields(auto& a, is<Report::Event> auto& v) {
  a("sequence", v.sequence);
  a("event", v.event);
}
void fields(auto& a, is<Report> auto& v) {
  a("agent_version", v.agent_version);
  a("labels", v.labels);
  a("unknown", v.unknown);
  a("annotations", v.annotations);
  a("conditions", v.conditions);
  a("problems", v.problems);
  a("epoch", v.epoch);
  a("events", v.events);
  a("lost", v.lost);
}
void fields(auto& a, is<Figures::GpuErrors> auto& v) {
  a("uuid", v.uuid);
  a("address", v.address);
  a("last_xid", v.last_xid);
  a("ecc_corrected", v.ecc_corrected);
  a("ecc_uncorrected", v.ecc_uncorrected);
  a("healthy", v.healthy);
}
void fields(auto& a, is<Figures> auto& v) {
  a("gpus", v.gpus);
  a("gpu_errors", v.gpu_errors);
  a("sync_p99_seconds", v.sync_p99_seconds);
  a("certificates", v.certificates);
  a("restarts", v.restarts);
  a("devices", v.devices);
}
void fields(auto& a, is<Credential> auto& v) {
  a("node", v.node);
  a("role", v.role);
  a("address", v.address);
  a("server", v.server);
  a("ca", v.ca);
  a("certificate", v.certificate);
  a("key", v.key);
  a("serving_certificate", v.serving_certificate);
  a("serving_key", v.serving_key);
  a("store_certificate", v.store_certificate);
  a("store_key", v.store_key);
}
// Its version is the message's own.
void fields(auto&, is<Hello> auto&) {}
void fields(auto& a, is<Ask> auto& v) { a("wish", v.wish); }
void fields(auto& a, is<Delivered> auto& v) {
  a("epoch", v.epoch);
  a("sequence", v.sequence);
}

}  // namespace cloudos::halves
