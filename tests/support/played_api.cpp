#include "tests/support/played_api.hpp"

#include <chrono>

namespace cloudos::test {

PlayedApi::PlayedApi()
    : identity_(os::make_identity("localhost", {"127.0.0.1"}).value()),
      server_([this](const ServerRequest& request) { return answer(request); }, identity_.certificate,
              std::string(identity_.key.reveal())) {}

kube::Access PlayedApi::access() const {
  auto url = server_.url("");
  return {.server = url, .ca = identity_.certificate, .token = Secret("of-the-agent")};
}

void PlayedApi::put(const std::string& path, Json object) {
  const std::scoped_lock lock(mutex_);
  object["metadata"]["resourceVersion"] = std::to_string(++version_);
  objects_[path] = std::move(object);
}
PlayedApi::Json PlayedApi::at(const std::string& path) const {
  const std::scoped_lock lock(mutex_);
  const auto found = objects_.find(path);
  return found == objects_.end() ? Json() : found->second;
}
std::vector<PlayedApi::Json> PlayedApi::created(const std::string& path) const {
  const std::scoped_lock lock(mutex_);
  const auto found = created_.find(path);
  return found == created_.end() ? std::vector<Json>{} : found->second;
}
int PlayedApi::conflicts() const {
  const std::scoped_lock lock(mutex_);
  return conflicts_;
}

bool PlayedApi::wait(const std::function<bool()>& so) const {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{30};
  for (;;) {
    if (so()) return true;
    std::unique_lock lock(mutex_);
    if (changed_.wait_until(lock, std::min(until, std::chrono::steady_clock::now() + std::chrono::milliseconds{50})) ==
            std::cv_status::timeout &&
        std::chrono::steady_clock::now() >= until)
      return false;
  }
}

ServerAnswer PlayedApi::failure(unsigned code, const std::string& message) {
  return {.status = code,
          .body = Json{{"kind", "Status"}, {"apiVersion", "v1"}, {"status", "Failure"}, {"code", code}, {"message", message}}.dump()};
}

ServerAnswer PlayedApi::list(const std::string& path) const {
  auto items = Json::array();
  for (const auto& [each, object] : objects_)
    if (each.starts_with(path + "/")) items.push_back(object);
  return {.body = Json{{"kind", "List"}, {"metadata", {{"resourceVersion", std::to_string(version_)}}}, {"items", items}}.dump()};
}

ServerAnswer PlayedApi::replace(const ServerRequest& request) {
  constexpr std::string_view approval = "/approval";
  auto path = request.path;
  if (path.ends_with(approval)) path.resize(path.size() - approval.size());
  auto object = Json::parse(request.body, nullptr, false);
  const auto found = objects_.find(path);
  if (found == objects_.end()) return failure(404, "not found");
  if (!object.is_object() || object["metadata"]["resourceVersion"] != found->second["metadata"]["resourceVersion"]) {
    ++conflicts_;
    return failure(409, "the object has been modified");
  }
  object["metadata"]["resourceVersion"] = std::to_string(++version_);
  found->second = std::move(object);
  changed_.notify_all();
  return {.body = found->second.dump()};
}

ServerAnswer PlayedApi::answer(const ServerRequest& request) {
  if (first)
    if (auto given = first(request)) return *given;
  const std::scoped_lock lock(mutex_);
  if (request.query.contains("watch")) return {};
  if (request.method == "PUT") return replace(request);
  if (request.method == "POST") {
    created_[request.path].push_back(Json::parse(request.body, nullptr, false));
    changed_.notify_all();
    return {.status = 201, .body = request.body};
  }
  if (const auto found = objects_.find(request.path); found != objects_.end()) return {.body = found->second.dump()};
  if (request.path.ends_with("s") && request.path.contains("certificatesigningrequests")) return list(request.path);
  return failure(404, "not found");
}

}  // namespace cloudos::test
