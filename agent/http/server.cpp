#include <netinet/in.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cerrno>
#include <format>
#include <mutex>
#include <thread>

#include "agent/http/sending.hpp"
#include "core/base/ip.hpp"

namespace cloudos::http {
namespace {

using namespace detail;

constexpr std::size_t longest_body = 64U << 10;
// A client that does not get through its handshake and first request in this time is none.
constexpr Milliseconds first_request{10'000};

std::string_view method_of(evhttp_cmd_type command) {
  switch (command) {
    case EVHTTP_REQ_GET: return "GET";
    case EVHTTP_REQ_HEAD: return "HEAD";
    case EVHTTP_REQ_POST: return "POST";
    default: return {};
  }
}

void refuse(evhttp_request* request, int status) {
  auto* const headers = evhttp_request_get_output_headers(request);
  if (status == HTTP_BADMETHOD) evhttp_add_header(headers, "Allow", "GET, HEAD, POST");
  evhttp_add_header(headers, "Connection", "close");
  evhttp_send_reply(request, status, nullptr, nullptr);
}

std::optional<Asked> asked_of(evhttp_request* request) {
  const auto* const uri = evhttp_request_get_evhttp_uri(request);
  const auto* const path = uri != nullptr ? evhttp_uri_get_path(uri) : nullptr;
  if (path == nullptr || *path != '/') return {};
  std::size_t size = 0;
  const std::unique_ptr<char, Freed<std::free>> decoded(evhttp_uridecode(path, 0, &size));
  if (!decoded) return {};
  const auto* const query = evhttp_uri_get_query(uri);
  Asked asked{.method = std::string(method_of(evhttp_request_get_command(request))),
              .path = std::string(decoded.get(), size),
              .query = query != nullptr ? query : "",
              .headers = headers_of(evhttp_request_get_input_headers(request)),
              .body = {},
              .peer = {}};
  // What a C string would end at must not mean one thing here and another in the handler.
  if (asked.path.contains('\0')) return {};
  auto* const body = evhttp_request_get_input_buffer(request);
  asked.body.resize(evbuffer_get_length(body));
  evbuffer_remove(body, asked.body.data(), asked.body.size());
  char* address = nullptr;
  std::uint16_t port = 0;
  evhttp_connection_get_peer(evhttp_request_get_connection(request), &address, &port);
  asked.peer = address != nullptr ? address : "";
  return asked;
}

void send(evhttp_request* request, Answer answer) {
  auto* const headers = evhttp_request_get_output_headers(request);
  for (const auto& [name, value] : answer.headers)
    if (evhttp_add_header(headers, name.c_str(), value.c_str()) != 0) return refuse(request, HTTP_INTERNAL);
  auto* const part = std::get_if<FilePart>(&answer.body);
  const auto* const text = std::get_if<std::string>(&answer.body);
  const std::uint64_t length = part != nullptr ? part->length : text->size();
  const bool bodiless = answer.status == HTTP_NOCONTENT || answer.status == HTTP_NOTMODIFIED;
  if (!bodiless && evhttp_find_header(headers, "Content-Length") == nullptr)
    evhttp_add_header(headers, "Content-Length", std::to_string(length).c_str());
  if (bodiless || length == 0 || evhttp_request_get_command(request) == EVHTTP_REQ_HEAD)
    return evhttp_send_reply(request, answer.status, nullptr, nullptr);
  if (part != nullptr) return send_part(request, answer.status, std::move(*part));
  const Buffer buffer(must(evbuffer_new()));
  must(evbuffer_add(buffer.get(), text->data(), text->size()) == 0);
  evhttp_send_reply(request, answer.status, nullptr, buffer.get());
}

}  // namespace

struct Server::State {
  // A connection that is open, with the time that it has left for its next request to be whole.
  struct Guest {
    State* server = nullptr;
    bufferevent* socket = nullptr;
    Event patience = {};
  };

  Options options;
  Handler handler;
  std::mutex mutex = {};
  Context context = {};  // under the mutex
  Base base = {};
  std::unique_ptr<evhttp, Freed<evhttp_free>> http = {};
  evconnlistener* listener = nullptr;
  std::uint16_t port = 0;
  os::Fd bell = {};
  Event stopping = {};
  std::map<bufferevent*, std::unique_ptr<Guest>> guests = {};
  std::jthread thread = {};

  State(Options given, Handler with) : options(std::move(given)), handler(std::move(with)) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (thread.joinable()) {
      static_cast<void>(eventfd_write(bell.get(), 1));
      thread.join();
    }
    http.reset();
    stopping.reset();
    for (auto& [channel, guest] : guests) guest->patience.reset();
    // Callbacks that were still to run hold their connections: they run, to no effect. Then those end, and tell their guests.
    if (base) event_base_loop(base.get(), EVLOOP_NONBLOCK);
    base.reset();
  }

