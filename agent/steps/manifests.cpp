// ApplyManifest: server-side apply as field manager "cloudos". Whether a manifest is still in place is told by the uid and
// generation of each of its objects, kept here when it was applied and compared in one `kubectl get` for all manifests of
// a run: a changed or deleted object shows, without the half second that `kubectl diff` takes for each.

#include <algorithm>

#include "agent/steps/actions.hpp"
#include "agent/steps/cluster.hpp"
#include "core/base/text.hpp"
#include "core/os/crypto/crypto.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::steps {
namespace {

using nlohmann::json;

constexpr auto applied_path = "/var/lib/cloudos/applied.json";
constexpr Milliseconds apply_limit{120'000};

json read_applied(const Session& session) {
  const auto text = os::read_if_any(session.at(applied_path));
  if (!text || !*text) return json::object();
  auto j = json::parse(**text, nullptr, false);
  return j.is_object() && j.value("schema", 0) == 1 && j.contains("manifests") && j["manifests"].is_object() ? j["manifests"]
                                                                                                             : json::object();
}

Status write_applied(const Session& session, json manifests) {
  return os::write_atomic(session.at(applied_path), json{{"schema", 1}, {"manifests", std::move(manifests)}}.dump(), 0600);
}

// A JSON document is a YAML one too; several in a row without "---" between them are not.
bool is_one_document(const std::string& content) { return !trim(content).starts_with('{') || json::accept(content); }

Status fetch(Session& session, const std::string& stream) {
  if (stream.empty()) return {};
  CLOUDOS_ASSIGN(auto output,
                 session.kube_ask(session.kubectl({"--request-timeout=20s", "get", "-f", "-", "--ignore-not-found", "-o", "json"}),
                                  Milliseconds{60'000}, stream));
  if (!output.exit.ok()) {
    // A kind or namespace that the cluster does not have yet means that the manifest is not applied; a silent API is an error.
    if (output.err.contains("no matches for kind") || output.err.contains("not found")) return {};
    return fail(ErrorKind::failed, "kubectl get ended with " + output.exit.text() + ": " + sanitise(trim(output.err)));
  }
  CLOUDOS_ASSIGN(auto list, objects_of(output.out));
  for (const auto& object : list) session.objects->marks[key_of(object)] = mark_of(object);
  return {};
}

Status load_marks(Session& session) {
  if (!session.objects) session.objects = std::make_unique<KubeObjects>();
  if (session.objects->manifests_loaded) return {};
  std::string together;
  for (const auto& step : session.request.steps)
    if (const auto* manifest = std::get_if<model::ApplyManifest>(&step.action)) {
      if (is_one_document(manifest->content)) together += "---\n" + manifest->content + "\n";
      else CLOUDOS_TRY(fetch(session, manifest->content));
    }
  CLOUDOS_TRY(fetch(session, together));
  session.objects->manifests_loaded = true;
  return {};
}

}  // namespace

Result<Check> check(const model::ApplyManifest& a, Session& session) {
  const auto all = read_applied(session);
  const auto record = all.find(a.name);
  if (record == all.end()) return Check::needed("is not applied");
  if (text_at(*record, {"digest"}) != os::sha256(a.content).hex()) return Check::needed("has other content");
  const auto* objects = find_at(*record, {"objects"});
  if (objects == nullptr || !objects->is_object()) return Check::needed("is not applied");
  CLOUDOS_TRY(load_marks(session));
  const auto& marks = session.objects->marks;
  for (const auto& [key, mark] : objects->items()) {
    const auto found = marks.find(key);
    if (found == marks.end()) return Check::needed(key + " is gone from the cluster");
    if (mark != found->second) return Check::needed(key + " was changed in the cluster");
  }
  return Check::satisfied();
}

// What is in the cluster goes with the cluster.
Result<Undo> before(const model::ApplyManifest&, Session&) { return Undo{}; }

Status apply(const model::ApplyManifest& a, Session& session) {
  CLOUDOS_ASSIGN(auto answer, session.kube(session.kubectl({"--request-timeout=60s", "apply", "--server-side", "--field-manager=cloudos",
                                                            "--force-conflicts", "-f", "-", "-o", "json"}),
                                           apply_limit, a.content));
  CLOUDOS_ASSIGN(auto list, objects_of(answer));
  if (!session.objects) session.objects = std::make_unique<KubeObjects>();
  auto objects = json::object();
  for (const auto& object : list) {
    objects[key_of(object)] = mark_of(object);
    session.objects->marks[key_of(object)] = mark_of(object);
  }
  auto all = read_applied(session);
  all[a.name] = {{"digest", os::sha256(a.content).hex()}, {"objects", std::move(objects)}};
  return write_applied(session, std::move(all));
}

}  // namespace cloudos::steps
