#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <list>
#include <optional>
#include <span>

#include "agent/grpc/address.hpp"
#include "agent/grpc/frame.hpp"
#include "agent/grpc/session.hpp"

namespace cloudos::grpc {
namespace {

// kubelet holds one connection a registration; a few of its last life may still be closing.
constexpr std::size_t most_connections = 16;

Headers status_of(const Failure& failure) {
  Headers out = {{"grpc-status", std::to_string(static_cast<int>(failure.code))}};
  if (!failure.message.empty()) out.emplace_back("grpc-message", percent_encode(failure.message));
  return out;
}

const Headers opening = {{":status", "200"}, {"content-type", "application/grpc"}};

class Connection;

// One call. The handler of a streaming method may hold on to it for longer than the connection lives.
class CallState final : public Stream {
 public:
  CallState(Connection* connection, std::int32_t id) : connection_(connection), id_(id) {}
  void send(std::string message) override;
  [[nodiscard]] bool open() const override { return connection_ != nullptr; }

  std::string path, body;
  bool too_long = false, streams = false, ended = false;
  std::string out;  // what goes out now, framed, from `at`
  std::size_t at = 0;
  std::optional<std::string> next;
  Connection* connection_;
  std::int32_t id_;
};

class Connection final : private Peer {
 public:
  explicit Connection(const Service& service) : service_(service) {}
  ~Connection() override {
    for (auto& [id, call] : calls_) gone(*call);
  }
  Status open(os::Fd fd) {
    CLOUDOS_ASSIGN(session_, Session::make(std::move(fd), Session::Side::server, *this));
    return {};
  }
  [[nodiscard]] Session& session() { return *session_; }

  void wake(std::int32_t stream) {
    session_->resume(stream);
    // Over, if that fails: the descriptor is readable then, and the loop comes by.
    static_cast<void>(session_->flush());
  }

 private:
  void header(std::int32_t stream, std::string_view name, std::string_view value) override {
    auto& call = calls_[stream];
    if (!call) call = std::make_shared<CallState>(this, stream);
    if (name == ":path") call->path = value;
  }
  void data(std::int32_t stream, std::string_view bytes) override {
    const auto found = calls_.find(stream);
    if (found == calls_.end()) return;
    auto& call = *found->second;
    call.too_long = call.too_long || call.body.size() + bytes.size() > longest_message;
    if (call.too_long) call.body.clear();
    else call.body += bytes;
  }
  void end(std::int32_t stream) override {
    const auto found = calls_.find(stream);
    if (found != calls_.end() && !found->second->ended) answer(found->second);
  }
  void closed(std::int32_t stream) override {
    const auto found = calls_.find(stream);
    if (found == calls_.end()) return;
    const auto call = found->second;
    calls_.erase(found);
    gone(*call);
  }
  void gone(CallState& call) const {
    call.connection_ = nullptr;
    if (call.streams) service_.stream_ended();
  }

  void refuse(const CallState& call, const Failure& failure) {
    auto headers = opening;
    for (auto& header : status_of(failure)) headers.push_back(std::move(header));
    session_->respond(call.id_, headers);
  }

  void answer(const std::shared_ptr<CallState>& call) {
    call->ended = true;
    if (call->too_long) return refuse(*call, {Code::resource_exhausted, "the message is too long"});
    const auto request = unframe(call->body);
    call->body = {};
    const auto streaming = service_.streaming.find(call->path);
    const auto unary = service_.unary.find(call->path);
    if (streaming == service_.streaming.end() && unary == service_.unary.end())
      return refuse(*call, {Code::unimplemented, "there is no method " + call->path});
    if (!request) return refuse(*call, request.error());
    if (unary != service_.unary.end()) {
      auto said = unary->second(*request);
      if (!said) return refuse(*call, said.error());
      call->out = frame(*said);
    }
    call->streams = streaming != service_.streaming.end();
    session_->respond(call->id_, opening, {.source = {.ptr = call.get()}, .read_callback = read_answer});
    if (call->streams) streaming->second(*request, call);
  }

