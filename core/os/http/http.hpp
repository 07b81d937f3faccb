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
// Streams the body of any status into `body` (not of redirects that are followed; from https only to https). Errors:
// network and timeout (retryable), trust (TLS), input (not a URL). No error's text has a URL's user, password or query.
[[nodiscard]] Result<HttpResponse> http(const HttpRequest& request, const ByteSink& body);
// How long to wait before retry number `attempt` (from 0): doubling from half a second to half a minute, of which `random`
// in [0, 1] decides the upper half, so that many machines do not come back in step.
[[nodiscard]] Milliseconds retry_delay(unsigned attempt, double random);
// A download into `path`.part with retries (5, jittered backoff, mirrors in turn) and resume by offset, hashed while
// streaming, fsynced and renamed only when the digest is the expected one. Does nothing when `path` already is that file.
// `progress` is called for every piece; total is 0 while unknown. Errors: trust (digest), network, timeout, io.
[[nodiscard]] Status download(const std::vector<std::string>& mirrors, const std::string& path, const Digest& expected,
                              const std::function<void(Bytes done, Bytes total)>& progress = {});

}  // namespace cloudos::os
