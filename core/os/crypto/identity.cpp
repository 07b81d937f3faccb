#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "core/base/dns.hpp"
#include "core/base/ip.hpp"
#include "core/os/crypto/crypto.hpp"
#include "core/os/crypto/owned.hpp"

namespace cloudos::os {
namespace {

using namespace detail;

using Names = std::unique_ptr<GENERAL_NAMES, Freed<GENERAL_NAMES_free>>;

constexpr long day = 24L * 3600;

void add_name(GENERAL_NAMES* names, int kind, std::string_view raw) {
  std::unique_ptr<GENERAL_NAME, Freed<GENERAL_NAME_free>> name(must(GENERAL_NAME_new()));
  std::unique_ptr<ASN1_STRING, Freed<ASN1_STRING_free>> value(
      must(ASN1_STRING_type_new(kind == GEN_DNS ? V_ASN1_IA5STRING : V_ASN1_OCTET_STRING)));
  must(ASN1_STRING_set(value.get(), raw.data(), static_cast<int>(raw.size())) == 1);
  GENERAL_NAME_set0_value(name.get(), kind, value.release());
  must(sk_GENERAL_NAME_push(names, name.release()) > 0);
}

Result<Names> names_of(const std::string& name, const std::vector<std::string>& addresses) {
  if (const auto why = why_not_dns_name(name); !why.empty())
    return fail(ErrorKind::input, "a certificate cannot be made for \"" + name + "\": the name " + why);
  Names names(must(GENERAL_NAMES_new()));
  add_name(names.get(), GEN_DNS, name);
  for (const auto& address : addresses) {
    CLOUDOS_ASSIGN(const Ip ip, Ip::parse(address));
    const std::string raw(ip.bytes.begin(), ip.bytes.begin() + (ip.v6 ? 16 : 4));
    add_name(names.get(), GEN_IPADD, raw);
  }
  return names;
}

void extend(X509* certificate, int nid, const char* value) {
  const std::unique_ptr<X509_EXTENSION, Freed<X509_EXTENSION_free>> extension(must(X509V3_EXT_conf_nid(nullptr, nullptr, nid, value)));
  must(X509_add_ext(certificate, extension.get(), -1) == 1);
}

Certificate self_signed(const std::string& name, GENERAL_NAMES* names, EVP_PKEY* key) {
  Certificate certificate(must(X509_new()));
  must(X509_set_version(certificate.get(), X509_VERSION_3) == 1);
  // Serial numbers are positive and unlike (RFC 5280, section 4.1.2.2).
  const auto serial = "\x01" + random_bytes(15);
  const std::unique_ptr<BIGNUM, Freed<BN_free>> number(must(BN_bin2bn(bytes(serial), static_cast<int>(serial.size()), nullptr)));
  must(BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate.get())) != nullptr);
  // From yesterday: the clocks of machines that meet for the first time differ.
  must(X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -day) != nullptr);
  must(X509_time_adj_ex(X509_getm_notAfter(certificate.get()), 3652, 0, nullptr) != nullptr);
  auto* const subject = X509_get_subject_name(certificate.get());
  // A common name has at most 64 characters (RFC 5280, appendix A.1); whole names are in the extension.
  must(X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_ASC, bytes(name),
                                  static_cast<int>(std::min(name.size(), std::size_t{64})), -1, 0) == 1);
  must(X509_set_issuer_name(certificate.get(), subject) == 1);
  must(X509_set_pubkey(certificate.get(), key) == 1);
  extend(certificate.get(), NID_basic_constraints, "critical,CA:FALSE");
  extend(certificate.get(), NID_key_usage, "critical,digitalSignature");
  extend(certificate.get(), NID_ext_key_usage, "serverAuth");
  must(X509_add1_ext_i2d(certificate.get(), NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1);
  must(X509_sign(certificate.get(), key, EVP_sha256()) > 0);
  return certificate;
}

}  // namespace

Result<Identity> make_identity(const std::string& name, const std::vector<std::string>& addresses) {
  CLOUDOS_ASSIGN(const Names names, names_of(name, addresses));
  const Key key(must(EVP_EC_gen("P-256")));
  const auto certificate = self_signed(name, names.get(), key.get());
  const auto certificate_pem = must(Bio(BIO_new(BIO_s_mem())));
  must(PEM_write_bio_X509(certificate_pem.get(), certificate.get()) == 1);
  const auto key_pem = must(Bio(BIO_new(BIO_s_secmem())));
  must(PEM_write_bio_PKCS8PrivateKey(key_pem.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return Identity{.certificate = written(certificate_pem.get()), .key = Secret(written(key_pem.get()))};
}

}  // namespace cloudos::os
