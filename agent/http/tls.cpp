#include "agent/http/tls.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>
#include <format>

#include "core/base/ip.hpp"
#include "core/base/text.hpp"
#include "core/os/crypto/crypto.hpp"

namespace cloudos::http::detail {
namespace {

// A file from outside may be long; a person reads this many.
constexpr int most_names = 8;

// Never asks at a terminal for the passphrase of an encrypted key: it is refused.
int no_passphrase(char*, int, int, void*) { return -1; }

Result<Context> context_of(const SSL_METHOD* method) {
  // The machine's openssl.cnf is for the machine's OpenSSL, which is another than the one within us.
  must(OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr) == 1);
  auto context = must(Context(SSL_CTX_new(method)));
  must(SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) == 1);
  // Of TLS 1.2 only what has forward secrecy and is authenticated encryption; TLS 1.3 has nothing else.
  must(SSL_CTX_set_cipher_list(context.get(), "ECDHE+AESGCM:ECDHE+CHACHA20") == 1);
  // A connection that is idle gives its buffers back; sessions are not resumed: connections are kept instead.
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
  must(SSL_CTX_set_num_tickets(context.get(), 0) == 1);
  return context;
}

Status use(SSL_CTX* context, const Identity& identity) {
  const auto chain = reader(identity.certificate);
  const Certificate own(PEM_read_bio_X509(chain.get(), nullptr, no_passphrase, nullptr));
  if (!own || SSL_CTX_use_certificate(context, own.get()) != 1) return fail(ErrorKind::input, "our certificate is not a PEM certificate");
  while (const Certificate next{PEM_read_bio_X509(chain.get(), nullptr, no_passphrase, nullptr)})
    must(SSL_CTX_add1_chain_cert(context, next.get()) == 1);
  const auto source = reader(identity.key.reveal());
  const Key key(PEM_read_bio_PrivateKey(source.get(), nullptr, no_passphrase, nullptr));
  if (!key) return fail(ErrorKind::input, "our certificate's key is not an unencrypted PEM key");
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1) return fail(ErrorKind::input, "the key is not our certificate's");
  ERR_clear_error();
  return {};
}

Status believe(SSL_CTX* context, std::string_view ca) {
  const auto source = reader(ca);
  int count = 0;
  while (const Certificate next{PEM_read_bio_X509(source.get(), nullptr, no_passphrase, nullptr)}) {
    must(X509_STORE_add_cert(SSL_CTX_get_cert_store(context), next.get()) == 1);
    ++count;
  }
  ERR_clear_error();
  if (count == 0) return fail(ErrorKind::input, "the CA is not a PEM certificate");
  return {};
}

std::string name_of(const X509_NAME* name) {
  const auto out = must(Bio(BIO_new(BIO_s_mem())));
  X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
  return sanitise(written(out.get()).substr(0, 200));
}

std::string time_of(const ASN1_TIME* time) {
  const auto out = must(Bio(BIO_new(BIO_s_mem())));
  ASN1_TIME_print_ex(out.get(), time, ASN1_DTFLGS_ISO8601);
  return sanitise(written(out.get()));
}

std::string names_in(const X509* certificate) {
  const std::unique_ptr<GENERAL_NAMES, Freed<GENERAL_NAMES_free>> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  if (!names) return "no names";
  std::vector<std::string> all;
  for (int i = 0; i < std::min(sk_GENERAL_NAME_num(names.get()), most_names); ++i) {
    const auto out = must(Bio(BIO_new(BIO_s_mem())));
    GENERAL_NAME_print(out.get(), sk_GENERAL_NAME_value(names.get(), i));
    all.push_back(sanitise(written(out.get()).substr(0, 100)));
  }
  return join(all, ", ");
}

std::string key_of(const X509* certificate) {
  const auto out = must(Bio(BIO_new(BIO_s_mem())));
  must(PEM_write_bio_X509(out.get(), certificate) == 1);
  return os::spki_hash(written(out.get())).value_or("a key that cannot be read");
}

Error refused(std::string message, std::string hint) {
  return {.kind = ErrorKind::trust, .message = std::move(message), .hint = std::move(hint)};
}

std::optional<Error> check_pins(const Handshake& shake, const X509* leaf) {
  const auto key = leaf != nullptr ? key_of(leaf) : std::string("no certificate");
  if (std::ranges::contains(shake.trust->spki, key)) return {};
  return refused(std::format("{} has the key {}; expected {}", shake.where, key, join(shake.trust->spki, " or ")),
                 "another machine answers at this address, or its key was made anew");
}

