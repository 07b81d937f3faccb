#include "core/model/plan.hpp"

#include <algorithm>
#include <set>

#include "core/model/config_fields.hpp"
#include "core/model/secret_fields.hpp"

namespace cloudos::model {

using codec::is;

void fields(auto& a, is<Folder> auto& v) {
  a("path", v.path);
  a("mode", v.mode);
}
void fields(auto& a, is<WriteFile> auto& v) {
  a("path", v.path);
  a("mode", v.mode);
  a("content", v.content);
  a("keep_existing", v.keep_existing);
}
void fields(auto& a, is<InstallFile> auto& v) {
  a("path", v.path);
  a("mode", v.mode);
  a("blob", v.blob);
  a("stored", v.stored);
  a("digest", v.content);
  a("size", v.content_size);
}
void fields(auto& a, is<Symlink> auto& v) {
  a("path", v.path);
  a("target", v.target);
  a("keep_existing", v.keep_existing);
}
void fields(auto& a, is<KeepOnly> auto& v) {
  a("path", v.path);
  a("names", v.names);
}
void fields(auto& a, is<Sysctl> auto& v) {
  a("key", v.key);
  a("value", v.value);
}
void fields(auto& a, is<KernelModule> auto& v) { a("name", v.name); }
void fields(auto&, is<SwapOff> auto&) {}
void fields(auto& a, is<Unit> auto& v) {
  a("name", v.name);
  a("content", v.content);
  a("enable", v.enable);
  a("start", v.start);
  a("watches", v.watches);
}
void fields(auto& a, is<LoadImages::Image> auto& v) {
  a("ref", v.ref);
  a("manifest", v.manifest);
  a("config", v.config);
  a("layers", v.layers);
}
void fields(auto& a, is<LoadImages> auto& v) {
  a("images", v.images);
  a("unpack", v.unpack);
}
void fields(auto& a, is<KubeadmInit> auto& v) {
  a("config", v.config);
  a("node", v.node);
  a("ignore_preflight", v.ignore_preflight);
}
void fields(auto& a, is<KubeadmJoin> auto& v) {
  a("config", v.config);
  a("discovery", v.discovery);
  a("node", v.node);
  a("control_plane", v.control_plane);
  a("ignore_preflight", v.ignore_preflight);
}
void fields(auto& a, is<KubeadmControlPlane> auto& v) {
  a("config", v.config);
  a("discovery", v.discovery);
  a("node", v.node);
  a("ignore_preflight", v.ignore_preflight);
}
void fields(auto& a, is<OfferJoin> auto& v) {
  a("config", v.config);
  a("certificates", v.certificates);
}
void fields(auto&, is<WithdrawJoin> auto&) {}
void fields(auto& a, is<ApplyManifest> auto& v) {
  a("name", v.name);
  a("content", v.content);
}
void fields(auto& a, is<NodeSettings> auto& v) {
  a("node", v.node);
  a("labels", v.labels);
  a("taints", v.taints);
}
void fields(auto& a, is<PodNetwork> auto& v) {
  a("node", v.node);
  a("address", v.address);
  a("pod_cidr", v.pod_cidr);
}
void fields(auto& a, is<NodeReady> auto& v) {
  a("node", v.node);
  a("timeout_s", v.timeout_s);
}
void fields(auto& a, is<WorkloadsReady> auto& v) {
  a("names", v.names);
  a("timeout_s", v.timeout_s);
}

// Beside the types they serve, not in codec: found by argument-dependent lookup.
inline Json to(const Action& action) {
  return std::visit(
      [](const auto& v) {
        auto j = Json::object();
        codec::Writer writer{j};
        fields(writer, v);
        j["kind"] = v.kind;
        return j;
      },
      action);
}

template <std::size_t I = 0>
void read_action(const std::string& kind, const Json& j, Action& action) {
  if constexpr (I == std::variant_size_v<Action>) {
    throw codec::ShapeError("unknown kind of step \"" + kind + "\"");
  } else {
    using T = std::variant_alternative_t<I, Action>;
    if (kind != T::kind) return read_action<I + 1>(kind, j, action);
    T value;
    codec::Reader reader{j};
    fields(reader, value);
    action = std::move(value);
  }
}
inline void from(const Json& j, Action& action) {
  if (!j.is_object()) codec::wrong(j, "an object");
  std::string kind;
  codec::Reader{j}("kind", kind);
  read_action(kind, j, action);
}

void fields(auto& a, is<Step> auto& v) {
  a("id", v.id);
  a("what", v.what);
  a("why", v.why);
  a("action", v.action);
  a("after", v.after);
}
void fields(auto& a, is<Stage> auto& v) {
  a("id", v.id);
  a("machine", v.machine);
  a("title", v.title);
  a("after", v.after);
  a("steps", v.steps);
}
void fields(auto& a, is<PlanMachine> auto& v) {
  a("id", v.id);
  a("role", v.role);
  a("node", v.node);
  a("address", v.address);
  a("joined", v.joined);
}
void fields(auto& a, is<Plan> auto& v) {
  a("machines", v.machines);
  a("stages", v.stages);
  a("secrets", v.secrets);
}
void fields(auto& a, is<ApplyRequest> auto& v) {
  a("run", v.run);
  a("stage", v.stage);
  a("holder", v.holder);
  a("steps", v.steps);
  a("values", v.values);
  a("secrets", v.secrets);
  a("check_only", v.check_only);
}

std::string encode_plan(const Plan& plan) { return codec::encode(plan, Plan::schema); }
Result<Plan> decode_plan(std::string_view json) { return codec::decode<Plan>(json, "plan", Plan::schema); }
Secret encode_request(const ApplyRequest& request) { return Secret(codec::encode(request, ApplyRequest::schema)); }
Result<ApplyRequest> decode_request(std::string_view json) {
  return codec::decode<ApplyRequest>(json, "apply request", ApplyRequest::schema);
}

std::vector<Digest> blobs_of(const Stage& stage) {
  std::vector<Digest> out;
  std::set<Digest> seen;
  const auto need = [&](const Digest& digest) {
    if (seen.insert(digest).second) out.push_back(digest);
  };
  for (const auto& step : stage.steps) {
    if (const auto* file = std::get_if<InstallFile>(&step.action)) need(file->blob);
    if (const auto* load = std::get_if<LoadImages>(&step.action))
      for (const auto& image : load->images) {
        need(image.manifest);
        need(image.config);
        for (const auto& layer : image.layers) need(layer);
      }
  }
  return out;
}

std::string_view kind_of(const Action& action) {
  return std::visit([](const auto& v) -> std::string_view { return v.kind; }, action);
}

}  // namespace cloudos::model
