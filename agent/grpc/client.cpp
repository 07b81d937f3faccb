#include <charconv>
#include <optional>

#include "agent/grpc/address.hpp"
#include "agent/grpc/frame.hpp"
#include "agent/grpc/session.hpp"

namespace cloudos::grpc {
namespace {

class UnaryCall final : public Call, private Peer {
 public:
  UnaryCall(loop::Loop& loop, std::function<void(Answer)> then) : loop_(loop), then_(std::move(then)) {}

  void begin(const std::filesystem::path& socket, const std::string& method, std::string_view request, Milliseconds patience) {
    if (auto started = connect(socket, method, request, patience); !started)
      finish(std::unexpected(Failure{Code::unavailable, started.error().text()}));
  }

 private:
  Status connect(const std::filesystem::path& socket, const std::string& method, std::string_view request, Milliseconds patience) {
    CLOUDOS_ASSIGN(auto fd, connect_unix(socket));
    CLOUDOS_ASSIGN(session_, Session::make(std::move(fd), Session::Side::client, *this));
    const auto stream = session_->request({{":method", "POST"},
                                           {":scheme", "http"},
                                           {":path", method},
                                           {":authority", "localhost"},
                                           {"te", "trailers"},
                                           {"content-type", "application/grpc"},
                                           {"user-agent", "cloudos-agent/" CLOUDOS_VERSION}},
                                          frame(request));
    if (stream < 0) return fail(ErrorKind::io, std::string("HTTP/2: ") + nghttp2_strerror(stream));
    CLOUDOS_ASSIGN(auto source, loop_.watch(session_->fd(), EPOLLIN, [this](std::uint32_t) { serve(); }));
    session_->attach(std::move(source));
    CLOUDOS_ASSIGN(timer_,
                   loop_.after(patience, [this] { finish(std::unexpected(Failure{Code::deadline_exceeded, "no answer in time"})); }));
    if (!session_->flush()) return fail(ErrorKind::network, "the peer went away");
    return {};
  }

  void serve() {
    if (!session_->receive()) finish(std::unexpected(Failure{Code::unavailable, "the peer went away before it answered"}));
    else if (!session_->flush() && !done_) finish(std::unexpected(Failure{Code::unavailable, "the peer went away"}));
  }

  void header(std::int32_t, std::string_view name, std::string_view value) override {
    if (name == ":status") http_status_ = value;
    if (name == "grpc-message") message_ = percent_decode(value);
    int code = 0;
    if (name == "grpc-status" && std::from_chars(value.data(), value.data() + value.size(), code).ec == std::errc{}) code_ = code;
  }
  void data(std::int32_t stream, std::string_view bytes) override {
    if (body_.size() + bytes.size() > longest_message) session_->reset(stream, NGHTTP2_ENHANCE_YOUR_CALM);
    else body_ += bytes;
  }
  void end(std::int32_t) override {}
  void closed(std::int32_t) override {
    if (http_status_ != "200") return finish(std::unexpected(Failure{Code::unavailable, "HTTP status \"" + http_status_ + "\""}));
    if (!code_) return finish(std::unexpected(Failure{Code::internal, "the answer ended without a status"}));
    if (*code_ != 0) return finish(std::unexpected(Failure{static_cast<Code>(*code_), message_}));
    finish(unframe(body_));
  }

  // Answers from the loop, not from within libnghttp2: whoever gets the answer may destroy this call.
  void finish(Answer answer) {
    if (done_ || !then_) return;
    auto later = loop_.after(Milliseconds(0), [this, answer = std::move(answer)]() mutable {
      const auto then = std::move(then_);
      auto told = std::move(answer);
      session_.reset();
      timer_ = {};
      then(std::move(told));
    });
    if (later) done_ = std::move(*later);
  }

  loop::Loop& loop_;
  std::function<void(Answer)> then_;
  std::unique_ptr<Session> session_;
  loop::Source timer_, done_;
  std::string http_status_, message_, body_;
  std::optional<int> code_;
};

}  // namespace

std::unique_ptr<Call> Call::start(loop::Loop& loop, const std::filesystem::path& socket, const std::string& method,
                                  const std::string& request, Milliseconds patience, std::function<void(Answer)> then) {
  auto call = std::make_unique<UnaryCall>(loop, std::move(then));
  call->begin(socket, method, request, patience);
  return call;
}

}  // namespace cloudos::grpc
