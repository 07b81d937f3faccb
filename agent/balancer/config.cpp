#include <arpa/inet.h>

#include <format>
#include <nlohmann/json.hpp>

#include "agent/balancer/balancer.hpp"
#include "core/base/text.hpp"

namespace cloudos::balancer {
namespace {

Result<Master> parse_master(std::string_view text) {
  const auto bad = [&] {
    return fail(ErrorKind::input, std::format("\"{}\" is not ADDRESS:PORT", sanitise(text)), "write 10.0.0.1:6443 or [fd00::1]:6443");
  };
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad();
  auto address = text.substr(0, colon);
  const bool brackets = address.size() > 2 && address.front() == '[' && address.back() == ']';
  if (brackets) address = address.substr(1, address.size() - 2);
  Master master{.address = std::string(address)};
  in6_addr parsed{};
  if (inet_pton(brackets ? AF_INET6 : AF_INET, master.address.c_str(), &parsed) != 1) return bad();
  const auto port = parse_number(text.substr(colon + 1), 1, 65535);
  if (!port) return bad();
  master.port = static_cast<std::uint16_t>(*port);
  return master;
}

}  // namespace

Result<std::vector<Master>> parse_config(std::string_view json) {
  const auto document = nlohmann::json::parse(json, nullptr, false);
  if (!document.is_object() || !document.contains("masters") || !document["masters"].is_array())
    return fail(ErrorKind::input, "expected {\"schema\":1,\"masters\":[…]}");
  if (document.value("schema", nlohmann::json(0)) != 1) return fail(ErrorKind::input, "expected schema 1");
  std::vector<Master> masters;
  for (const auto& item : document["masters"]) {
    if (!item.is_string()) return fail(ErrorKind::input, "masters: expected strings");
    CLOUDOS_ASSIGN(auto master, parse_master(item.get_ref<const std::string&>()));
    masters.push_back(std::move(master));
  }
  return masters;
}

}  // namespace cloudos::balancer
