#include "agent/facts/netlink.hpp"

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string_view>
#include <vector>

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "core/os/file/file.hpp"

namespace cloudos::facts {

namespace {

// One or several messages in the making. Lengths are filled in when a message or a nest ends.
class Messages {
 public:
  void begin(std::uint16_t type, std::uint16_t flags) {
    header_at_ = bytes_.size();
    put(nlmsghdr{.nlmsg_len = 0,
                 .nlmsg_type = type,
                 .nlmsg_flags = static_cast<std::uint16_t>(flags | NLM_F_REQUEST),
                 .nlmsg_seq = ++sequence_,
                 .nlmsg_pid = 0});
  }
  void end() { set(header_at_, static_cast<std::uint32_t>(bytes_.size() - header_at_)); }

  template <class T>
  void put(const T& value) {
    std::array<char, sizeof(T)> raw{};
    std::memcpy(raw.data(), &value, sizeof(T));
    bytes_.insert(bytes_.end(), raw.begin(), raw.end());
    bytes_.resize(NLMSG_ALIGN(bytes_.size()));
  }
  // Attributes with text (and its final NUL), or with a number in network order as nf_tables wants them.
  void text(std::uint16_t type, std::string_view value) {
    put(nlattr{.nla_len = static_cast<std::uint16_t>(NLA_HDRLEN + value.size() + 1), .nla_type = type});
    bytes_.insert(bytes_.end(), value.begin(), value.end());
    bytes_.resize(NLMSG_ALIGN(bytes_.size() + 1));
  }
  void big_endian(std::uint16_t type, std::uint32_t value) { number(type, htonl(value)); }
  void number(std::uint16_t type, std::uint32_t value) {
    put(nlattr{.nla_len = NLA_HDRLEN + sizeof value, .nla_type = type});
    put(value);
  }
  void nest(std::uint16_t type, const std::function<void()>& content) {
    const auto at = bytes_.size();
    put(nlattr{.nla_len = 0, .nla_type = static_cast<std::uint16_t>(type | NLA_F_NESTED)});
    content();
    set(at, static_cast<std::uint16_t>(bytes_.size() - at));
  }
  [[nodiscard]] const std::vector<char>& bytes() const { return bytes_; }

 private:
  template <class T>
  void set(std::size_t at, T value) {
    std::memcpy(bytes_.data() + at, &value, sizeof value);
  }
  std::vector<char> bytes_;
  std::size_t header_at_ = 0;
  std::uint32_t sequence_ = 0;
};

constexpr std::uint16_t nft(std::uint16_t message) { return static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8U | message); }

constexpr nfgenmsg family(std::uint8_t number, std::uint16_t resource = 0) {
  return {.nfgen_family = number, .version = NFNETLINK_V0, .res_id = resource};
}

// Each answer is looked at by `answer`, which says whether more are awaited.
using Answer = std::function<bool(const nlmsghdr&, std::string_view payload)>;

Status exchange(int protocol, const Messages& messages, const Answer& answer) {
  const os::Fd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!fd) return fail_errno("netlink", errno);
  const timeval patience{.tv_sec = 2, .tv_usec = 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (send(fd.get(), messages.bytes().data(), messages.bytes().size(), 0) < 0) return fail_errno("netlink", errno);
  std::vector<char> buffer(64U << 10U);
  for (bool more = true; more;) {
    const auto got = recv(fd.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("netlink", errno);
    for (std::size_t at = 0; more && at + NLMSG_HDRLEN <= static_cast<std::size_t>(got);) {
      nlmsghdr header{};
      std::memcpy(&header, buffer.data() + at, sizeof header);
      if (header.nlmsg_len < NLMSG_HDRLEN || at + header.nlmsg_len > static_cast<std::size_t>(got)) break;
      more = answer(header, std::string_view(buffer.data() + at + NLMSG_HDRLEN, header.nlmsg_len - NLMSG_HDRLEN));
      at += NLMSG_ALIGN(header.nlmsg_len);
    }
  }
  return {};
}

int error_of(std::string_view payload) {
  nlmsgerr error{};
  std::memcpy(&error.error, payload.data(), std::min(payload.size(), sizeof error.error));
  return -error.error;
}

// Sends requests of which the last wants an acknowledgement; the first error, or that acknowledgement, ends the wait.
Status transact(int protocol, const Messages& messages, std::string_view what) {
  int error = 0;
  CLOUDOS_TRY(exchange(protocol, messages, [&](const nlmsghdr& header, std::string_view payload) {
    if (header.nlmsg_type == NLMSG_ERROR) error = error_of(payload);
    return header.nlmsg_type != NLMSG_ERROR;
  }));
  if (error != 0) return fail_errno(what, error);
  return {};
}

void expression(Messages& m, std::string_view name, const std::function<void()>& data) {
  m.nest(NFTA_LIST_ELEM, [&] {
    m.text(NFTA_EXPR_NAME, name);
    m.nest(NFTA_EXPR_DATA, data);
  });
}

// numgen inc mod 2; ct state; masquerade.
void rule_expressions(Messages& m) {
  expression(m, "numgen", [&] {
    m.big_endian(NFTA_NG_DREG, NFT_REG_1);
    m.big_endian(NFTA_NG_MODULUS, 2);
    m.big_endian(NFTA_NG_TYPE, NFT_NG_INCREMENTAL);
  });
  expression(m, "ct", [&] {
    m.big_endian(NFTA_CT_DREG, NFT_REG_1);
    m.big_endian(NFTA_CT_KEY, NFT_CT_STATE);
  });
  expression(m, "masq", [] {});
}

}  // namespace

Status make_link(const std::string& kind) {
  Messages m;
  m.begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK);
  m.put(ifinfomsg{});
  m.text(IFLA_IFNAME, "trial-" + kind);
  m.nest(IFLA_LINKINFO, [&] {
    m.text(IFLA_INFO_KIND, kind);
    if (kind == "vxlan") m.nest(IFLA_INFO_DATA, [&] { m.number(IFLA_VXLAN_ID, 1); });
  });
  m.end();
  return transact(NETLINK_ROUTE, m, "making a link of kind " + kind);
}

