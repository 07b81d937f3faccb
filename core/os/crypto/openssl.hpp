// Owners of OpenSSL's handles, for the rooms that call it: this one and agent/http. All others see crypto.hpp only.
#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

namespace cloudos::openssl {

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

// OpenSSL refuses these calls only when memory is out or it was built without the algorithm: nothing a caller could handle, so
// the program ends.
template <class T>
T must(T value) {
  if (!value) std::abort();
  return value;
}

// A BIO that reads `text`, which must outlive it.
[[nodiscard]] inline Bio reader(std::string_view text) { return must(Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())))); }

// What was written to a memory BIO.
[[nodiscard]] inline std::string written(BIO* to) {
  char* data = nullptr;
  const auto size = BIO_get_mem_data(to, &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

}  // namespace cloudos::openssl