  Status open() {
    base = make_base();
    http.reset(must(evhttp_new(base.get())));
    evhttp_set_max_headers_size(http.get(), static_cast<ev_ssize_t>(longest_headers));
    evhttp_set_max_body_size(http.get(), static_cast<ev_ssize_t>(longest_body));
    evhttp_set_default_content_type(http.get(), nullptr);
    evhttp_set_allowed_methods(http.get(), 0xFFFF);  // those that are not ours are refused by on_request, with 405
    const auto idle = time_of(options.idle);
    evhttp_set_timeout_tv(http.get(), &idle);
    if (options.identity) evhttp_set_bevcb(http.get(), on_connection, this);
    evhttp_set_gencb(http.get(), on_request, this);
    auto* const bound = evhttp_bind_socket_with_handle(http.get(), options.address.c_str(), options.port);
    if (bound == nullptr) return fail_errno("listen on " + host_port(options.address, options.port), errno);
    listener = evhttp_bound_socket_get_listener(bound);
    sockaddr_storage own{};
    socklen_t size = sizeof own;
    if (::getsockname(evhttp_bound_socket_get_fd(bound), static_cast<sockaddr*>(static_cast<void*>(&own)), &size) != 0)
      return fail_errno("getsockname", errno);
    // The port stands at the same place in both families' addresses.
    port = ntohs(static_cast<const sockaddr_in*>(static_cast<const void*>(&own))->sin_port);
    bell = os::Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!bell) return fail_errno("eventfd", errno);
    stopping.reset(must(event_new(base.get(), bell.get(), EV_READ, on_stop, base.get())));
    event_add(stopping.get(), nullptr);
    return {};
  }

  void run() {
    // Signals are for the other threads; SIGPIPE, which OpenSSL's writes raise, for nobody.
    sigset_t all;
    sigfillset(&all);
    sigset_t before;
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread = std::jthread([loop = base.get()] { event_base_dispatch(loop); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  static void on_stop(evutil_socket_t, short, void* loop) { event_base_loopbreak(static_cast<event_base*>(loop)); }

  // --- who is here ---
  static bufferevent* on_connection(event_base* loop, void* self) { return static_cast<State*>(self)->welcome(loop); }

  bufferevent* welcome(event_base* loop) {
    auto guest = std::make_unique<Guest>(Guest{.server = this});
    guest->patience.reset(must(evtimer_new(loop, on_impatient, guest.get())));
    const auto span = time_of(std::min(options.idle, first_request));
    evtimer_add(guest->patience.get(), &span);
    auto* const channel = secure(loop, *guest);
    guests.emplace(channel, std::move(guest));
    if (guests.size() >= options.connections) evconnlistener_disable(listener);
    return channel;
  }
  bufferevent* secure(event_base* loop, Guest& guest) {
    Connection ssl;
    {
      const std::scoped_lock lock(mutex);
      ssl.reset(must(SSL_new(context.get())));
    }
    // evhttp does not tell when a connection ends before its first request: its SSL object goes with it.
    static const int slot =
        SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, [](void*, void* data, CRYPTO_EX_DATA*, int, long, void*) { left(data); });
    must(SSL_set_ex_data(ssl.get(), slot, &guest) == 1);
    guest.socket = must(bufferevent_openssl_socket_new(loop, -1, ssl.release(), BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE));
    return guest.socket;
  }
  static void left(void* data) {
    if (data == nullptr) return;
    auto& server = *static_cast<Guest*>(data)->server;
    std::erase_if(server.guests, [data](const auto& one) { return one.second.get() == data; });
    if (server.http) evconnlistener_enable(server.listener);
  }
  static void on_impatient(evutil_socket_t, short, void* guest) {
    // evhttp sees the end of the socket and cleans up.
    ::shutdown(bufferevent_getfd(static_cast<Guest*>(guest)->socket), SHUT_RDWR);
  }
  [[nodiscard]] Guest* guest_of(evhttp_request* request) const {
    auto* const connection = evhttp_request_get_connection(request);
    if (connection == nullptr) return nullptr;
    const auto found = guests.find(evhttp_connection_get_bufferevent(connection));
    return found != guests.end() ? found->second.get() : nullptr;
  }

  // --- what is asked ---
  static void on_request(evhttp_request* request, void* data) {
    auto& self = *static_cast<State*>(data);
    if (auto* const guest = self.guest_of(request); guest != nullptr) evtimer_del(guest->patience.get());
    evhttp_request_set_on_complete_cb(request, on_answered, &self);
    if (method_of(evhttp_request_get_command(request)).empty()) return refuse(request, HTTP_BADMETHOD);
    const auto asked = asked_of(request);
    if (!asked) return refuse(request, HTTP_BADREQUEST);
    send(request, self.handler(*asked));
  }
  static void on_answered(evhttp_request* request, void* data) {
    const auto& self = *static_cast<State*>(data);
    auto* const guest = self.guest_of(request);
    if (guest == nullptr) return;
    const auto span = time_of(self.options.idle);
    evtimer_add(guest->patience.get(), &span);
  }
};

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}
Server::~Server() = default;
Server::Server(Server&&) noexcept = default;
Server& Server::operator=(Server&&) noexcept = default;

Result<Server> Server::start(Options options, Handler handler) {
  CLOUDOS_ASSIGN(const Ip address, Ip::parse(options.address));
  if (!options.identity && !address.loopback())
    return fail(ErrorKind::input, "plain HTTP is served on loopback only, not on " + options.address, "give the server a certificate");
  auto state = std::make_unique<State>(std::move(options), std::move(handler));
  if (state->options.identity) {
    CLOUDOS_ASSIGN(state->context, server_context(*state->options.identity));
    state->options.identity = Identity{};  // the context has it
  }
  CLOUDOS_TRY(state->open());
  state->run();
  return Server(std::move(state));
}

std::uint16_t Server::port() const { return state_->port; }

Status Server::renew(const Identity& identity) {
  if (!state_->options.identity) return fail(ErrorKind::input, "a server of plain HTTP has no certificate to renew");
  CLOUDOS_ASSIGN(auto context, server_context(identity));
  const std::scoped_lock lock(state_->mutex);
  std::swap(state_->context, context);
  return {};
}

}  // namespace cloudos::http
