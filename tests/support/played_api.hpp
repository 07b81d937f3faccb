// A Kubernetes API server as the agent sees it: objects by path, resourceVersions that must match, lists, watches that end at once.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "agent/kube/kube.hpp"
#include "tests/unit/os/http_server.hpp"

namespace cloudos::test {

class PlayedApi {
 public:
  using Json = kube::Json;
  PlayedApi();
  ~PlayedApi() = default;
  PlayedApi(const PlayedApi&) = delete;
  PlayedApi& operator=(const PlayedApi&) = delete;

  [[nodiscard]] kube::Access access() const;
  void put(const std::string& path, Json object);
  [[nodiscard]] Json at(const std::string& path) const;                    // null: not there
  [[nodiscard]] std::vector<Json> created(const std::string& path) const;  // what was POSTed there, in order
  [[nodiscard]] int conflicts() const;
  [[nodiscard]] std::vector<ServerRequest> requests() const { return server_.requests(); }
  // Until it is so, or half a minute is over; looked at after each write.
  [[nodiscard]] bool wait(const std::function<bool()>& so) const;

  // Answers before anything else does, from any of the server's threads. Set it before the first request.
  std::function<std::optional<ServerAnswer>(const ServerRequest&)> first = {};

  static ServerAnswer failure(unsigned code, const std::string& message);

 private:
  ServerAnswer answer(const ServerRequest& request);
  ServerAnswer list(const std::string& path) const;
  ServerAnswer replace(const ServerRequest& request);

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::map<std::string, Json> objects_;
  std::map<std::string, std::vector<Json>> created_;
  int version_ = 100, conflicts_ = 0;
  http::Identity identity_;
  HttpServer server_;
};

}  // namespace cloudos::test