Status make_nat_rule() {
  constexpr std::string_view table = "trial", chain = "nat";
  Messages m;
  m.begin(NFNL_MSG_BATCH_BEGIN, 0);
  m.put(family(AF_UNSPEC, htons(NFNL_SUBSYS_NFTABLES)));
  m.end();
  m.begin(nft(NFT_MSG_NEWTABLE), NLM_F_CREATE);
  m.put(family(NFPROTO_IPV4));
  m.text(NFTA_TABLE_NAME, table);
  m.end();
  m.begin(nft(NFT_MSG_NEWCHAIN), NLM_F_CREATE);
  m.put(family(NFPROTO_IPV4));
  m.text(NFTA_CHAIN_TABLE, table);
  m.text(NFTA_CHAIN_NAME, chain);
  m.nest(NFTA_CHAIN_HOOK, [&] {
    m.big_endian(NFTA_HOOK_HOOKNUM, NF_INET_POST_ROUTING);
    m.big_endian(NFTA_HOOK_PRIORITY, 100);  // srcnat
  });
  m.text(NFTA_CHAIN_TYPE, "nat");
  m.end();
  m.begin(nft(NFT_MSG_NEWRULE), NLM_F_CREATE | NLM_F_APPEND | NLM_F_ACK);
  m.put(family(NFPROTO_IPV4));
  m.text(NFTA_RULE_TABLE, table);
  m.text(NFTA_RULE_CHAIN, chain);
  m.nest(NFTA_RULE_EXPRESSIONS, [&] { rule_expressions(m); });
  m.end();
  m.begin(NFNL_MSG_BATCH_END, 0);
  m.put(family(AF_UNSPEC, htons(NFNL_SUBSYS_NFTABLES)));
  m.end();
  return transact(NETLINK_NETFILTER, m, "committing an nftables NAT rule");
}

Status has_xtables_compat() {
  Messages m;
  m.begin(static_cast<std::uint16_t>(NFNL_SUBSYS_NFT_COMPAT << 8U | NFNL_MSG_COMPAT_GET), NLM_F_ACK);
  m.put(family(NFPROTO_IPV4));
  m.text(NFTA_COMPAT_NAME, "MASQUERADE");
  m.big_endian(NFTA_COMPAT_REV, 0);
  m.big_endian(NFTA_COMPAT_TYPE, 1);  // a target
  m.end();
  return transact(NETLINK_NETFILTER, m, "asking for xtables' MASQUERADE");
}

Result<int> count_nft_rules() {
  Messages m;
  m.begin(nft(NFT_MSG_GETRULE), NLM_F_DUMP);
  m.put(family(NFPROTO_UNSPEC));
  m.end();
  int rules = 0;
  int error = 0;
  CLOUDOS_TRY(exchange(NETLINK_NETFILTER, m, [&](const nlmsghdr& header, std::string_view payload) {
    if (header.nlmsg_type == NLMSG_ERROR) error = error_of(payload);
    if (header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR) return false;
    // The first attribute after the family is the table's name.
    const auto table = payload.substr(std::min(payload.size(), sizeof(nfgenmsg) + NLA_HDRLEN));
    if (!table.starts_with("kube-proxy") && !table.starts_with("flannel")) ++rules;
    return true;
  }));
  // A kernel without nf_tables has no rules in it.
  if (error != 0 && error != EOPNOTSUPP && error != EINVAL && error != ENOENT) return fail_errno("listing nftables' rules", error);
  return rules;
}

}  // namespace cloudos::facts
