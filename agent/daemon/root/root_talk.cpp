// The root half and who asks it.
#include <sys/stat.h>

#include <algorithm>
#include <format>

#include "agent/daemon/root/gpus.hpp"
#include "agent/daemon/root/root.hpp"
#include "core/model/paths.hpp"

namespace cloudos::daemon {
namespace {

// It belongs to the network half's user, whom systemd makes for it (RuntimeDirectory=, DynamicUser=): no name service can be asked
// for that user here, and only root can make this folder.
constexpr auto owned_by_network_half = "/run/cloudos-agent";
constexpr std::size_t most_peers = 4;

// Root when there is no such folder.
std::uint32_t network_uid() {
  struct stat s{};
  return ::stat(owned_by_network_half, &s) == 0 && S_ISDIR(s.st_mode) ? s.st_uid : 0;
}

}  // namespace

void Root::accept() {
  for (;;) {
    auto link = halves::accept(listening_.get(), network_uid());
    if (!link) {
      log_.warning("{}", link.error().text());
      if (link.error().kind == ErrorKind::auth) continue;
      return;
    }
    if (!*link) return;
    if (peers_.size() >= most_peers) drop(peers_.front());
    auto& peer = peers_.emplace_back(std::move(**link));
    auto source = loop_.watch(peer.link.fd(), EPOLLIN, [this, &peer](std::uint32_t) { hear(peer); });
    if (source) peer.source = std::move(*source);
    else drop(peer);
  }
}

void Root::drop(Peer& peer) {
  peers_.remove_if([&](const Peer& each) { return &each == &peer; });
}

void Root::hear(Peer& peer) {
  for (;;) {
    auto message = peer.link.receive();
    // Gone, or it says what nobody says.
    if (!message) return drop(peer);
    if (!*message) return;
    if (!understand(peer, **message)) return drop(peer);
  }
}

bool Root::understand(Peer& peer, std::string_view text) {
  const auto message = halves::decode_from_network(text);
  if (!message) {
    log_.warning("the network half is not understood: {}", message.error().text());
    return false;
  }
  if (const auto* hello = std::get_if<halves::Hello>(&*message)) {
    peer.greeted = hello->version == halves::version;
    return peer.greeted;
  }
  if (!peer.greeted) return false;
  if (const auto* delivered = std::get_if<halves::Delivered>(&*message)) {
    outbox_.delivered(*delivered);
    return true;
  }
  return answer(peer, std::get<halves::Ask>(*message).wish);
}

bool Root::answer(Peer& peer, halves::Wish wish) {
  switch (wish) {
    case halves::Wish::report: peer.wants_report = true; return send(peer, outbox_.report());
    case halves::Wish::figures: return send(peer, figures());
    case halves::Wish::credential: break;
  }
  peer.wants_credential = true;
  if (!membership_) return true;
  auto credential = read_credential(*membership_, {.identity = paths::agent_identity});
  // It is sent once it is there.
  if (!credential) {
    log_.warning("no credential yet: {}", credential.error().text());
    return true;
  }
  return send(peer, *credential);
}

bool Root::send(Peer& peer, const halves::FromRoot& message) {
  // One that does not read is hung up on: it comes back when it is well, and has all of it then.
  return peer.link.send(halves::encode(message).reveal()).has_value();
}

void Root::report_changed() {
  for (auto at = peers_.begin(); at != peers_.end();) {
    auto& peer = *at++;
    if (peer.wants_report && !send(peer, outbox_.report())) drop(peer);
  }
}

void Root::credential_changed() {
  for (auto at = peers_.begin(); at != peers_.end();) {
    auto& peer = *at++;
    if (peer.wants_credential && !answer(peer, halves::Wish::credential)) drop(peer);
  }
}

halves::Figures Root::figures() const {
  halves::Figures out;
  out.sync_p99_seconds = sync_seconds_;
  out.certificates = expiries_;
  out.restarts = restarts_;
  if (plugin_) add_figures(*plugin_, out);
  return out;
}

}  // namespace cloudos::daemon
