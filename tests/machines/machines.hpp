// tests/machines: real systemd machines of `cloudos sandbox`, the real installer, real Kubernetes. Here: the few words that
// the tests are written in. A sandbox belongs to the test that makes it and goes when that ends; one left by a killed run
// is taken down before a new one of its name starts.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/base/argv.hpp"
#include "core/os/process/process.hpp"

namespace cloudos::machines {

using Json = nlohmann::json;

struct Ran {
  int code = -1;  // exit status, 128 + signal when killed
  std::string out, err;
};

// Runs build/cloudos/bin/cloudos. What it printed is shown when the test fails.
Ran cloudos(const std::vector<std::string>& args, const std::map<std::string, std::string>& environment = {});
// The same, shown each of its --json events as it comes, with the installer's process number; the next event is not read
// before `see` is done.
Ran watched(const std::vector<std::string>& args, const std::function<void(const Json& event, pid_t installer)>& see);
// The JSON lines that a command with --json printed.
std::vector<Json> lines(const std::string& text);
std::string program();
std::string bundle();
std::string bundle_key();
// A folder of this test run, emptied at its start.
std::string scratch();

struct Machine {
  std::string name, address, role;
};

class Sandbox {
 public:
  // The first eight characters of `name` count.
  Sandbox(const std::string& name, int masters, int nodes, const std::vector<std::string>& flags = {});
  ~Sandbox();
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;

  [[nodiscard]] const std::vector<Machine>& machines() const { return machines_; }
  [[nodiscard]] std::vector<Machine> of(const std::string& role) const;
  [[nodiscard]] const Machine& named(const std::string& machine) const;
  [[nodiscard]] std::string addresses(const std::string& role) const;  // with commas between
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::string key() const;
  [[nodiscard]] std::string known_hosts() const;
  // A command on a machine, as root, over its real sshd.
  [[nodiscard]] Ran on(const Machine& machine, const std::vector<std::string>& command, const std::string& input = {}) const;
  // on() with a script for sh, required to succeed; gives its output.
  std::string sh(const Machine& machine, const std::string& script) const;
  // `cloudos sandbox VERB --name … MACHINE`: power-cut, start, partition, heal.
  void fault(const std::string& verb, const Machine& machine) const;
  void grow(int masters, int nodes);
  // Flags by which `cloudos` reaches and trusts these machines, as root with the sandbox's key.
  [[nodiscard]] std::vector<std::string> access() const;
  // `cloudos install` on the masters and nodes named (addresses with commas), with access() and the bundle.
  [[nodiscard]] std::vector<std::string> install_command(const std::string& masters, const std::string& nodes) const;
  [[nodiscard]] Ran install(const std::string& masters, const std::string& nodes, std::vector<std::string> more = {}) const;
  // Packets that the machines sent towards anywhere beyond themselves and this computer, since they are up.
  [[nodiscard]] std::uint64_t escapes() const;

 private:
  [[nodiscard]] std::vector<Json> list() const;
  void read_machines();
  std::string name_;
  std::vector<std::string> flags_;
  std::vector<Machine> machines_;
};

// kubectl on a master, as a person would type it there.
Ran kubectl(const Sandbox& sandbox, const Machine& master, const std::vector<std::string>& args, const std::string& input = {});
Json kubectl_json(const Sandbox& sandbox, const Machine& master, std::vector<std::string> args);
// So many nodes, and all Ready.
bool all_ready(const Sandbox& sandbox, const Machine& master, std::size_t count);
// Asks again until it is so, at most `seconds`; for what only the cluster itself can tell us.
bool eventually(int seconds, const std::function<bool()>& so);

}  // namespace cloudos::machines
