#include "tests/machines/machines.hpp"

#include <unistd.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <format>
#include <thread>

#include "core/base/text.hpp"
#include "core/os/crypto/crypto.hpp"

namespace cloudos::machines {
namespace {

std::string from_environment(const char* name, const char* fallback) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : fallback;
}

Ran run(const Argv& argv, const std::string& input, const std::map<std::string, std::string>& environment) {
  const auto output =
      os::capture(argv, {.stdin_source = bytes_of(input), .deadline = in(std::chrono::minutes(30)), .environment = environment});
  if (!output) return {.code = -1, .out = {}, .err = output.error().text()};
  return {.code = output->exit.code.value_or(128 + output->exit.signal.value_or(0)), .out = output->out, .err = output->err};
}

}  // namespace

std::string program() { return from_environment("CLOUDOS_PROGRAM", "build/cloudos/bin/cloudos"); }
std::string bundle() { return from_environment("CLOUDOS_BUNDLE", "build/kubernetes-1.37.bundle"); }
std::string bundle_key() { return from_environment("CLOUDOS_BUNDLE_KEY", "build/bundle.pub"); }

std::string scratch() {
  static const std::string folder = [] {
    const auto path = std::filesystem::temp_directory_path() / std::format("cloudos-machine-tests-{}", getpid());
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path / "home");
    return path.string();
  }();
  return folder;
}

namespace {

std::map<std::string, std::string> home_of_its_own() {
  // A home of its own: the tests neither read nor write the operator's known hosts, clusters and logs.
  std::map<std::string, std::string> env = {{"HOME", scratch() + "/home"}, {"XDG_CACHE_HOME", ""}};
  if (const char* cache = std::getenv("XDG_CACHE_HOME")) env["XDG_CACHE_HOME"] = cache;
  else if (const char* home = std::getenv("HOME")) env["XDG_CACHE_HOME"] = std::string(home) + "/.cache";
  return env;
}

}  // namespace

Ran cloudos(const std::vector<std::string>& args, const std::map<std::string, std::string>& environment) {
  Argv argv{program()};
  for (const auto& arg : args) argv += arg;
  auto env = home_of_its_own();
  for (const auto& [key, value] : environment) env[key] = value;
  return run(argv, {}, env);
}

Ran watched(const std::vector<std::string>& args, const std::function<void(const Json& event, pid_t installer)>& see) {
  // The shell tells its process number and then becomes the installer.
  Argv argv{"sh", "-c", "echo $$; exec \"$@\"", "sh", program()};
  for (const auto& arg : args) argv += arg;
  Ran ran;
  pid_t installer = 0;
  std::size_t read = 0;
  const auto take = [&](std::span<const std::byte> bytes) -> Status {
    ran.out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    for (auto end = ran.out.find('\n', read); end != std::string::npos; end = ran.out.find('\n', read)) {
      const auto line = ran.out.substr(read, end - read);
      read = end + 1;
      if (installer == 0) installer = static_cast<pid_t>(std::stoi(line));
      else see(Json::parse(line), installer);
    }
    return {};
  };
  const auto exit = os::run(
      argv,
      {.stdout_sink = take, .stderr_sink = into(ran.err), .deadline = in(std::chrono::minutes(15)), .environment = home_of_its_own()});
  if (!exit) ran.err += exit.error().text();
  else ran.code = exit->code.value_or(128 + exit->signal.value_or(0));
  ran.out.erase(0, ran.out.find('\n') + 1);
  return ran;
}

// Tests of several checkouts may run side by side on one computer: a name's end tells whose it is. A sandbox's name has at most
// eleven characters.
static std::string of_this_checkout(const std::string& name) { return name.substr(0, 8) + os::sha256(program()).hex().substr(0, 3); }

std::vector<Json> lines(const std::string& text) {
  std::vector<Json> out;
  for (const auto& line : split(text, '\n'))
    if (!trim(line).empty()) out.push_back(Json::parse(line));
  return out;
}

Sandbox::Sandbox(const std::string& name, int masters, int nodes, const std::vector<std::string>& flags)
    : name_(of_this_checkout(name)), flags_(flags) {
  cloudos({"sandbox", "down", "--name", name_});
  grow(masters, nodes);
}

Sandbox::~Sandbox() {
  if (std::getenv("CLOUDOS_KEEP_MACHINES") == nullptr) cloudos({"sandbox", "down", "--name", name_});
}

void Sandbox::grow(int masters, int nodes) {
  std::vector<std::string> args = {"sandbox",
                                   "up",
                                   "--name",
                                   name_,
                                   "--masters",
                                   std::to_string(masters),
                                   "--nodes",
                                   std::to_string(nodes),
                                   "--key-out",
                                   key(),
                                   "--known-hosts-out",
                                   known_hosts()};
  args.insert(args.end(), flags_.begin(), flags_.end());
  const auto up = cloudos(args);
  INFO(up.out << up.err);
  REQUIRE(up.code == 0);
  read_machines();
}

