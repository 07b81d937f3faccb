#pragma once
// Inside agent/http only: owners of OpenSSL's handles, contexts for both sides, and what a handshake did not like.

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "agent/http/http.hpp"

namespace cloudos::http::detail {

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* p) const {
    Free(p);  // NOLINT(cppcoreguidelines-no-malloc): one of them is free(3), which evhttp_uridecode wants
  }
};
using Bio = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Context = std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>>;
using Connection = std::unique_ptr<SSL, Freed<SSL_free>>;

// OpenSSL and libevent refuse these calls only when memory is out: nothing a caller could handle, so the program ends.
template <class T>
T must(T value) {
  if (!value) std::abort();
  return value;
}

inline Bio reader(std::string_view text) { return must(Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())))); }
[[nodiscard]] std::string written(BIO* to);

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
