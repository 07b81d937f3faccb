#include "core/model/usage.hpp"

#include "core/model/usage_fields.hpp"

namespace cloudos::model {

using codec::is;

void fields(auto& a, is<Usage::Cpu> auto& v) {
  a("at_us", v.at_us);
  a("span_us", v.span_us);
  a("used_us", v.used_us);
  a("cores_m", v.cores_m);
}
void fields(auto& a, is<Usage::Memory> auto& v) {
  a("total", v.total);
  a("used", v.used);
}
void fields(auto& a, is<Usage::FileSystem> auto& v) {
  a("path", v.path);
  a("device", v.device);
  a("total", v.total);
  a("used", v.used);
  a("pods", v.pods);
}
void fields(auto& a, is<Usage> auto& v) {
  a("node", v.node);
  a("source", v.source);
  a("cpu", v.cpu);
  a("memory", v.memory);
  a("file_systems", v.file_systems);
  a("load_m", v.load_m);
  a("gpus", v.gpus);
  a("unknown", v.unknown);
}

std::string encode_usage(const Usage& usage) { return codec::encode(usage, Usage::schema); }
Result<Usage> decode_usage(std::string_view json) { return codec::decode<Usage>(json, "usage", Usage::schema); }

}  // namespace cloudos::model
