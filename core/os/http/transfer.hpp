// One HTTP exchange over libcurl. Private to this room.
#pragma once

#include <functional>

#include "core/os/http/http.hpp"

namespace cloudos::os {

// Called once with the final answer's status and headers (after redirects), before its first byte of body; an error ends
// the exchange with it.
using OnAnswer = std::function<Status(const HttpResponse&)>;
[[nodiscard]] Result<HttpResponse> transfer(const HttpRequest& request, const OnAnswer& on_answer, const ByteSink& body);

// The URL without what must not be shown: user, password and query (a signed URL's credential stands there).
[[nodiscard]] std::string shown(const std::string& url);

// Whether an answer to "Range: bytes=N-" starts at that offset (RFC 9110, section 14.4).
[[nodiscard]] bool starts_at(const HttpResponse& answer, std::uint64_t offset);

}  // namespace cloudos::os
