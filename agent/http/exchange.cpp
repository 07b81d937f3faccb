#include "agent/http/exchange.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <format>

#include "core/base/ip.hpp"
#include "core/base/text.hpp"

namespace cloudos::http::detail {
namespace {

// evhttp collects a chunk of a chunked body before it hands it on; a longer one is no watch's and no blob's.
constexpr std::size_t longest_chunk = 16U << 20;
// evhttp's own timeouts (50 s by default) must not end a quiet watch: ours decide.
constexpr timeval never{.tv_sec = 10L * 365 * 24 * 3600, .tv_usec = 0};

std::optional<evhttp_cmd_type> command_of(std::string_view method) {
  if (method == "GET") return EVHTTP_REQ_GET;
  if (method == "HEAD") return EVHTTP_REQ_HEAD;
  if (method == "POST") return EVHTTP_REQ_POST;
  if (method == "PUT") return EVHTTP_REQ_PUT;
  if (method == "PATCH") return EVHTTP_REQ_PATCH;
  if (method == "DELETE") return EVHTTP_REQ_DELETE;
  return {};
}

bool fits_a_request_line(std::string_view path) {
  return path.starts_with('/') && std::ranges::all_of(path, [](unsigned char c) { return c > 0x20 && c < 0x7F; });
}

// A peer that vanished without a word is noticed within a minute, also while nothing is said (a quiet watch).
void keep_alive(int fd) {
  const auto set = [fd](int level, int name, int value) { static_cast<void>(::setsockopt(fd, level, name, &value, sizeof value)); };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 30);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
  set(IPPROTO_TCP, TCP_NODELAY, 1);
}

Error retryable(ErrorKind kind, std::string message) { return {.kind = kind, .message = std::move(message), .retryable = true}; }

class Exchange {
 public:
  Exchange(Line& line, const Request& request, const Bounds& bounds) : line_(line), request_(request), bounds_(bounds) {}
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  ~Exchange() {
    if (watch_ != nullptr) evbuffer_remove_cb_entry(bufferevent_get_input(line_.channel), watch_);
  }

  Outcome run() {
    if (auto begun = begin(); !begun) end(std::move(begun).error());
    while (!ended_) {
      if (event_base_loop(line_.base, EVLOOP_ONCE) != 0) end({.kind = ErrorKind::io, .message = "the event loop failed"});
    }
    // What was not read to its end is in the way of the next answer.
    line_.gone = line_.gone || failure_.has_value() || !whole_;
    line_.used = true;
    const bool unheard = heard_ == 0;
    const bool unconnected = !line_.connected && !shook_;
    if (failure_) return {.answer = fail(std::move(*failure_)), .unheard = unheard, .unconnected = unconnected};
    return {.answer = std::move(answer_), .unheard = unheard, .unconnected = unconnected};
  }

 private:
  // --- what goes out ---
  Status begin() {
    const auto command = command_of(request_.method);
    if (!command) return fail(ErrorKind::input, std::format("\"{}\" is not a method", sanitise(request_.method)));
    if (!fits_a_request_line(request_.path)) return fail(ErrorKind::input, std::format("\"{}\" is not a path", sanitise(request_.path)));
    std::unique_ptr<evhttp_request, Freed<evhttp_request_free>> made(must(evhttp_request_new(on_done, this)));
    evhttp_request_set_header_cb(made.get(), on_headers);
    evhttp_request_set_chunked_cb(made.get(), on_body);
    evhttp_request_set_error_cb(made.get(), on_error);
    CLOUDOS_TRY(fill(made.get()));
    arm();
    watch_ = must(evbuffer_add_cb(bufferevent_get_input(line_.channel), on_input, this));
    evhttp_connection_set_max_body_size(line_.evhttp, static_cast<ev_ssize_t>(bounds_.sink != nullptr ? longest_chunk : bounds_.limit));
    auto* const sent = made.release();
    if (evhttp_make_request(line_.evhttp, sent, *command, request_.path.c_str()) != 0 && !ended_)
      return fail(retryable(ErrorKind::network, std::format("cannot connect to {}: {}", line_.handshake.where, std::strerror(errno))));
    if (!line_.connected) listen_to_connecting();
    return {};
  }

