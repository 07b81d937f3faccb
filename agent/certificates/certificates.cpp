#include "agent/certificates/certificates.hpp"

#include "core/os/crypto/crypto.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::certificates {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t longest = 1U << 20;

}  // namespace

std::vector<Expiry> expiries(const std::vector<std::string>& files, const fs::path& root) {
  std::vector<Expiry> out;
  for (const auto& file : files) {
    const auto text = os::read(root / fs::path(file).relative_path(), longest);
    if (!text) continue;
    if (const auto expires = os::expiry(*text)) out.push_back({.path = file, .expires_s = *expires});
  }
  return out;
}

Result<std::string> keep_own(const std::string& node, const std::string& address, const fs::path& folder) {
  const auto certificate = folder / "cert.pem", key = folder / "key.pem";
  // Written last, so that where it is the key is too.
  if (const auto there = os::read(certificate, longest); there && os::read(key, longest)) return os::spki_hash(*there);
  CLOUDOS_ASSIGN(const auto made, os::make_identity(node, {address}));
  CLOUDOS_TRY(os::make_folders(folder, 0700));
  CLOUDOS_TRY(os::write_atomic(key, made.key.reveal(), 0600));
  CLOUDOS_TRY(os::write_atomic(certificate, made.certificate, 0644));
  return os::spki_hash(made.certificate);
}

}  // namespace cloudos::certificates
