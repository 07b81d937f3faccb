#include <openssl/bio.h>
#include <openssl/pem.h>

#include "core/os/crypto/crypto.hpp"
#include "core/os/crypto/owned.hpp"

namespace cloudos::os {

namespace {

using Request = std::unique_ptr<X509_REQ, detail::Freed<X509_REQ_free>>;

// Far above what a node's request needs; an RSA key of 16384 bits makes 5 KiB.
constexpr std::size_t longest = 64U << 10;

Result<std::string> text_of(const ASN1_STRING* value) {
  unsigned char* utf8 = nullptr;
  const int length = ASN1_STRING_to_UTF8(&utf8, value);
  if (length < 0) return fail(ErrorKind::input, "a name in the certificate request is not text");
  std::string text(utf8, utf8 + length);
  OPENSSL_free(utf8);
  return text;
}

}  // namespace

Result<CertificateRequest> parse_certificate_request(std::string_view pem) {
  if (pem.size() > longest) return fail(ErrorKind::input, "a certificate request of more than 64 KiB");
  const auto source = detail::reader(pem);
  // Without a passphrase: an encrypted block is none that we take, and nobody is asked.
  std::string no_passphrase;
  const Request request(PEM_read_bio_X509_REQ(source.get(), nullptr, nullptr, no_passphrase.data()));
  if (!request) return fail(ErrorKind::input, "not a PEM certificate request");
  EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
  if (key == nullptr || X509_REQ_verify(request.get(), key) != 1)
    return fail(ErrorKind::input, "the certificate request is not signed by its own key");
  CertificateRequest out;
  const auto* subject = X509_REQ_get_subject_name(request.get());
  for (int i = 0; i < X509_NAME_entry_count(subject); ++i) {
    const auto* entry = X509_NAME_get_entry(subject, i);
    CLOUDOS_ASSIGN(auto text, text_of(X509_NAME_ENTRY_get_data(entry)));
    const int kind = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
    if (kind == NID_commonName) out.common_names.push_back(std::move(text));
    else if (kind == NID_organizationName) out.organisations.push_back(std::move(text));
    else out.other_names = true;
  }
  // A kubelet's request for its client certificate has none at all (kubernetes, pkg/apis/certificates/helpers.go).
  if (X509_REQ_get_attr_count(request.get()) > 0) out.other_names = true;
  return out;
}

}  // namespace cloudos::os