  Status fill(evhttp_request* made) const {
    auto* const headers = evhttp_request_get_output_headers(made);
    auto all = request_.headers;
    all.try_emplace("Host", line_.handshake.where);
    all.try_emplace("User-Agent", "cloudos-agent/" CLOUDOS_VERSION);
    const bool has_body = !request_.body.empty() || request_.method.starts_with('P');
    if (has_body) all.insert_or_assign("Content-Length", std::to_string(request_.body.size()));
    for (const auto& [name, value] : all)
      if (evhttp_add_header(headers, name.c_str(), value.c_str()) != 0)
        return fail(ErrorKind::input, std::format("the header {} cannot be sent: it has a line break", sanitise(name)));
    must(evbuffer_add(evhttp_request_get_output_buffer(made), request_.body.data(), request_.body.size()) == 0);
    return {};
  }

  // --- time, and the wish to stop ---
  void arm() {
    if (!line_.connected) {
      connecting_.reset(must(evtimer_new(line_.base, on_connect_timeout, this)));
      const auto span = time_of(bounds_.connect);
      evtimer_add(connecting_.get(), &span);
    }
    if (bounds_.deadline) {
      deadline_.reset(must(evtimer_new(line_.base, on_deadline, this)));
      const auto span = time_of(*bounds_.deadline - std::chrono::steady_clock::now());
      evtimer_add(deadline_.get(), &span);
    }
    if (bounds_.stall) {
      stall_.reset(must(evtimer_new(line_.base, on_stall, this)));
      touch();
    }
    if (!bounds_.stop.stop_possible()) return;
    bell_ = os::Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    stopped_.reset(must(event_new(line_.base, bell_.get(), EV_READ, on_stop, this)));
    event_add(stopped_.get(), nullptr);
    ring_.emplace(bounds_.stop, Ring{bell_.get()});
  }
  void touch() {
    if (!stall_) return;
    const auto span = time_of(*bounds_.stall);
    evtimer_add(stall_.get(), &span);
  }

  static void on_connect_timeout(evutil_socket_t, short, void* self) { of(self).timed_out(of(self).bounds_.connect); }
  static void on_deadline(evutil_socket_t, short, void* self) { of(self).timed_out({}); }
  static void on_stall(evutil_socket_t, short, void* self) { of(self).timed_out(of(self).bounds_.stall); }
  static void on_stop(evutil_socket_t, short, void* self) { of(self).end({.kind = ErrorKind::cancelled, .message = "stopped"}); }

  void timed_out(std::optional<Milliseconds> span) {
    const auto& where = line_.handshake.where;
    const auto within = span ? "within " + human(*span) : std::string("in time");
    shook_ = reached();
    if (!shook_ && !line_.connected)
      return end(retryable(ErrorKind::timeout, std::format("{} does not answer {}: no connection", where, within)));
    if (!line_.connected) return end(retryable(ErrorKind::timeout, std::format("{} did not finish the TLS handshake {}", where, within)));
    if (answer_.status == 0) return end(retryable(ErrorKind::timeout, std::format("no answer of {} to {} {}", where, asked(), within)));
    end(retryable(ErrorKind::timeout,
                  std::format("the answer of {} to {} stopped after {} and did not go on {}", where, asked(), human(Bytes{got_}), within)));
  }

  // --- the connection ---
  // evhttp does not tell why a connection could not be made: its own callback is asked after ours has looked.
  void listen_to_connecting() {
    bufferevent_getcb(line_.channel, nullptr, nullptr, &inner_, &inner_data_);
    bufferevent_setcb(line_.channel, nullptr, nullptr, on_connecting, this);
  }
  static void on_connecting(bufferevent* channel, short what, void* data) {
    auto& self = of(data);
    self.errno_ = errno;
    if ((what & BEV_EVENT_CONNECTED) != 0) {
      self.line_.connected = true;
      self.connecting_.reset();
      self.touch();
      keep_alive(bufferevent_getfd(channel));
    } else {
      self.end(self.why_not_connected());
    }
    // In the end of its turn, since it may free what `self` holds.
    self.inner_(channel, what, self.inner_data_);
  }

