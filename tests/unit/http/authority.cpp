#include "tests/unit/http/authority.hpp"

#include <stdexcept>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include "agent/http/tls.hpp"
#include "core/os/crypto/crypto.hpp"

namespace cloudos::test {
namespace {

using namespace http::detail;

void add(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  auto* extension = must(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

Certificate blank(const std::string& name, EVP_PKEY* key, long from_days, long to_days) {
  static long serial = 1;
  Certificate certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), ++serial);
  X509_time_adj_ex(X509_getm_notBefore(certificate.get()), static_cast<int>(from_days), 0, nullptr);
  X509_time_adj_ex(X509_getm_notAfter(certificate.get()), static_cast<int>(to_days), 0, nullptr);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                             static_cast<const unsigned char*>(static_cast<const void*>(name.c_str())), -1, -1, 0);
  X509_set_pubkey(certificate.get(), key);
  return certificate;
}

http::Identity pem_of(X509* certificate, EVP_PKEY* key) {
  const Bio first(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(first.get(), certificate);
  const Bio second(BIO_new(BIO_s_mem()));
  PEM_write_bio_PKCS8PrivateKey(second.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return {.certificate = written(first.get()), .key = Secret(written(second.get()))};
}

}  // namespace

http::Identity make_ca(const std::string& name) {
  const Key key(EVP_EC_gen("P-256"));
  const auto certificate = blank(name, key.get(), -100, 100);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate.get()));
  add(certificate.get(), certificate.get(), NID_basic_constraints, "critical,CA:TRUE");
  add(certificate.get(), certificate.get(), NID_key_usage, "critical,keyCertSign");
  add(certificate.get(), certificate.get(), NID_subject_key_identifier, "hash");
  must(X509_sign(certificate.get(), key.get(), EVP_sha256()));
  return pem_of(certificate.get(), key.get());
}

http::Identity issue(const http::Identity& ca, const std::string& common_name, const Certified& how) {
  const auto from = reader(ca.certificate);
  const Certificate issuer(must(PEM_read_bio_X509(from.get(), nullptr, nullptr, nullptr)));
  const auto key_from = reader(ca.key.reveal());
  const Key signer(must(PEM_read_bio_PrivateKey(key_from.get(), nullptr, nullptr, nullptr)));
  const Key key(EVP_EC_gen("P-256"));
  const auto certificate = blank(common_name, key.get(), how.from_days, how.to_days);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer.get()));
  add(certificate.get(), issuer.get(), NID_basic_constraints, "critical,CA:FALSE");
  add(certificate.get(), issuer.get(), NID_subject_alt_name, how.subject_alt_name);
  add(certificate.get(), issuer.get(), NID_authority_key_identifier, "keyid");
  must(X509_sign(certificate.get(), signer.get(), EVP_sha256()));
  return pem_of(certificate.get(), key.get());
}

std::string pin_of(const http::Identity& identity) { return os::spki_hash(identity.certificate).value(); }

}  // namespace cloudos::test
