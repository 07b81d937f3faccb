#include <algorithm>
#include <chrono>
#include <format>

#include "core/join_file/join_file.hpp"
#include "core/toml_reader/reader.hpp"

namespace cloudos::join_file {
namespace {

using toml_reader::in_quotes;

// An offset date-time of TOML, in UTC; of a time that TOML has no words for, the nearest (years 0 to 9999).
std::string date_time(std::int64_t seconds) {
  constexpr std::int64_t first = -62'167'219'200, last = 253'402'300'799;
  const std::chrono::sys_seconds at(std::chrono::seconds(std::clamp(seconds, first, last)));
  return std::format("{:%Y-%m-%dT%H:%M:%SZ}", at);
}

std::string list(const std::vector<std::string>& items) {
  std::string all;
  for (const auto& item : items) all += (all.empty() ? "" : ", ") + in_quotes(item);
  return "[" + all + "]";
}

}  // namespace

Secret write(const JoinFile& file) {
  const auto until = date_time(file.expires_s);
  auto text = std::format(
      "# With this file as /etc/cloudos/join.toml, a machine that has the agent of cloudos joins the cluster {} when it starts.\n"
      "# It serves until {} and holds a token: keep it secret. The machine deletes it once it has joined.\n"
      "schema = {}\n\n",
      in_quotes(file.cluster), until, JoinFile::schema);
  text +=
      std::format("cluster = {}\ncluster-id = {}\nmasters = {}\n", in_quotes(file.cluster), in_quotes(file.cluster_id), list(file.masters));
  text += std::format("# SPKI of the cluster's CA.\nca = {}\n", in_quotes(file.ca));
  text += std::format("token = {}\nexpires = {}\nrole = {}\n", in_quotes(file.token.reveal()), until, in_quotes(file.role));
  text +=
      std::format("# Who may have signed what the machine installs, minisign's public keys.\nbundle-keys = {}\n", list(file.bundle_keys));
  if (!file.labels.empty()) text += "\n# Of the node to be.\n[labels]\n";
  for (const auto& [key, value] : file.labels) text += std::format("{} = {}\n", in_quotes(key), in_quotes(value));
  if (!file.stores.empty()) text += "\n# Nodes from which all else is fetched, with the SPKI of their certificates.\n";
  for (const auto& store : file.stores)
    text += std::format("[[stores]]\naddress = {}\nspki = {}\n", in_quotes(store.address), in_quotes(store.spki));
  return Secret(std::move(text));
}

}  // namespace cloudos::join_file
