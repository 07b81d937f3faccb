#include <ctime>

#include <openssl/bio.h>
#include <openssl/pem.h>

#include "core/os/crypto/crypto.hpp"
#include "core/os/crypto/owned.hpp"

namespace cloudos::os {

namespace {

Result<detail::Certificate> parse(std::string_view pem) {
  const std::unique_ptr<BIO, detail::Freed<BIO_free_all>> source(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  detail::must_hold(source != nullptr);
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

Result<std::string> requested_name(std::string_view request) {
  const std::unique_ptr<BIO, detail::Freed<BIO_free_all>> source(BIO_new_mem_buf(request.data(), static_cast<int>(request.size())));
  detail::must_hold(source != nullptr);
  const std::unique_ptr<BIO, detail::Freed<BIO_free>> filter(BIO_new(BIO_f_base64()));
  detail::must_hold(filter != nullptr);
  BIO_set_flags(filter.get(), BIO_FLAGS_BASE64_NO_NL);
  BIO_push(filter.get(), source.get());
  const std::unique_ptr<X509_REQ, detail::Freed<X509_REQ_free>> parsed(PEM_read_bio_X509_REQ(filter.get(), nullptr, nullptr, nullptr));
  BIO_pop(filter.get());
  if (!parsed) return fail(ErrorKind::input, "not a certificate request in PEM");
  const auto* subject = X509_REQ_get_subject_name(parsed.get());
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0) return fail(ErrorKind::input, "the certificate request names nobody");
  unsigned char* text = nullptr;
  const int length = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  if (length < 0) return fail(ErrorKind::input, "the certificate request's name is no text");
  std::string name(reinterpret_cast<const char*>(text), static_cast<std::size_t>(length));
  OPENSSL_free(text);
  return name;
}

}  // namespace cloudos::os
