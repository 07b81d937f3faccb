#include "agent/steps/netlink.hpp"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <span>

#include "core/os/file/file.hpp"

namespace cloudos::steps {
namespace {

// One message after the other, each aligned as netlink(7) wants.
class Messages {
 public:
  void begin(std::uint16_t type, std::uint16_t flags) {
    start_ = bytes_.size();
    const nlmsghdr header{.nlmsg_len = 0,
                          .nlmsg_type = type,
                          .nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags),
                          .nlmsg_seq = ++sequence_,
                          .nlmsg_pid = 0};
    put(&header, sizeof header);
  }
  template <class T>
  void body(const T& value) {
    put(&value, sizeof value);
  }
  void attribute(std::uint16_t type, const std::string& text) {
    const nlattr header{.nla_len = static_cast<std::uint16_t>(NLA_HDRLEN + text.size() + 1), .nla_type = type};
    put(&header, sizeof header);
    put(text.c_str(), text.size() + 1);
  }
  void end() {
    const auto length = static_cast<std::uint32_t>(bytes_.size() - start_);
    std::memcpy(bytes_.data() + start_, &length, sizeof length);
  }
  [[nodiscard]] std::span<const char> bytes() const { return bytes_; }

 private:
  void put(const void* data, std::size_t size) {
    const auto* from = static_cast<const char*>(data);
    bytes_.insert(bytes_.end(), from, from + size);
    bytes_.resize(NLMSG_ALIGN(bytes_.size()));
  }
  std::vector<char> bytes_;
  std::size_t start_ = 0;
  std::uint32_t sequence_ = 0;
};

using Visit = std::function<void(const nlmsghdr&, std::span<const char> payload)>;

// Sends and reads until an acknowledgement, the dump's end or an error. Gives errno's value, 0 for none.
Result<int> talk(int protocol, const Messages& messages, const Visit& visit = {}) {
  const os::Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  // netlink(7): a protocol that the kernel was built without.
  if (!fd && errno == EPROTONOSUPPORT) return EPROTONOSUPPORT;
  if (!fd) return fail_errno("open a netlink socket", errno);
  const timeval patience{.tv_sec = 5, .tv_usec = 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (::send(fd.get(), messages.bytes().data(), messages.bytes().size(), 0) < 0) return fail_errno("send a netlink message", errno);
  alignas(nlmsghdr) std::array<char, 64U << 10> buffer{};
  for (;;) {
    const auto got = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("read a netlink answer", errno);
    for (std::size_t at = 0; at + sizeof(nlmsghdr) <= static_cast<std::size_t>(got);) {
      nlmsghdr header{};
      std::memcpy(&header, buffer.data() + at, sizeof header);
      if (header.nlmsg_len < sizeof header || at + header.nlmsg_len > static_cast<std::size_t>(got)) break;
      const auto payload = std::span<const char>(buffer).subspan(at + NLMSG_HDRLEN, header.nlmsg_len - NLMSG_HDRLEN);
      if (header.nlmsg_type == NLMSG_DONE) return 0;
      if (header.nlmsg_type == NLMSG_ERROR && payload.size() >= sizeof(int)) {
        int code = 0;
        std::memcpy(&code, payload.data(), sizeof code);
        return -code;
      }
      if (visit) visit(header, payload);
      at += NLMSG_ALIGN(header.nlmsg_len);
    }
  }
}

nfgenmsg family_of(std::uint8_t family, std::uint16_t resource = 0) {
  return {.nfgen_family = family, .version = NFNETLINK_V0, .res_id = htons(resource)};
}
constexpr std::uint16_t nft_type(int message) { return static_cast<std::uint16_t>((NFNL_SUBSYS_NFTABLES << 8) | message); }

// The text of an attribute of an nf_tables message, or "".
std::string text_attribute(std::span<const char> payload, std::uint16_t type) {
  for (std::size_t at = NLMSG_ALIGN(sizeof(nfgenmsg)); at + sizeof(nlattr) <= payload.size();) {
    nlattr header{};
    std::memcpy(&header, payload.data() + at, sizeof header);
    if (header.nla_len < sizeof header || at + header.nla_len > payload.size()) break;
    if ((header.nla_type & NLA_TYPE_MASK) == type) {
      const auto text = payload.subspan(at + NLA_HDRLEN, header.nla_len - static_cast<std::size_t>(NLA_HDRLEN));
      return {text.data(), ::strnlen(text.data(), text.size())};
    }
    at += static_cast<std::size_t>(NLA_ALIGN(header.nla_len));
  }
  return "";
}

// nf_tables takes changes in batches only.
Messages deletion(int message, std::uint16_t flags, std::uint8_t family, const std::function<void(Messages&)>& of) {
  Messages m;
  m.begin(NFNL_MSG_BATCH_BEGIN, 0);
  m.body(family_of(NFPROTO_UNSPEC, NFNL_SUBSYS_NFTABLES));
  m.end();
  m.begin(nft_type(message), flags);
  m.body(family_of(family));
  of(m);
  m.end();
  m.begin(NFNL_MSG_BATCH_END, 0);
  m.body(family_of(NFPROTO_UNSPEC, NFNL_SUBSYS_NFTABLES));
  m.end();
  return m;
}

// A kernel without nf_tables answers with one of these.
bool means_none(int code) { return code == ENOENT || code == EOPNOTSUPP || code == EPROTONOSUPPORT || code == EINVAL; }

}  // namespace

std::string NftTable::text() const {
  const char* word = family == NFPROTO_IPV4     ? "ip"
                     : family == NFPROTO_IPV6   ? "ip6"
                     : family == NFPROTO_INET   ? "inet"
                     : family == NFPROTO_BRIDGE ? "bridge"
                                                : "family";
  return std::string(word) + " " + name;
}

Status delete_link(const std::string& name) {
  const auto index = ::if_nametoindex(name.c_str());
  if (index == 0) return {};
  Messages m;
  m.begin(RTM_DELLINK, NLM_F_ACK);
  ifinfomsg info{};
  info.ifi_family = AF_UNSPEC;
  info.ifi_index = static_cast<int>(index);
  m.body(info);
  m.end();
  CLOUDOS_ASSIGN(const int code, talk(NETLINK_ROUTE, m));
  if (code != 0 && code != ENODEV) return fail_errno("delete link " + name, code);
  return {};
}

Result<std::vector<NftTable>> nft_tables() {
  Messages m;
  m.begin(nft_type(NFT_MSG_GETTABLE), NLM_F_DUMP);
  m.body(family_of(NFPROTO_UNSPEC));
  m.end();
  std::vector<NftTable> tables;
  auto code = talk(NETLINK_NETFILTER, m, [&](const nlmsghdr&, std::span<const char> payload) {
    if (payload.size() < sizeof(nfgenmsg)) return;
    tables.push_back({.family = static_cast<std::uint8_t>(payload[0]), .name = text_attribute(payload, NFTA_TABLE_NAME)});
  });
  if (!code) return fail(std::move(code).error());
  if (*code != 0 && !means_none(*code)) return fail_errno("list the nftables", *code);
  return tables;
}

Result<std::vector<std::string>> nft_chains(const NftTable& table) {
  Messages m;
  m.begin(nft_type(NFT_MSG_GETCHAIN), NLM_F_DUMP);
  m.body(family_of(table.family));
  m.end();
  std::vector<std::string> chains;
  CLOUDOS_ASSIGN(const int code, talk(NETLINK_NETFILTER, m, [&](const nlmsghdr&, std::span<const char> payload) {
                   if (text_attribute(payload, NFTA_CHAIN_TABLE) == table.name) chains.push_back(text_attribute(payload, NFTA_CHAIN_NAME));
                 }));
  if (code != 0 && !means_none(code)) return fail_errno("list the chains of " + table.text(), code);
  return chains;
}

Status delete_nft_table(const NftTable& table) {
  CLOUDOS_ASSIGN(const int code, talk(NETLINK_NETFILTER, deletion(NFT_MSG_DELTABLE, NLM_F_ACK, table.family,
                                                                  [&](Messages& m) { m.attribute(NFTA_TABLE_NAME, table.name); })));
  if (code != 0 && code != ENOENT) return fail_errno("delete table " + table.text(), code);
  return {};
}

Status delete_empty_chain(const NftTable& table, const std::string& chain) {
  CLOUDOS_ASSIGN(const int code,
                 talk(NETLINK_NETFILTER, deletion(NFT_MSG_DELCHAIN, NLM_F_ACK | NLM_F_NONREC, table.family, [&](Messages& m) {
                        m.attribute(NFTA_CHAIN_TABLE, table.name);
                        m.attribute(NFTA_CHAIN_NAME, chain);
                      })));
  if (code != 0 && code != ENOENT && code != EBUSY) return fail_errno("delete chain " + chain + " of " + table.text(), code);
  return {};
}

}  // namespace cloudos::steps
