#pragma once

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/kube/kube.hpp"
#include "core/model/join_token.hpp"
#include "core/os/crypto/crypto.hpp"

namespace cloudos::test {

using Subject = std::vector<std::pair<const char*, std::string>>;

inline Subject of_node(const std::string& node) { return {{"O", "system:nodes"}, {"CN", "system:node:" + node}}; }

// A real request, PEM, signed by a key of its own.
inline std::string make_request(const Subject& subject, const char* alternative_name = nullptr) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const std::unique_ptr<X509_REQ, decltype(&X509_REQ_free)> request(X509_REQ_new(), X509_REQ_free);
  X509_REQ_set_pubkey(request.get(), key.get());
  for (const auto& [field, text] : subject)
    X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(request.get()), field, MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(text.c_str()), -1, -1, 0);
  if (alternative_name != nullptr) {
    auto* extensions = sk_X509_EXTENSION_new_null();
    sk_X509_EXTENSION_push(extensions, X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, alternative_name));
    X509_REQ_add_extensions(request.get(), extensions);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
  }
  X509_REQ_sign(request.get(), key.get(), EVP_sha256());
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> out(BIO_new(BIO_s_mem()), BIO_free_all);
  PEM_write_bio_X509_REQ(out.get(), request.get());
  char* text = nullptr;
  const auto size = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

// As the API server shows the request of a kubelet that joins with a token.
inline kube::Json csr(const std::string& name, const std::string& token, const std::string& pem) {
  return {{"apiVersion", "certificates.k8s.io/v1"},
          {"kind", "CertificateSigningRequest"},
          {"metadata", {{"name", name}, {"resourceVersion", "1"}}},
          {"spec",
           {{"signerName", "kubernetes.io/kube-apiserver-client-kubelet"},
            {"username", "system:bootstrap:" + token},
            {"groups", {"system:bootstrappers", "system:bootstrappers:cloudos:join", "system:authenticated"}},
            {"usages", {"digital signature", "client auth"}},
            {"request", os::base64(pem)}}}};
}

inline model::JoinToken join_token(std::uint64_t uses) {
  return {.id = "abcdef", .uses = uses, .created_s = 1'800'000'000, .expires_s = 1'800'000'900};
}

}  // namespace cloudos::test
