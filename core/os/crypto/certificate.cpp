#include <ctime>

#include <openssl/bio.h>
#include <openssl/pem.h>

#include "core/os/crypto/crypto.hpp"
#include "core/os/crypto/owned.hpp"

namespace cloudos::os {

namespace {

Result<detail::Certificate> parse(std::string_view pem) {
  const auto source = detail::reader(pem);
  detail::Certificate certificate(PEM_read_bio_X509(source.get(), nullptr, nullptr, nullptr));
  if (!certificate) return fail(ErrorKind::input, "not a PEM certificate");
  return certificate;
}

}  // namespace

Result<std::string> spki_hash(std::string_view certificate_pem) {
  CLOUDOS_ASSIGN(const detail::Certificate certificate, parse(certificate_pem));
  unsigned char* der = nullptr;
  const int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate.get()), &der);
  if (length <= 0) return fail(ErrorKind::input, "the certificate's public key cannot be encoded");
  const std::string spki(der, der + length);
  OPENSSL_free(der);
  return sha256(spki).oci();
}

Result<std::int64_t> expiry(std::string_view certificate_pem) {
  CLOUDOS_ASSIGN(const detail::Certificate certificate, parse(certificate_pem));
  std::tm when{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &when) != 1) {
    return fail(ErrorKind::input, "the certificate's notAfter is not a time");
  }
  return static_cast<std::int64_t>(timegm(&when));
}

}  // namespace cloudos::os