  Error why_not_connected() {
    const auto& shake = line_.handshake;
    if (shake.refused) return *shake.refused;
    auto code = bufferevent_get_openssl_error(line_.channel);
    if (ERR_SYSTEM_ERROR(code)) {
      errno_ = ERR_GET_REASON(code);
      code = 0;
    } else if (ERR_GET_LIB(code) == 0) {
      code = 0;  // SSL_ERROR_SYSCALL, which libevent keeps among the others
    }
    if (about_our_certificate(code)) return our_certificate(code);
    if (code != 0 && ERR_GET_REASON(code) != SSL_R_UNEXPECTED_EOF_WHILE_READING)
      return retryable(ErrorKind::network, std::format("{} does not speak TLS as we do: {}", shake.where, reason(code)));
    if (errno_ == ECONNREFUSED) return retryable(ErrorKind::network, std::format("{} refused the connection", shake.where));
    // A connection that was reset has no peer any more.
    static constexpr std::array hung_up = {0, EAGAIN, EINPROGRESS, EPIPE, ECONNRESET, ENOTCONN};
    shook_ = reached() || std::ranges::contains(hung_up, errno_);
    if (shook_) return retryable(ErrorKind::network, std::format("{} closed the connection in the TLS handshake", shake.where));
    return retryable(ErrorKind::network, std::format("cannot connect to {}: {}", shake.where, std::strerror(errno_)));
  }
  // Whether there is, or was a moment ago, somebody at the other end.
  [[nodiscard]] bool reached() const {
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    return ::getpeername(bufferevent_getfd(line_.channel), static_cast<sockaddr*>(static_cast<void*>(&peer)), &size) == 0;
  }
  [[nodiscard]] Error our_certificate(unsigned long code) const {
    return {.kind = ErrorKind::auth, .message = std::format("{} does not accept our certificate: {}", line_.handshake.where, reason(code))};
  }

  // --- what comes back ---
  static void on_input(evbuffer*, const evbuffer_cb_info* info, void* self) {
    if (info->n_added == 0) return;
    of(self).heard_ += info->n_added;
    of(self).touch();
  }

  static int on_headers(evhttp_request* request, void* data) {
    auto& self = of(data);
    if (self.ended_) return 0;
    self.answer_.status = evhttp_request_get_response_code(request);
    if (self.answer_.status < 200) return 0;
    self.answer_.headers = headers_of(evhttp_request_get_input_headers(request));
    const bool chunked = !self.answer_.headers.contains("content-length");
    // A body of a known length comes piece by piece, however long.
    if (self.streams() && !chunked) evhttp_connection_set_max_body_size(self.line_.evhttp, -1);
    self.endless_ = chunked && !self.answer_.headers.contains("transfer-encoding");
    return 0;
  }
  [[nodiscard]] bool streams() const { return bounds_.sink != nullptr && (answer_.status == 200 || answer_.status == 206); }

  static void on_body(evhttp_request* request, void* data) {
    auto& self = of(data);
    auto* const input = evhttp_request_get_input_buffer(request);
    while (!self.ended_ && evbuffer_get_length(input) > 0) {
      evbuffer_iovec piece{};
      evbuffer_peek(input, -1, nullptr, &piece, 1);
      self.take({static_cast<const std::byte*>(piece.iov_base), piece.iov_len});
      evbuffer_drain(input, piece.iov_len);
    }
    evbuffer_drain(input, evbuffer_get_length(input));
  }
  void take(std::span<const std::byte> piece) {
    got_ += piece.size();
    if (streams()) {
      if (auto taken = (*bounds_.sink)(piece); !taken) end(std::move(taken).error());
      // The sink may have taken its time, in which nobody looked for bytes.
      touch();
      if (!answer_.headers.contains("content-length"))
        evhttp_connection_set_max_body_size(line_.evhttp, static_cast<ev_ssize_t>(got_ + longest_chunk));
      return;
    }
    const auto room = bounds_.limit - std::min(bounds_.limit, answer_.body.size());
    answer_.body.append(static_cast<const char*>(static_cast<const void*>(piece.data())), std::min(room, piece.size()));
    if (piece.size() <= room) return;
    if (bounds_.sink == nullptr) return end(too_long());
    ended_ = true;  // enough of an error's text
  }
  [[nodiscard]] Error too_long() const {
    return {.kind = ErrorKind::failed,
            .message = std::format("the answer of {} to {} is longer than {}", line_.handshake.where, asked(),
                                   human(Bytes{bounds_.sink != nullptr ? longest_chunk : bounds_.limit}))};
  }