  static nghttp2_ssize read_answer(nghttp2_session*, std::int32_t stream, std::uint8_t* out, std::size_t room, std::uint32_t* flags,
                                   nghttp2_data_source* source, void*) {
    auto& call = *static_cast<CallState*>(source->ptr);
    if (call.at == call.out.size() && call.next) {
      call.out = std::move(*call.next);
      call.next.reset();
      call.at = 0;
    }
    const auto part = std::min(room, call.out.size() - call.at);
    std::ranges::copy(std::span(call.out).subspan(call.at, part), out);
    call.at += part;
    if (call.streams) return part > 0 ? static_cast<nghttp2_ssize>(part) : static_cast<nghttp2_ssize>(NGHTTP2_ERR_DEFERRED);
    if (call.at == call.out.size()) {
      *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
      call.connection_->session_->trailer(stream, status_of({Code::ok, {}}));
    }
    return static_cast<nghttp2_ssize>(part);
  }

  const Service& service_;
  std::map<std::int32_t, std::shared_ptr<CallState>> calls_;
  // Last, so that it goes first: it refers to the calls.
  std::unique_ptr<Session> session_;
};

void CallState::send(std::string message) {
  if (connection_ == nullptr) return;
  next = frame(message);
  connection_->wake(id_);
}

}  // namespace

struct Server::State {
  loop::Loop& loop;
  Log& log;
  Service service;
  std::filesystem::path path;
  os::Fd listener;
  struct stat made{};
  loop::Source source;
  std::list<Connection> connections;

  State(loop::Loop& l, Log& g, Service s, std::filesystem::path p, os::Fd fd)
      : loop(l), log(g), service(std::move(s)), path(std::move(p)), listener(std::move(fd)) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    service.stream_ended = [] {};
    struct stat now{};
    if (::lstat(path.c_str(), &now) == 0 && now.st_ino == made.st_ino && now.st_dev == made.st_dev) ::unlink(path.c_str());
  }

  void accept() {
    for (;;) {
      os::Fd fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!fd) return;
      if (connections.size() >= most_connections) log.warning("{}: too many connections; one was turned away", path.string());
      else if (auto served = serve(std::move(fd)); !served) log.warning("{}: {}", path.string(), served.error().text());
    }
  }

  Status serve(os::Fd fd) {
    const auto at = connections.emplace(connections.end(), service);
    auto opened = at->open(std::move(fd));
    if (opened) opened = watch(at);
    if (!opened) connections.erase(at);
    return opened;
  }

  Status watch(std::list<Connection>::iterator at) {
    CLOUDOS_ASSIGN(auto watched, loop.watch(at->session().fd(), EPOLLIN, [this, at](std::uint32_t events) {
      const bool alive = (events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0 ? at->session().receive() : at->session().flush();
      if (!alive) connections.erase(at);
    }));
    at->session().attach(std::move(watched));
    // HTTP/2 opens with the server's settings.
    if (!at->session().flush()) return fail(ErrorKind::network, "the peer went away");
    return {};
  }
};

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}
Server::~Server() = default;
Server::Server(Server&&) noexcept = default;
Server& Server::operator=(Server&&) noexcept = default;

Result<Server> Server::listen(loop::Loop& loop, const std::filesystem::path& socket, Service service, Log& log) {
  CLOUDOS_ASSIGN(auto fd, listen_unix(socket));
  auto state = std::make_unique<State>(loop, log, std::move(service), socket, std::move(fd));
  static_cast<void>(::lstat(socket.c_str(), &state->made));
  CLOUDOS_ASSIGN(state->source, loop.watch(state->listener.get(), EPOLLIN, [s = state.get()](std::uint32_t) { s->accept(); }));
  return Server(std::move(state));
}

}  // namespace cloudos::grpc
