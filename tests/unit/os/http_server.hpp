#pragma once

#include <microhttpd.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace cloudos::test {

struct ServerRequest {
  std::string method, path;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  std::map<std::string, std::string> query = {};
};

struct ServerAnswer {
  unsigned status = 200;
  std::string body = {};
  std::map<std::string, std::string> headers = {};
  std::size_t cut_after = SIZE_MAX;    // the line breaks after so much of the body
  std::size_t stall_after = SIZE_MAX;  // no more bytes after so much of it, until the server goes
};

// A real HTTP server on a free port of the loopback interface.
class HttpServer {
 public:
  using Handler = std::function<ServerAnswer(const ServerRequest&)>;
  // With a certificate and its key (PEM), it speaks TLS.
  explicit HttpServer(Handler handler, const std::string& certificate = {}, const std::string& key = {});
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  [[nodiscard]] std::string url(const std::string& path) const;
  [[nodiscard]] std::vector<ServerRequest> requests() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Answers with `content` as a file server that knows ranges.
[[nodiscard]] ServerAnswer serve_range(const ServerRequest& request, const std::string& content);

}  // namespace cloudos::test
