#pragma once
// Inside agent/http only: contexts for both sides, and what a handshake did not like.

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "agent/http/http.hpp"
#include "core/os/crypto/openssl.hpp"

namespace cloudos::http::detail {

using openssl::Bio;
using openssl::Certificate;
using openssl::Freed;
using openssl::Key;
using openssl::must;
using openssl::reader;
using openssl::written;
using Context = std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>>;
using Connection = std::unique_ptr<SSL, Freed<SSL_free>>;

[[nodiscard]] Result<Context> server_context(const Identity& identity);
[[nodiscard]] Result<Context> client_context(const Trust& trust, const std::optional<Identity>& identity);

// One handshake of a client. OpenSSL holds a pointer to it, so it stays where it is while the connection lives.
struct Handshake {
  const Trust* trust = nullptr;
  std::string host, where;  // "10.0.0.4", "10.0.0.4:6443"
  std::optional<Error> refused = {};
};
[[nodiscard]] Connection connection_to(SSL_CTX* context, Handshake& handshake);

// What OpenSSL's error code says, for people: "tlsv13 alert certificate required".
[[nodiscard]] std::string reason(unsigned long code);
// Whether it is the peer's word about our certificate (an alert of RFC 8446, section 6.2).
[[nodiscard]] bool about_our_certificate(unsigned long code);

}  // namespace cloudos::http::detail
