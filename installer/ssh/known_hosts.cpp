#include "installer/ssh/known_hosts.hpp"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <format>
#include <optional>

#include "core/base/text.hpp"
#include "core/os/file/file.hpp"
#include "installer/ssh/pattern.hpp"

namespace cloudos::ssh {

namespace {

std::string encode64(std::string_view bytes) {
  std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  const int n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), reinterpret_cast<const unsigned char*>(bytes.data()),
                                static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(n));
  return out;
}

std::optional<std::string> decode64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0 || text.size() > (1U << 16)) return std::nullopt;
  std::string out(text.size() / 4 * 3, '\0');
  const int n = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()), reinterpret_cast<const unsigned char*>(text.data()),
                                static_cast<int>(text.size()));
  if (n < 0) return std::nullopt;
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  out.resize(static_cast<std::size_t>(n) - padding);
  return out;
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  for (auto at = line.find_first_not_of(" \t"); at != std::string_view::npos; at = line.find_first_not_of(" \t", at)) {
    const auto end = std::min(line.find_first_of(" \t", at), line.size());
    words.push_back(line.substr(at, end - at));
    at = end;
  }
  return words;
}

// The type that a public key names itself (RFC 4253, section 6.6): its first string.
std::string_view inner_type(std::string_view key) {
  if (key.size() < 4) return {};
  std::size_t length = 0;
  for (const char c : key.substr(0, 4)) length = length << 8 | static_cast<unsigned char>(c);
  return length <= key.size() - 4 ? key.substr(4, length) : std::string_view{};
}

bool read_names(std::string_view word, KnownHost& entry) {
  if (!word.starts_with("|1|")) {
    entry.patterns = split(word, ',');
    for (auto& pattern : entry.patterns)
      std::ranges::transform(pattern, pattern.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return true;
  }
  const auto parts = split(word, '|');
  if (parts.size() != 4) return false;
  const auto salt = decode64(parts[2]), hash = decode64(parts[3]);
  if (!salt || !hash || hash->size() != 20) return false;
  entry.salt = *salt;
  entry.hash = *hash;
  return true;
}

// Nothing when the line is an entry, else why not.
std::string read_line(std::string_view text, KnownHost& entry) {
  auto words = words_of(text);
  if (words[0].starts_with('@')) {
    if (words[0] == "@revoked") entry.marker = KnownHost::Marker::revoked;
    else if (words[0] == "@cert-authority") entry.marker = KnownHost::Marker::cert_authority;
    else return std::format("unknown marker {}", sanitise(words[0]));
    words.erase(words.begin());
  }
  if (words.size() < 3) return "not an entry of host, key type and key";
  if (!read_names(words[0], entry)) return "a hashed host name that cannot be read";
  entry.type = words[1];
  const auto key = decode64(words[2]);
  if (!key) return "a key that is not base64";
  if (inner_type(*key) != entry.type) return "a key of another type than the line says";
  entry.key = *key;
  return {};
}

}  // namespace

KnownHosts parse_known_hosts(std::string_view text, const std::string& file) {
  KnownHosts hosts;
  std::size_t number = 0;
  for (const auto& whole : split(text, '\n')) {
    ++number;
    const auto line = trim(whole);
    if (line.empty() || line.starts_with('#')) continue;
    KnownHost entry{.file = file, .line = number};
    std::string problem = read_line(line, entry);
    if (entry.marker == KnownHost::Marker::cert_authority) problem = "host certificates are not supported";
    if (problem.empty()) hosts.entries.push_back(std::move(entry));
    else hosts.notes.push_back(std::format("{}:{} is passed over: {}", file, number, problem));
  }
  return hosts;
}

std::string known_name(std::string_view host, std::uint16_t port) {
  std::string name(host);
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return port == 22 ? name : std::format("[{}]:{}", name, port);
}

bool names(const KnownHost& entry, std::string_view name) {
  if (entry.hash.empty()) return matches_list(entry.patterns, name);
  std::array<unsigned char, EVP_MAX_MD_SIZE> sum{};
  unsigned size = 0;
  if (HMAC(EVP_sha1(), entry.salt.data(), static_cast<int>(entry.salt.size()), reinterpret_cast<const unsigned char*>(name.data()),
           name.size(), sum.data(), &size) == nullptr)
    return false;
  return std::string_view(reinterpret_cast<const char*>(sum.data()), size) == entry.hash;
}

Judgement judge(std::span<const KnownHost> entries, std::string_view name, std::string_view type, std::string_view key) {
  using Verdict = Judgement::Verdict;
  Judgement result;
  for (const auto& entry : entries) {
    if (!names(entry, name)) continue;
    if (entry.marker == KnownHost::Marker::revoked) {
      // A revoked key decides whatever other lines say (sshd(8)).
      if (entry.key == key) return {Verdict::revoked, &entry};
      continue;
    }
    if (entry.key == key) result = {Verdict::known, &entry};
    else if (result.verdict != Verdict::known && (result.because == nullptr || entry.type == type)) result = {Verdict::changed, &entry};
  }
  return result;
}

std::vector<std::string> known_types(std::span<const KnownHost> entries, std::string_view name) {
  std::vector<std::string> types;
  for (const auto& entry : entries)
    if (entry.marker == KnownHost::Marker::none && names(entry, name) && !std::ranges::contains(types, entry.type))
      types.push_back(entry.type);
  return types;
}

std::string fingerprint(std::string_view key) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> sum{};
  unsigned size = 0;
  if (EVP_Digest(key.data(), key.size(), sum.data(), &size, EVP_sha256(), nullptr) != 1) return "SHA256:?";
  std::string text = encode64(std::string_view(reinterpret_cast<const char*>(sum.data()), size));
  text.erase(text.find_last_not_of('=') + 1);
  return "SHA256:" + text;
}

Status remember(const std::filesystem::path& file, const std::string& name, const std::string& type, const std::string& key) {
  CLOUDOS_TRY(os::make_folders(file.parent_path(), 0700));
  CLOUDOS_ASSIGN(const os::Fd fd, os::open(file, O_RDWR | O_APPEND | O_CREAT, 0600));
  // Installers side by side add to the same file.
  if (::flock(fd.get(), LOCK_EX) != 0) return fail_errno(std::format("lock {}", file.string()), errno);
  CLOUDOS_ASSIGN(const std::string before, os::read(file));
  if (judge(parse_known_hosts(before, file.string()).entries, name, type, key).verdict == Judgement::Verdict::known) return {};
  const std::string_view gap = before.empty() || before.ends_with('\n') ? "" : "\n";
  return os::append_synced(fd.get(), std::format("{}{} {} {}\n", gap, name, type, encode64(key)));
}

}  // namespace cloudos::ssh
