#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/model/config.hpp"
#include "core/toml_reader/finding.hpp"
#include "installer/config/hosts.hpp"

namespace cloudos::config {

using toml_reader::Findings;
using toml_reader::Given;
using toml_reader::Maybe;

// One [[machines]] entry, or one item of --masters or --nodes; several hosts when it is a range.
struct MachineDraft {
  std::vector<HostSpec> hosts;
  std::string origin, key;
  model::Role role = model::Role::node;
  Maybe<std::string> user, identity, host_key, hostname, address;
  Maybe<std::uint16_t> port;
  std::map<std::string, std::string> labels;
  std::vector<model::Taint> taints;
  [[nodiscard]] std::string where() const { return key.empty() ? origin : origin + " " + key; }
};

// What the file or the flags say, before one is laid over the other.
struct Draft {
  Maybe<std::string> name, endpoint, pod_cidr, service_cidr, dns_domain;
  Maybe<std::string> user, identity, password_file, sudo_password_file;
  Maybe<std::uint16_t> port;
  std::vector<MachineDraft> machines;
};

// Reads the text of a cluster.toml; `name` is how findings call it. Any text at all gives a draft and findings, in the
// order of their lines; a document that is not TOML gives one finding with line and column.
[[nodiscard]] Draft read_document(std::string_view text, std::string_view name, Findings& findings);

}  // namespace cloudos::config