  static void on_error(evhttp_request_error what, void* data) {
    auto& self = of(data);
    if (self.ended_) return;
    self.errno_ = errno;
    self.end(self.line_.connected ? self.why_failed(what) : self.why_not_connected());
  }
  [[nodiscard]] Error why_failed(evhttp_request_error what) const {
    const auto& where = line_.handshake.where;
    const bool begun = answer_.status != 0;
    const auto code = bufferevent_get_openssl_error(line_.channel);
    if (about_our_certificate(code)) return our_certificate(code);
    if (what == EVREQ_HTTP_DATA_TOO_LONG && begun) return too_long();
    // evhttp says of both that the headers are not valid.
    if (!begun && what != EVREQ_HTTP_EOF && heard_ > longest_headers)
      return {.kind = ErrorKind::failed,
              .message = std::format("{} answers with more than {} of headers", where, human(Bytes{longest_headers}))};
    if (what == EVREQ_HTTP_INVALID_HEADER)
      return retryable(ErrorKind::network, begun ? std::format("the body of the answer of {} to {} is not well formed", where, asked())
                                                 : std::format("{} does not answer with HTTP/1.1", where));
    if (!begun) return retryable(ErrorKind::network, std::format("{} closed the connection before it answered {}", where, asked()));
    return retryable(ErrorKind::network, std::format("{} closed the connection in its answer to {}, after {}{}", where, asked(),
                                                     human(Bytes{got_}), of_how_much()));
  }
  [[nodiscard]] std::string of_how_much() const {
    const auto found = answer_.headers.find("content-length");
    if (found == answer_.headers.end()) return {};
    const auto size = parse_number(found->second, 0, UINT64_MAX);
    return size ? " of " + human(Bytes{*size}) : std::string();
  }

  // At the end, good or bad; with no request after an error, of which on_error has told.
  static void on_done(evhttp_request* request, void* data) {
    auto& self = of(data);
    if (self.ended_) return;
    if (request == nullptr || evhttp_request_get_response_code(request) == 0) {
      self.errno_ = errno;
      return self.end(self.line_.connected ? self.why_failed(EVREQ_HTTP_EOF) : self.why_not_connected());
    }
    self.whole_ = !self.endless_ || self.request_.method == "HEAD" || self.answer_.status == 204 || self.answer_.status == 304;
    self.ended_ = true;
  }

  void end(Error error) {
    if (!failure_ && !ended_) failure_ = std::move(error);
    ended_ = true;
  }
  // Without the query, which may be long.
  [[nodiscard]] std::string asked() const {
    return std::format("{} {}", request_.method, sanitise(request_.path.substr(0, request_.path.find('?'))));
  }
  static Exchange& of(void* self) { return *static_cast<Exchange*>(self); }

  struct Ring {
    int fd;
    void operator()() const noexcept { static_cast<void>(eventfd_write(fd, 1)); }
  };

  Line& line_;
  const Request& request_;
  const Bounds& bounds_;
  Response answer_;
  std::optional<Error> failure_;
  bool ended_ = false, whole_ = false, endless_ = false, shook_ = false;
  std::size_t got_ = 0, heard_ = 0;  // of the body, of all
  int errno_ = 0;
  Event connecting_, deadline_, stall_, stopped_;
  os::Fd bell_;
  std::optional<std::stop_callback<Ring>> ring_;
  evbuffer_cb_entry* watch_ = nullptr;
  bufferevent_event_cb inner_ = nullptr;
  void* inner_data_ = nullptr;
};

void on_closed(evhttp_connection*, void* line) { static_cast<Line*>(line)->gone = true; }

}  // namespace

Line::Line(event_base* loop, SSL_CTX* context, const Trust& trust, const std::string& host, std::uint16_t port, const std::string& address)
    : base(loop), handshake{.trust = &trust, .host = host, .where = host_port(host, port)} {
  auto ssl = connection_to(context, handshake);
  channel = must(bufferevent_openssl_socket_new(base, -1, ssl.release(), BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE));
  evhttp = must(evhttp_connection_base_bufferevent_new(base, nullptr, channel, address.c_str(), port));
  evhttp_connection_set_closecb(evhttp, on_closed, this);
  evhttp_connection_set_timeout_tv(evhttp, &never);
  evhttp_connection_set_max_headers_size(evhttp, longest_headers);
}

Line::~Line() { evhttp_connection_free(evhttp); }

bool Line::usable() {
  if (!gone) event_base_loop(base, EVLOOP_NONBLOCK);
  return !gone && bufferevent_getfd(channel) >= 0;
}

Outcome exchange(Line& line, const Request& request, const Bounds& bounds) { return Exchange(line, request, bounds).run(); }

}  // namespace cloudos::http::detail
