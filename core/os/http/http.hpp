// core/os/http: downloads and small requests over libcurl. Proxies and the CA bundle come from where curl takes them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/base/argv.hpp"
#include "core/base/units.hpp"

namespace cloudos::os {

struct HttpRequest {
  std::string url;
  std::string method = "GET";
  std::vector<std::string> headers = {};  // "Name: value"
  std::string body = {};
  std::uint64_t resume_from = 0;              // sends a Range header; a 200 answer then fails
  Milliseconds stall = Milliseconds{30'000};  // no byte for so long: timeout
  int redirects = 5;
  std::string ca_file = {};  // a private CA, PEM; empty: the system's
};
struct HttpResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
};
// Streams the body of any status into `body`. Errors: network and timeout (retryable), trust (TLS).
[[nodiscard]] Result<HttpResponse> http(const HttpRequest& request, const ByteSink& body);
// A download into `path`.part with retries (5, jittered backoff) and resume by offset, hashed while streaming, fsynced
// and renamed only when the digest is the expected one. Errors: trust (digest), network.
[[nodiscard]] Status download(const std::vector<std::string>& mirrors, const std::string& path, const Digest& expected,
                              const std::function<void(Bytes done, Bytes total)>& progress = {});

}  // namespace cloudos::os