// Why the chain does not hold, with what was seen and what was expected.
Error describe(const Handshake& shake, X509_STORE_CTX* chain) {
  const auto* const leaf = X509_STORE_CTX_get0_cert(chain);
  const auto* const bad = X509_STORE_CTX_get_current_cert(chain) != nullptr ? X509_STORE_CTX_get_current_cert(chain) : leaf;
  const int code = X509_STORE_CTX_get_error(chain);
  switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return refused(std::format("the certificate of {} ({}) expired at {}", shake.where, name_of(X509_get_subject_name(bad)),
                                 time_of(X509_get0_notAfter(bad))),
                     "renew it, or see whether this machine's clock is right");
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return refused(std::format("the certificate of {} ({}) is valid only from {}", shake.where, name_of(X509_get_subject_name(bad)),
                                 time_of(X509_get0_notBefore(bad))),
                     "see whether this machine's clock is right");
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return refused(std::format("the certificate of {} is for {}; expected {}", shake.where, names_in(leaf), shake.host), {});
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return refused(std::format("the certificate of {} is of an unknown CA ({}): {}", shake.where, name_of(X509_get_issuer_name(bad)),
                                 X509_verify_cert_error_string(code)),
                     "it is another cluster's, or its CA was made anew");
    default: return refused(std::format("the certificate of {} does not hold: {}", shake.where, X509_verify_cert_error_string(code)), {});
  }
}

// In the place of OpenSSL's own verification, within the handshake: before a byte of a request is sent.
int verify(X509_STORE_CTX* chain, void*) {
  const auto* const ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto& shake = *static_cast<Handshake*>(SSL_get_app_data(ssl));
  if (!shake.trust->spki.empty()) shake.refused = check_pins(shake, X509_STORE_CTX_get0_cert(chain));
  else if (X509_verify_cert(chain) != 1) shake.refused = describe(shake, chain);
  if (!shake.refused) return 1;
  if (X509_STORE_CTX_get_error(chain) == X509_V_OK) X509_STORE_CTX_set_error(chain, X509_V_ERR_CERT_UNTRUSTED);
  return 0;
}

}  // namespace

Result<Context> server_context(const Identity& identity) {
  CLOUDOS_ASSIGN(auto context, context_of(TLS_server_method()));
  CLOUDOS_TRY(use(context.get(), identity));
  return context;
}

Result<Context> client_context(const Trust& trust, const std::optional<Identity>& identity) {
  if (trust.ca.empty() == trust.spki.empty()) return fail(ErrorKind::input, "either a CA or keys must be trusted, and not both");
  for (const auto& pin : trust.spki)
    if (!pin.starts_with("sha256:") || !Digest::parse(pin))
      return fail(ErrorKind::input, std::format("\"{}\" is not a key's digest: \"sha256:\" and 64 hexadecimal digits", sanitise(pin)));
  CLOUDOS_ASSIGN(auto context, context_of(TLS_client_method()));
  if (!trust.ca.empty()) CLOUDOS_TRY(believe(context.get(), trust.ca));
  if (identity) CLOUDOS_TRY(use(context.get(), *identity));
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_cert_verify_callback(context.get(), verify, nullptr);
  return context;
}

Connection connection_to(SSL_CTX* context, Handshake& handshake) {
  auto ssl = must(Connection(SSL_new(context)));
  must(SSL_set_app_data(ssl.get(), &handshake) == 1);
  if (Ip::parse(handshake.host)) {
    must(X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl.get()), handshake.host.c_str()) == 1);
  } else {
    SSL_set_hostflags(ssl.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    must(SSL_set1_host(ssl.get(), handshake.host.c_str()) == 1);
    // SSL_set_tlsext_host_name(3), whose macro has a cast that we do not write.
    auto name = handshake.host;
    must(SSL_ctrl(ssl.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data()) == 1);
  }
  return ssl;
}

std::string reason(unsigned long code) {
  const auto* const text = ERR_reason_error_string(code);
  return text != nullptr ? text : std::format("OpenSSL's error {:#x}", code);
}

bool about_our_certificate(unsigned long code) {
  static constexpr std::array alerts = {SSL_AD_BAD_CERTIFICATE,     SSL_AD_UNSUPPORTED_CERTIFICATE, SSL_AD_CERTIFICATE_REVOKED,
                                        SSL_AD_CERTIFICATE_EXPIRED, SSL_AD_CERTIFICATE_UNKNOWN,     SSL_AD_UNKNOWN_CA,
                                        SSL_AD_ACCESS_DENIED,       SSL_AD_CERTIFICATE_REQUIRED};
  return ERR_GET_LIB(code) == ERR_LIB_SSL && std::ranges::contains(alerts, ERR_GET_REASON(code) - SSL_AD_REASON_OFFSET);
}

}  // namespace cloudos::http::detail
