#include "installer/driver/speech.hpp"

#include <format>
#include <nlohmann/json.hpp>

#include "core/base/text.hpp"

namespace cloudos::driver {

using Json = nlohmann::json;

namespace {

Json blob_of(const MissingBlob& blob) { return {{"digest", blob.digest.hex()}, {"size", blob.size}, {"offset", blob.offset}}; }

std::unexpected<Error> not_understood(std::string_view what, std::string_view text) {
  return fail(ErrorKind::failed, std::format("cannot read the agent's {}: {}", what, sanitise(text.substr(0, 200))));
}

}  // namespace

std::string encode_wanted(const std::vector<Digest>& blobs, const model::BundleIndex& index) {
  Json list = Json::array();
  for (const auto& digest : blobs) {
    const auto at = index.blobs.find(digest.hex());
    list.push_back({{"digest", digest.hex()}, {"size", at == index.blobs.end() ? 0 : at->second.size.count}});
  }
  return Json{{"blobs", std::move(list)}}.dump() + '\n';
}

Result<std::vector<MissingBlob>> decode_missing(std::string_view json) try {
  const auto value = Json::parse(json);
  std::vector<MissingBlob> out;
  for (const auto& item : value.at("missing")) {
    CLOUDOS_ASSIGN(auto digest, Digest::parse(item.at("digest").get<std::string>()));
    const MissingBlob blob{
        .digest = digest, .offset = item.at("offset").get<std::uint64_t>(), .size = item.at("size").get<std::uint64_t>()};
    if (blob.offset > blob.size) return not_understood("list of missing blobs", json);
    out.push_back(blob);
  }
  return out;
} catch (const Json::exception&) { return not_understood("list of missing blobs", json); }

std::string encode_receive(const std::vector<MissingBlob>& blobs) {
  Json list = Json::array();
  for (const auto& blob : blobs) list.push_back(blob_of(blob));
  return Json{{"blobs", std::move(list)}}.dump() + '\n';
}

Result<Digest> decode_stored(std::string_view json) try {
  return Digest::parse(Json::parse(json).at("stored").get<std::string>());
} catch (const Json::exception&) { return not_understood("receipt", json); }

std::string encode_reach_request(const MachineId& from, const std::vector<const model::MachineConfig*>& targets) {
  Json list = Json::array();
  for (const auto* target : targets) {
    const auto& host = target->address.empty() ? target->host : target->address;
    list.push_back({{"id", target->id.value}, {"host", host}, {"port", target->port}, {"mtu_probe", true}});
  }
  return Json{{"from", from.value}, {"targets", std::move(list)}}.dump() + '\n';
}

ByteSink by_line(std::function<Status(std::string_view)> take) {
  return [take = std::move(take), rest = std::string{}](std::span<const std::byte> bytes) mutable -> Status {
    constexpr std::size_t longest = 16U << 20;
    for (const auto byte : bytes) {
      const char c = static_cast<char>(byte);
      if (c != '\n') {
        rest += c;
        if (rest.size() > longest) return fail(ErrorKind::failed, "the agent sent a line without end");
        continue;
      }
      const auto line = std::exchange(rest, {});
      if (!line.empty()) CLOUDOS_TRY(take(line));
    }
    return {};
  };
}

}  // namespace cloudos::driver
