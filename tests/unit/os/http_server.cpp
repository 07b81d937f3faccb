#include "tests/unit/os/http_server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <format>
#include <stdexcept>

namespace cloudos::test {

struct HttpServer::State {
  Handler handler;
  std::string scheme;
  MHD_Daemon* daemon = nullptr;
  mutable std::mutex mutex = {};
  std::condition_variable stopping = {};
  bool stop = false;
  std::vector<ServerRequest> requests = {};

  struct Body {
    State* state;
    ServerAnswer answer;
  };

  static ssize_t read(void* self, std::uint64_t position, char* room, std::size_t size) {
    auto& [state, answer] = *static_cast<Body*>(self);
    if (position >= answer.cut_after) return MHD_CONTENT_READER_END_WITH_ERROR;
    if (position >= answer.stall_after) {
      std::unique_lock lock(state->mutex);
      state->stopping.wait(lock, [&] { return state->stop; });
      return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    const std::size_t end = std::min({answer.body.size(), answer.cut_after, answer.stall_after});
    const std::size_t n = std::min(size, end - static_cast<std::size_t>(position));
    std::memcpy(room, answer.body.data() + position, n);
    return static_cast<ssize_t>(n);
  }

  static MHD_Result header(void* self, MHD_ValueKind, const char* name, const char* value) {
    std::string lower = name;
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    (*static_cast<std::map<std::string, std::string>*>(self))[lower] = value != nullptr ? value : "";
    return MHD_YES;
  }

  static MHD_Result answer(void* self, MHD_Connection* connection, const char* path, const char* method, const char*, const char* upload,
                           std::size_t* upload_size, void** context) {
    auto& state = *static_cast<State*>(self);
    if (*context == nullptr) {
      auto request = std::make_unique<ServerRequest>(ServerRequest{.method = method, .path = path});
      MHD_get_connection_values(connection, MHD_HEADER_KIND, &header, &request->headers);
      MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, &header, &request->query);
      *context = request.release();
      return MHD_YES;
    }
    auto* request = static_cast<ServerRequest*>(*context);
    if (*upload_size > 0) {
      request->body.append(upload, *upload_size);
      *upload_size = 0;
      return MHD_YES;
    }
    auto body = std::make_unique<Body>(Body{&state, state.handler(*request)});
    {
      const std::scoped_lock lock(state.mutex);
      state.requests.push_back(*request);
    }
    const auto& answer = body->answer;
    const unsigned status = answer.status;
    const auto headers = answer.headers;
    const std::size_t size = answer.body.size();
    auto* response =
        MHD_create_response_from_callback(size, 16384, &State::read, body.release(), [](void* b) { delete static_cast<Body*>(b); });
    for (const auto& [name, value] : headers) MHD_add_response_header(response, name.c_str(), value.c_str());
    const auto queued = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return queued;
  }

  static void completed(void*, MHD_Connection*, void** context, MHD_RequestTerminationCode) {
    delete static_cast<ServerRequest*>(*context);
  }
};

HttpServer::HttpServer(Handler handler, const std::string& certificate, const std::string& key) : state_(std::make_unique<State>()) {
  state_->handler = std::move(handler);
  state_->scheme = certificate.empty() ? "http" : "https";
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION;
  std::vector<MHD_OptionItem> tls;
  if (!certificate.empty()) {
    flags |= MHD_USE_TLS;
    tls.push_back({MHD_OPTION_HTTPS_MEM_CERT, 0, const_cast<char*>(certificate.c_str())});
    tls.push_back({MHD_OPTION_HTTPS_MEM_KEY, 0, const_cast<char*>(key.c_str())});
  }
  tls.push_back({MHD_OPTION_END, 0, nullptr});
  state_->daemon = MHD_start_daemon(flags, 0, nullptr, nullptr, &State::answer, state_.get(), MHD_OPTION_SOCK_ADDR, &address,
                                    MHD_OPTION_NOTIFY_COMPLETED, &State::completed, nullptr, MHD_OPTION_ARRAY, tls.data(), MHD_OPTION_END);
  if (state_->daemon == nullptr) throw std::runtime_error("the test's HTTP server does not start");
}

HttpServer::~HttpServer() {
  {
    const std::scoped_lock lock(state_->mutex);
    state_->stop = true;
  }
  state_->stopping.notify_all();
  MHD_stop_daemon(state_->daemon);
}

std::string HttpServer::url(const std::string& path) const {
  const auto* info = MHD_get_daemon_info(state_->daemon, MHD_DAEMON_INFO_BIND_PORT);
  return std::format("{}://127.0.0.1:{}{}", state_->scheme, info->port, path);
}

std::vector<ServerRequest> HttpServer::requests() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->requests;
}

ServerAnswer serve_range(const ServerRequest& request, const std::string& content) {
  const auto range = request.headers.find("range");
  if (range == request.headers.end()) return {.body = content};
  const std::size_t from = std::stoul(range->second.substr(std::string_view("bytes=").size()));
  if (from >= content.size()) return {.status = 416};
  return {.status = 206,
          .body = content.substr(from),
          .headers = {{"Content-Range", std::format("bytes {}-{}/{}", from, content.size() - 1, content.size())}}};
}

}  // namespace cloudos::test
