#include "core/os/http/transfer.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <format>
#include <memory>
#include <optional>
#include <string_view>

#include "core/base/text.hpp"

namespace cloudos::os {
namespace {

struct Release {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

// curl_global_init(3) must have run before the first handle, once; the language makes this thread-safe.
bool library_ready() {
  static const bool ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  return ready;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

ErrorKind kind_of(CURLcode code) {
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT: return ErrorKind::timeout;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS: return ErrorKind::trust;
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT: return ErrorKind::input;
    default: return ErrorKind::network;
  }
}

bool worth_a_retry(CURLcode code) {
  const auto kind = kind_of(code);
  return kind == ErrorKind::timeout || (kind == ErrorKind::network && code != CURLE_TOO_MANY_REDIRECTS);
}

class Exchange {
 public:
  Exchange(const HttpRequest& request, const OnAnswer& on_answer, const ByteSink& body)
      : request_(request), on_answer_(on_answer), body_(body) {}

  Result<HttpResponse> run() {
    if (!library_ready()) return fail(ErrorKind::failed, "libcurl cannot be initialised");
    handle_.reset(curl_easy_init());
    if (!handle_) return fail(ErrorKind::io, "out of memory");
    set_request();
    set_transfer();
    const CURLcode code = curl_easy_perform(handle_.get());
    if (error_) return fail(std::move(*error_));
    if (code != CURLE_OK) return failure(code);
    CLOUDOS_TRY(answered());
    return std::move(answer_);
  }

 private:
  template <class T>
  void set(CURLoption option, T value) {
    curl_easy_setopt(handle_.get(), option, value);
  }

  void set_request() {
    set(CURLOPT_URL, request_.url.c_str());
    if (request_.method == "HEAD") set(CURLOPT_NOBODY, 1L);
    else if (!request_.body.empty() || request_.method == "POST") {
      set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.body.size()));
      set(CURLOPT_POSTFIELDS, request_.body.c_str());
    }
    if (request_.method != "HEAD" && request_.method != "GET") set(CURLOPT_CUSTOMREQUEST, request_.method.c_str());
    for (const auto& header : request_.headers) {
      auto* grown = curl_slist_append(headers_.get(), header.c_str());
      if (grown == nullptr) continue;
      (void)headers_.release();
      headers_.reset(grown);
    }
    set(CURLOPT_HTTPHEADER, headers_.get());
    set(CURLOPT_USERAGENT, "cloudos/" CLOUDOS_VERSION);
    if (request_.resume_from > 0) {
      range_ = std::format("{}-", request_.resume_from);
      set(CURLOPT_RANGE, range_.c_str());
    }
    if (!request_.ca_file.empty()) set(CURLOPT_CAINFO, request_.ca_file.c_str());
  }

  void set_transfer() {
    const bool secure = lower(request_.url).starts_with("https:");
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    // A redirect must not take an encrypted exchange into the clear.
    set(CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
    set(CURLOPT_FOLLOWLOCATION, request_.redirects > 0 ? 1L : 0L);
    set(CURLOPT_MAXREDIRS, static_cast<long>(request_.redirects));
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request_.stall.count()));
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(std::max(std::chrono::ceil<std::chrono::seconds>(request_.stall).count(), 1L)));
    set(CURLOPT_ERRORBUFFER, message_.data());
    set(CURLOPT_HEADERFUNCTION, &Exchange::on_header);
    set(CURLOPT_HEADERDATA, this);
    set(CURLOPT_WRITEFUNCTION, &Exchange::on_body);
    set(CURLOPT_WRITEDATA, this);
  }

  static std::size_t on_header(char* bytes, std::size_t, std::size_t n, void* self) {
    auto& exchange = *static_cast<Exchange*>(self);
    const std::string_view line = trim(std::string_view(bytes, n));
    // Each answer of a chain of redirects (and "100 Continue") starts anew with its status line.
    if (line.starts_with("HTTP/")) exchange.answer_.headers.clear();
    else if (const auto colon = line.find(':'); colon != std::string_view::npos)
      exchange.answer_.headers[lower(trim(line.substr(0, colon)))] = trim(line.substr(colon + 1));
    return n;
  }

  static std::size_t on_body(char* bytes, std::size_t, std::size_t n, void* self) {
    auto& exchange = *static_cast<Exchange*>(self);
    auto status = exchange.answered();
    if (status) status = exchange.body_(std::as_bytes(std::span(bytes, n)));
    if (status) return n;
    exchange.error_ = std::move(status).error();
    return CURL_WRITEFUNC_ERROR;
  }

  // Tells the caller of the answer once, at the first byte of body or at the end of an answer without one.
  Status answered() {
    if (told_) return {};
    told_ = true;
    long code = 0;
    curl_easy_getinfo(handle_.get(), CURLINFO_RESPONSE_CODE, &code);
    answer_.status = static_cast<int>(code);
    return on_answer_(answer_);
  }

  [[nodiscard]] std::unexpected<Error> failure(CURLcode code) const {
    const std::string why = message_[0] != '\0' ? message_.data() : curl_easy_strerror(code);
    return fail(Error{.kind = kind_of(code),
                      .message = std::format("{} {}: {}", request_.method, shown(request_.url), sanitise(why)),
                      .retryable = worth_a_retry(code)});
  }

  const HttpRequest& request_;
  const OnAnswer& on_answer_;
  const ByteSink& body_;
  std::unique_ptr<CURL, Release> handle_ = {};
  std::unique_ptr<curl_slist, Release> headers_ = {};
  std::string range_ = {};
  HttpResponse answer_ = {};
  bool told_ = false;
  std::optional<Error> error_ = {};
  std::array<char, CURL_ERROR_SIZE> message_{};
};

}  // namespace

Result<HttpResponse> transfer(const HttpRequest& request, const OnAnswer& on_answer, const ByteSink& body) {
  return Exchange(request, on_answer, body).run();
}

std::string shown(const std::string& url) {
  const std::unique_ptr<CURLU, Release> parsed(curl_url());
  if (!parsed || curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK) return "(not a URL)";
  for (const auto part : {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_QUERY}) curl_url_set(parsed.get(), part, nullptr, 0);
  char* text = nullptr;
  if (curl_url_get(parsed.get(), CURLUPART_URL, &text, 0) != CURLUE_OK) return "(not a URL)";
  const std::unique_ptr<char, decltype(&curl_free)> owner(text, &curl_free);
  return sanitise(text);
}

bool starts_at(const HttpResponse& answer, std::uint64_t offset) {
  const auto range = answer.headers.find("content-range");
  return answer.status == 206 && range != answer.headers.end() && lower(range->second).starts_with(std::format("bytes {}-", offset));
}

}  // namespace cloudos::os
