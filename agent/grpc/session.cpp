#include "agent/grpc/session.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>

namespace cloudos::grpc {
namespace {

constexpr std::uint32_t most_streams = 16;
constexpr std::uint32_t longest_headers = 16U << 10;

std::string_view view(const std::uint8_t* bytes, std::size_t size) { return {reinterpret_cast<const char*>(bytes), size}; }

Peer& peer_of(void* user) { return *static_cast<Peer*>(user); }

int on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size, const std::uint8_t* value,
              std::size_t value_size, std::uint8_t, void* user) {
  peer_of(user).header(frame->hd.stream_id, view(name, name_size), view(value, value_size));
  return 0;
}

int on_data(nghttp2_session*, std::uint8_t, std::int32_t stream, const std::uint8_t* bytes, std::size_t size, void* user) {
  peer_of(user).data(stream, view(bytes, size));
  return 0;
}

int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
  const bool ends =
      (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  if (ends) peer_of(user).end(frame->hd.stream_id);
  return 0;
}

int on_close(nghttp2_session*, std::int32_t stream, std::uint32_t, void* user) {
  peer_of(user).closed(stream);
  return 0;
}

// nghttp2 copies names and values, and takes them as writable without writing to them.
std::vector<nghttp2_nv> pairs(const Headers& headers) {
  std::vector<nghttp2_nv> out;
  for (const auto& [name, value] : headers)
    out.push_back({.name = reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
                   .value = reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())),
                   .namelen = name.size(),
                   .valuelen = value.size(),
                   .flags = NGHTTP2_NV_FLAG_NONE});
  return out;
}

}  // namespace

nghttp2_session_callbacks* Session::callbacks() {
  nghttp2_session_callbacks* calls = nullptr;
  if (nghttp2_session_callbacks_new(&calls) != 0) return nullptr;
  nghttp2_session_callbacks_set_on_header_callback(calls, on_header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, on_data);
  nghttp2_session_callbacks_set_on_frame_recv_callback(calls, on_frame);
  nghttp2_session_callbacks_set_on_stream_close_callback(calls, on_close);
  return calls;
}

Result<std::unique_ptr<Session>> Session::make(os::Fd fd, Side side, Peer& peer) {
  std::unique_ptr<Session> out(new Session(std::move(fd)));
  auto* calls = callbacks();
  if (calls == nullptr) return fail(ErrorKind::io, "out of memory");
  const int made = side == Side::server ? nghttp2_session_server_new(&out->session_, calls, &peer)
                                        : nghttp2_session_client_new(&out->session_, calls, &peer);
  nghttp2_session_callbacks_del(calls);
  if (made != 0) return fail(ErrorKind::io, std::string("HTTP/2: ") + nghttp2_strerror(made));
  const std::array settings = {nghttp2_settings_entry{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, most_streams},
                               nghttp2_settings_entry{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, longest_headers}};
  if (const int r = nghttp2_submit_settings(out->session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size()); r != 0)
    return fail(ErrorKind::io, std::string("HTTP/2: ") + nghttp2_strerror(r));
  return out;
}

Session::~Session() { nghttp2_session_del(session_); }

bool Session::receive() {
  std::array<std::uint8_t, 16U << 10> buffer{};
  const auto got = ::recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  if (got == 0) return false;
  // Less than all is taken only when a callback pauses it, and none does.
  receiving_ = true;
  const auto taken = nghttp2_session_mem_recv2(session_, buffer.data(), static_cast<std::size_t>(got));
  receiving_ = false;
  return taken >= 0 && flush();
}

bool Session::flush() {
  // A peer's callback wants something sent: libnghttp2 must not be entered again from within, so receive() sends it.
  if (receiving_) return true;
  for (;;) {
    std::string_view out = unsent_;
    if (unsent_.empty()) {
      const std::uint8_t* bytes = nullptr;
      const auto size = nghttp2_session_mem_send2(session_, &bytes);
      if (size < 0) return false;
      if (size == 0) break;
      out = view(bytes, static_cast<std::size_t>(size));
    }
    const auto sent = ::send(fd_.get(), out.data(), out.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) return false;
    unsent_ = std::string(out.substr(static_cast<std::size_t>(std::max<ssize_t>(sent, 0))));
    if (sent < 0 && errno == EAGAIN) break;
  }
  source_.listen_for(unsent_.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT);
  return !unsent_.empty() || nghttp2_session_want_read(session_) != 0 || nghttp2_session_want_write(session_) != 0;
}

nghttp2_ssize Session::read_body(nghttp2_session*, std::int32_t, std::uint8_t* out, std::size_t room, std::uint32_t* flags,
                                 nghttp2_data_source* source, void*) {
  auto& self = *static_cast<Session*>(source->ptr);
  const auto part = std::min(room, self.body_.size() - self.body_at_);
  std::ranges::copy(std::span(self.body_).subspan(self.body_at_, part), out);
  self.body_at_ += part;
  if (self.body_at_ == self.body_.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return static_cast<nghttp2_ssize>(part);
}

std::int32_t Session::request(const Headers& headers, std::string body) {
  body_ = std::move(body);
  body_at_ = 0;
  const nghttp2_data_provider2 provider{.source = {.ptr = this}, .read_callback = read_body};
  const auto list = pairs(headers);
  return nghttp2_submit_request2(session_, nullptr, list.data(), list.size(), &provider, nullptr);
}

void Session::respond(std::int32_t stream, const Headers& headers) {
  const auto list = pairs(headers);
  nghttp2_submit_response2(session_, stream, list.data(), list.size(), nullptr);
}

void Session::respond(std::int32_t stream, const Headers& headers, const nghttp2_data_provider2& provider) {
  const auto list = pairs(headers);
  nghttp2_submit_response2(session_, stream, list.data(), list.size(), &provider);
}

void Session::trailer(std::int32_t stream, const Headers& headers) {
  const auto list = pairs(headers);
  nghttp2_submit_trailer(session_, stream, list.data(), list.size());
}

}  // namespace cloudos::grpc
