#include "agent/http/sending.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace cloudos::http::detail {
namespace {

constexpr std::size_t piece = 64U << 10;

class Sending {
 public:
  Sending(evhttp_request* request, FilePart part) : request_(request), part_(std::move(part)), buffer_(must(evbuffer_new())) {}

  // Owned by the connection's callbacks from here on.
  static void start(std::unique_ptr<Sending> sending, int status) {
    auto* const self = sending.release();
    evhttp_connection_set_closecb(evhttp_request_get_connection(self->request_), on_closed, self);
    evhttp_send_reply_start(self->request_, status, nullptr);
    self->next();
  }

 private:
  void next() {
    const auto wanted = std::min<std::uint64_t>(piece, part_.length);
    std::array<char, piece> room;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by pread
    ssize_t got = 0;
    do got = ::pread(part_.file.get(), room.data(), wanted, static_cast<off_t>(part_.offset));
    while (got < 0 && errno == EINTR);
    // The length was announced, so a client can only be told of a file that ends early by cutting it off.
    if (got <= 0) return cut_off();
    must(evbuffer_add(buffer_.get(), room.data(), static_cast<std::size_t>(got)) == 0);
    part_.offset += static_cast<std::uint64_t>(got);
    part_.length -= static_cast<std::uint64_t>(got);
    if (part_.length > 0) return evhttp_send_reply_chunk_with_cb(request_, buffer_.get(), on_sent, this);
    auto* const request = request_;
    evhttp_connection_set_closecb(evhttp_request_get_connection(request), nullptr, nullptr);
    evhttp_send_reply_chunk(request, buffer_.get());
    const std::unique_ptr<Sending> done(this);
    evhttp_send_reply_end(request);
  }

  void cut_off() {
    // Not freed here: this runs within a callback of the connection. The end of the socket ends it.
    ::shutdown(bufferevent_getfd(evhttp_connection_get_bufferevent(evhttp_request_get_connection(request_))), SHUT_RDWR);
    must(evbuffer_add(buffer_.get(), "\n", 1) == 0);
    evhttp_send_reply_chunk_with_cb(request_, buffer_.get(), on_sent, this);
  }

  static void on_sent(evhttp_connection*, void* self) { static_cast<Sending*>(self)->next(); }
  static void on_closed(evhttp_connection*, void* data) {
    const std::unique_ptr<Sending> self(static_cast<Sending*>(data));
    // evhttp lets go of a request that is being answered; one that it still has, it frees.
    if (evhttp_request_get_connection(self->request_) == nullptr) evhttp_request_free(self->request_);
  }

  evhttp_request* request_;
  FilePart part_;
  Buffer buffer_;
};

}  // namespace

void send_part(evhttp_request* request, int status, FilePart part) {
  Sending::start(std::make_unique<Sending>(request, std::move(part)), status);
}

}  // namespace cloudos::http::detail