void Sandbox::read_machines() {
  machines_.clear();
  for (const auto& record : list())
    if (record.at("record") == "machine") machines_.push_back({record.at("name"), record.at("address"), record.at("role")});
}

std::vector<Json> Sandbox::list() const {
  const auto listed = cloudos({"sandbox", "list", "--name", name_, "--json"});
  INFO(listed.out << listed.err);
  REQUIRE(listed.code == 0);
  return lines(listed.out);
}

std::uint64_t Sandbox::escapes() const {
  const auto records = list();
  // Look-ups of names stay with the gateway, which is also the machines' name server: CoreDNS asks it about itself.
  return records.at(0).at("escape_packets").get<std::uint64_t>() - records.at(0).at("name_lookups").get<std::uint64_t>();
}

std::vector<Machine> Sandbox::of(const std::string& role) const {
  std::vector<Machine> out;
  for (const auto& machine : machines_)
    if (machine.role == role) out.push_back(machine);
  return out;
}

const Machine& Sandbox::named(const std::string& machine) const {
  for (const auto& m : machines_)
    if (m.name == machine) return m;
  FAIL("no machine " << machine);
  std::abort();
}

std::string Sandbox::addresses(const std::string& role) const {
  std::vector<std::string> out;
  for (const auto& machine : of(role)) out.push_back(machine.address);
  return join(out, ",");
}

std::string Sandbox::key() const { return scratch() + "/" + name_ + ".key"; }
std::string Sandbox::known_hosts() const { return scratch() + "/" + name_ + ".known_hosts"; }

Ran Sandbox::on(const Machine& machine, const std::vector<std::string>& command, const std::string& input) const {
  Argv argv{"ssh",
            "-i",
            key(),
            "-o",
            "UserKnownHostsFile=" + known_hosts(),
            "-o",
            "BatchMode=yes",
            "-o",
            "ConnectTimeout=10",
            "-o",
            "LogLevel=ERROR",
            "root@" + machine.address,
            quote(Argv(command))};
  return run(argv, input, {});
}

std::string Sandbox::sh(const Machine& machine, const std::string& script) const {
  const auto ran = on(machine, {"sh", "-euc", script});
  INFO(machine.name << ": " << script << "\n" << ran.out << ran.err);
  REQUIRE(ran.code == 0);
  return ran.out;
}

void Sandbox::fault(const std::string& verb, const Machine& machine) const {
  const auto ran = cloudos({"sandbox", verb, "--name", name_, machine.name});
  INFO(ran.out << ran.err);
  REQUIRE(ran.code == 0);
}

std::vector<std::string> Sandbox::access() const { return {"--user", "root", "--key", key(), "--known-hosts", known_hosts()}; }

std::vector<std::string> Sandbox::install_command(const std::string& masters, const std::string& nodes) const {
  std::vector<std::string> args = {"install", "--masters", masters, "--bundle", bundle(), "--bundle-key", bundle_key(), "--yes", "--json"};
  if (!nodes.empty()) args.insert(args.end(), {"--nodes", nodes});
  for (const auto& flag : access()) args.push_back(flag);
  return args;
}

Ran Sandbox::install(const std::string& masters, const std::string& nodes, std::vector<std::string> more) const {
  auto args = install_command(masters, nodes);
  for (auto& flag : more) args.push_back(std::move(flag));
  return cloudos(args);
}

Ran kubectl(const Sandbox& sandbox, const Machine& master, const std::vector<std::string>& args, const std::string& input) {
  std::vector<std::string> command = {"env", "KUBECONFIG=/etc/kubernetes/admin.conf", "kubectl"};
  command.insert(command.end(), args.begin(), args.end());
  return sandbox.on(master, command, input);
}

Json kubectl_json(const Sandbox& sandbox, const Machine& master, std::vector<std::string> args) {
  args.insert(args.end(), {"-o", "json"});
  const auto ran = kubectl(sandbox, master, args);
  INFO(ran.out.substr(0, 2000) << ran.err);
  REQUIRE(ran.code == 0);
  return Json::parse(ran.out);
}

bool all_ready(const Sandbox& sandbox, const Machine& master, std::size_t count) {
  const auto nodes = kubectl_json(sandbox, master, {"get", "nodes"});
  if (nodes.at("items").size() != count) return false;
  return std::ranges::all_of(nodes.at("items"), [](const Json& node) {
    return std::ranges::any_of(node.at("status").at("conditions"),
                               [](const Json& c) { return c.at("type") == "Ready" && c.at("status") == "True"; });
  });
}

bool eventually(int seconds, const std::function<bool()>& so) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (!so()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
  }
  return true;
}

}  // namespace cloudos::machines
