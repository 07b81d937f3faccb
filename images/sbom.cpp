#include "images/sbom.hpp"

#include <algorithm>
#include <format>
#include <nlohmann/json.hpp>
#include <set>

namespace cloudos::images {

using Json = nlohmann::json;

namespace {

constexpr auto unsaid = "NOASSERTION";

// An SPDX identifier: letters, digits, '.' and '-' (SPDX 2.3, clause 7.2).
std::string identifier(const std::string& kind, const std::string& name) {
  std::string out = "SPDXRef-" + kind + "-";
  for (const char c : name) out += std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '-' ? c : '-';
  return out;
}

Json package(const std::string& id, const std::string& name, const std::string& version, const std::string& licence,
             const std::string& source) {
  return {{"SPDXID", id},
          {"name", name},
          {"versionInfo", version},
          {"downloadLocation", source.empty() ? unsaid : source},
          {"filesAnalyzed", false},
          {"licenseConcluded", unsaid},
          {"licenseDeclared", licence.empty() ? unsaid : licence},
          {"copyrightText", unsaid}};
}

Json located(Json package, const std::string& locator) {
  package["externalRefs"] =
      Json::array({Json{{"referenceCategory", "PACKAGE-MANAGER"}, {"referenceType", "purl"}, {"referenceLocator", locator}}});
  return package;
}

Json component_package(const model::BundleComponent& component) {
  auto out = package(identifier("component", component.name), component.name, component.version, component.licence, component.source);
  Json holds = Json::array();
  for (const auto& file : component.files) holds.push_back(std::format("{} sha256:{}", file.path, file.content_digest.hex()));
  for (const auto& file : component.manifests) holds.push_back(std::format("{} sha256:{}", file.path, file.content_digest.hex()));
  for (const auto& image : component.images) holds.push_back(std::format("{} {}", image.ref, image.digest.oci()));
  std::string comment;
  for (const auto& line : holds) comment += (comment.empty() ? "" : "\n") + line.get<std::string>();
  out["comment"] = comment;
  return out;
}

}  // namespace

std::string make_sbom(const model::BundleIndex& index, const Digest& bundle, const Materials& materials) {
  Json packages = Json::array();
  Json relations = Json::array();
  const auto relate = [&](const std::string& from, const char* how, const std::string& to) {
    relations.push_back({{"spdxElementId", from}, {"relationshipType", how}, {"relatedSpdxElement", to}});
  };
  const auto root = identifier("bundle", index.name);
  auto whole = package(root, index.name, index.version, "", "");
  whole["checksums"] = Json::array({Json{{"algorithm", "SHA256"}, {"checksumValue", bundle.hex()}}});
  whole["comment"] = "the checksum is that of bundle.json, which holds the digests of everything else";
  packages.push_back(std::move(whole));
  relate("SPDXRef-DOCUMENT", "DESCRIBES", root);

  const auto contain = [&](Json entry) {
    relate(root, "CONTAINS", entry["SPDXID"].get<std::string>());
    packages.push_back(std::move(entry));
  };
  for (const auto& component : index.components) contain(component_package(component));
  for (const auto& m : std::set(materials.modules.begin(), materials.modules.end()))
    contain(located(package(identifier("go", m.path + "-" + m.version), m.path, m.version, "", ""),
                    std::format("pkg:golang/{}@{}", m.path, m.version)));
  for (const auto& p : materials.packages) {
    auto entry = located(package(identifier("deb", p.name), p.name, p.version, "", ""),
                         std::format("pkg:deb/debian/{}@{}?arch={}", p.name, p.version, p.architecture));
    entry["checksums"] = Json::array({Json{{"algorithm", "SHA256"}, {"checksumValue", p.digest.hex()}}});
    contain(std::move(entry));
  }
  const Json document{{"spdxVersion", "SPDX-2.3"},
                      {"dataLicense", "CC0-1.0"},
                      {"SPDXID", "SPDXRef-DOCUMENT"},
                      {"name", std::format("{}-{}", index.name, index.version)},
                      {"documentNamespace", std::format("https://spdx.org/spdxdocs/{}-{}-{}", index.name, index.version, bundle.hex())},
                      {"creationInfo", {{"created", index.created}, {"creators", Json::array({"Tool: cloudos-" CLOUDOS_VERSION})}}},
                      {"packages", std::move(packages)},
                      {"relationships", std::move(relations)}};
  return document.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace cloudos::images
