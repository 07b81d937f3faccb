#include "agent/daemon/root/credential.hpp"

#include <format>

#include <nlohmann/json.hpp>

#include "core/model/paths.hpp"

namespace cloudos::daemon {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t longest = 1U << 20;

// The blocks of a PEM text (RFC 7468) whose label ends with `label`: kubelet keeps certificate and key in one file.
std::string blocks(std::string_view pem, std::string_view label) {
  static constexpr std::string_view begin = "-----BEGIN ";
  std::string out;
  for (auto at = pem.find(begin); at != std::string_view::npos; at = pem.find(begin, at + 1)) {
    const auto name_end = pem.find("-----", at + begin.size());
    if (name_end == std::string_view::npos) break;
    const auto name = pem.substr(at + begin.size(), name_end - at - begin.size());
    const auto last = std::format("-----END {}-----", name);
    const auto end = pem.find(last, name_end);
    if (end == std::string_view::npos) break;
    if (name.ends_with(label)) out += std::string(pem.substr(at, end + last.size() - at)) + "\n";
  }
  return out;
}

struct Pair {
  std::string certificate;
  Secret key;
};

Result<Pair> read_pair(const fs::path& certificate, const fs::path& key) {
  CLOUDOS_ASSIGN(const auto first, os::read(certificate, longest));
  CLOUDOS_ASSIGN(auto second, os::read(key, longest));
  const Secret whole(std::move(second));
  Pair pair{.certificate = blocks(first, "CERTIFICATE"), .key = Secret(blocks(whole.reveal(), "PRIVATE KEY"))};
  if (pair.certificate.empty()) return fail(ErrorKind::input, certificate.string() + " holds no certificate");
  if (pair.key.empty()) return fail(ErrorKind::input, key.string() + " holds no private key");
  return pair;
}

// Signed by the cluster when kubelet was told to ask for that, else the one it made itself.
Result<Pair> read_serving(const fs::path& folder) {
  const auto current = folder / "kubelet-server-current.pem";
  if (std::error_code error; fs::exists(current, error)) return read_pair(current, current);
  return read_pair(folder / "kubelet.crt", folder / "kubelet.key");
}

}  // namespace

Result<Membership> read_membership(const fs::path& file) {
  CLOUDOS_ASSIGN(const auto text, os::read(file, longest));
  const auto json = nlohmann::json::parse(text, nullptr, false);
  Membership out;
  for (const auto& [key, value] : {std::pair{"node", &out.node}, {"role", &out.role}, {"address", &out.address}}) {
    if (!json.is_object() || !json.contains(key) || !json.at(key).is_string())
      return fail(ErrorKind::input, std::format("{}: no \"{}\" in it", file.string(), key), "run the install again");
    *value = json.at(key).get<std::string>();
  }
  return out;
}

Result<halves::Credential> read_credential(const Membership& membership, const Certificates& from) {
  const auto client = from.kubelet / "kubelet-client-current.pem";
  CLOUDOS_ASSIGN(auto pair, read_pair(client, client));
  CLOUDOS_ASSIGN(auto ca, os::read(from.ca, longest));
  halves::Credential out{.node = membership.node,
                         .role = membership.role,
                         .address = membership.address,
                         .server = std::string("https://") + paths::balancer_address,
                         .ca = std::move(ca),
                         .certificate = std::move(pair.certificate),
                         .key = std::move(pair.key)};
  if (auto serving = read_serving(from.kubelet)) {
    out.serving_certificate = std::move(serving->certificate);
    out.serving_key = std::move(serving->key);
  }
  if (auto own = read_pair(from.identity / "cert.pem", from.identity / "key.pem")) {
    out.store_certificate = std::move(own->certificate);
    out.store_key = std::move(own->key);
  }
  return out;
}

}  // namespace cloudos::daemon
