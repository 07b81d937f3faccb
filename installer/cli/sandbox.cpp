#include "installer/sandbox/sandbox.hpp"

#include <unistd.h>

#include <cerrno>
#include <format>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "core/base/text.hpp"
#include "core/os/file/file.hpp"
#include "installer/cli/command.hpp"

namespace cloudos::cli {
namespace {

using nlohmann::json;

constexpr auto examples =
    "Examples:\n"
    "  cloudos sandbox up --masters 3 --nodes 2      five machines to install on\n"
    "  cloudos sandbox ssh master-1                  a shell on one of them\n"
    "  cloudos sandbox power-cut node-1              what does the cluster do now?\n"
    "  cloudos sandbox down                          nothing is left but the cached root file system\n"
    "Needs root, systemd-nspawn and mmdebstrap on this computer. Machines reach each other and this computer, nothing else.";

// What the command line said, for whichever subcommand it is; outlives the parse.
struct Options {
  sandbox::UpRequest request;
  std::string memory = "3G", disk = "20G";
  bool vm = false;
  std::string ops_password_file, key_out, known_hosts_out;
  std::string machine, user = "root", only;
  std::vector<std::string> command;
};

json record(const sandbox::Sandbox& one, const sandbox::Machine& machine) {
  return {{"record", "machine"},
          {"sandbox", one.name},
          {"name", machine.name},
          {"role", machine.name.starts_with("master-") ? "master" : "node"},
          {"address", machine.address},
          {"state", sandbox::name(machine.state)},
          {"cpus", machine.size.cpus},
          {"memory", machine.size.memory.count},
          {"disk", machine.size.disk.count},
          {"log", machine.log.string()}};
}

json record(const sandbox::Sandbox& one) {
  return {{"record", "sandbox"},
          {"name", one.name},
          {"kind", one.kind == sandbox::Kind::vm ? "vm" : "container"},
          {"release", one.release},
          {"subnet", one.subnet},
          {"key", one.key.string()},
          {"known_hosts", one.known_hosts.string()},
          {"escape_packets", one.escapes ? json(one.escapes->packets) : json()},
          {"name_lookups", one.escapes ? json(one.escapes->name_lookups) : json()}};
}

void print(const sandbox::Sandbox& one, const Context& context) {
  if (context.json) {
    std::cout << record(one).dump() << '\n';
    for (const auto& machine : one.machines) std::cout << record(one, machine).dump() << '\n';
    return;
  }
  const auto escapes =
      one.escapes ? std::format("{}, look-ups of names among them: {}", one.escapes->packets, one.escapes->name_lookups) : "network down";
  std::cout << std::format("sandbox {}  {}  {}  packets to beyond: {}\n", one.name, one.release, one.subnet, escapes);
  for (const auto& machine : one.machines)
    std::cout << std::format("  {:<10} {:<14} {:<12} {} memory, {} disk\n", machine.name, machine.address, sandbox::name(machine.state),
                             human(machine.size.memory), human(machine.size.disk));
}

sandbox::Note notes(const Context& context) {
  return [&context](const std::string& line) {
    if (!context.quiet && !context.json) std::cerr << line << '\n';
  };
}

Result<Bytes> size_of(const char* flag, const std::string& text) {
  auto size = parse_bytes(text);
  if (!size) return fail(std::move(size).error().with(std::format("reading {}", flag)));
  return size;
}

Result<sandbox::UpRequest> request_of(const Options& options) {
  auto request = options.request;
  CLOUDOS_ASSIGN(request.size.memory, size_of("--memory", options.memory));
  CLOUDOS_ASSIGN(request.size.disk, size_of("--disk", options.disk));
  if (options.vm) request.kind = sandbox::Kind::vm;
  if (!options.ops_password_file.empty()) {
    CLOUDOS_ASSIGN(const auto text, os::read(options.ops_password_file, 4096));
    request.ops_password = Secret(std::string(trim(text)));
    if (request.ops_password->empty() || request.ops_password->reveal().find_first_of("\n:") != std::string_view::npos)
      return fail(ErrorKind::input, std::format("{} is no password: one line, without ':'", options.ops_password_file));
  }
  if (!options.key_out.empty()) request.key_out = options.key_out;
  if (!options.known_hosts_out.empty()) request.known_hosts_out = options.known_hosts_out;
  return request;
}

Result<int> up(const Options& options, const Context& context) {
  CLOUDOS_ASSIGN(const auto request, request_of(options));
  CLOUDOS_ASSIGN(const auto made, sandbox::up(request, notes(context)));
  print(made, context);
  return 0;
}

Result<int> list(const Options& options, const Context& context) {
  if (!options.only.empty()) {
    CLOUDOS_ASSIGN(const auto one, sandbox::find(options.only));
    print(one, context);
    return 0;
  }
  CLOUDOS_ASSIGN(const auto all, sandbox::list());
  for (const auto& one : all) print(one, context);
  return 0;
}

// The session takes over this process: its terminal, its signals and its exit status are ssh's.
Result<int> ssh(const Options& options) {
  CLOUDOS_ASSIGN(const auto one, sandbox::find(options.request.name));
  CLOUDOS_ASSIGN(const auto machine, sandbox::find_machine(one, options.machine));
  auto argv = sandbox::ssh_command(one, machine, options.user, Argv(options.command));
  std::vector<char*> words;
  for (auto& word : argv.words) words.push_back(word.data());
  words.push_back(nullptr);
  ::execvp(words[0], words.data());
  return fail_errno("start ssh", errno);
}

CLI::App* command(CLI::App& parent, const std::shared_ptr<Options>& options, const char* name, const char* help) {
  auto* sub = parent.add_subcommand(name, help);
  sub->add_option("--name", options->request.name, "Which sandbox")->capture_default_str();
  return sub;
}

void add_up(CLI::App& parent, const std::shared_ptr<Options>& options, Context& context) {
  auto* sub = command(parent, options, "up", "Make machines, or complete and start what is there");
  auto& request = options->request;
  sub->add_option("--masters", request.masters, "So many masters")->capture_default_str();
  sub->add_option("--nodes", request.nodes, "So many nodes")->capture_default_str();
  sub->add_option("--cpus", request.size.cpus, "CPU time of each machine, in CPUs (default: all)");
  sub->add_option("--memory", options->memory, "Memory of each machine")->capture_default_str();
  sub->add_option("--disk", options->disk, "Disk of each machine; sparse")->capture_default_str();
  sub->add_option("--release", request.release, "Debian release: bullseye, bookworm or trixie");
  sub->add_flag("--vm", options->vm, "qemu machines with a kernel of their own, in place of containers");
  sub->add_option("--mirror", request.mirror, "Debian mirror (default: the one this computer uses)");
  sub->add_option("--shell", request.shell, "Login shell of root and ops: bash, zsh or fish")->capture_default_str();
  sub->add_option("--ops-password-file", options->ops_password_file, "Password of the user ops, who may sudo with it")
      ->check(CLI::ExistingFile);
  sub->add_option("--motd", request.motd, "Text that every login and every shell prints: a noisy machine");
  sub->add_option("--key-out", options->key_out, "Write the private SSH key here too");
  sub->add_option("--known-hosts-out", options->known_hosts_out, "Write the machines' host keys here too");
  sub->callback([options, &context] { context.work = [options, &context] { return up(*options, context); }; });
}

void add_down(CLI::App& parent, const std::shared_ptr<Options>& options, Context& context) {
  auto* sub = command(parent, options, "down", "Take machines away, and everything of them");
  sub->add_option("--machine", options->machine, "Only this one, with its disk");
  sub->callback([options, &context] {
    context.work = [options, &context]() -> Result<int> {
      const auto machine = options->machine.empty() ? std::nullopt : std::optional(options->machine);
      CLOUDOS_TRY(sandbox::down(options->request.name, machine, notes(context)));
      return 0;
    };
  });
}

void add_ssh(CLI::App& parent, const std::shared_ptr<Options>& options, Context& context) {
  auto* sub = command(parent, options, "ssh", "Open a shell on a machine, or run a command there");
  sub->add_option("--user", options->user, "root or ops")->capture_default_str();
  sub->add_option("machine", options->machine, "Its name or address")->required();
  // The first word that is no flag of ssh's own and all that follows it is the command, as it stands: a word that fits nothing
  // ends the parse of a prefix command. So "command" is there for the help and to keep "--" here, and takes no word itself.
  sub->prefix_command()->fallthrough(false)->validate_positionals();
  const CLI::Validator none([](const std::string&) { return std::string("left as it stands"); }, "", "as it stands");
  sub->add_option("command", options->command, "What to run")->check(none);
  sub->footer("Example: cloudos sandbox ssh --name dev master-1 systemctl status --no-pager");
  sub->callback([sub, options, &context] {
    options->command = sub->remaining();
    if (!options->command.empty() && options->command.front() == "--") options->command.erase(options->command.begin());
    context.work = [options] { return ssh(*options); };
  });
}

using Fault = Status (*)(const std::string&, const std::string&);

void add_fault(CLI::App& parent, const std::shared_ptr<Options>& options, Context& context, const char* name, const char* help,
               Fault fault) {
  auto* sub = command(parent, options, name, help);
  sub->add_option("machine", options->machine, "Its name")->required();
  sub->callback([options, &context, fault] {
    context.work = [options, fault]() -> Result<int> {
      CLOUDOS_TRY(fault(options->request.name, options->machine));
      return 0;
    };
  });
}

}  // namespace

void add_sandbox(CLI::App& app, Context& context) {
  auto* sub = app.add_subcommand("sandbox", "Disposable machines on this computer, to try cloudos out on");
  sub->require_subcommand(1);
  sub->footer(examples);
  const auto options = std::make_shared<Options>();
  add_up(*sub, options, context);
  add_down(*sub, options, context);
  auto* lister = sub->add_subcommand("list", "Every sandbox with its machines");
  lister->add_option("--name", options->only, "Only this one");
  lister->callback([options, &context] { context.work = [options, &context] { return list(*options, context); }; });
  add_ssh(*sub, options, context);
  add_fault(*sub, options, context, "power-cut", "Kill every process of a machine at once", sandbox::power_cut);
  add_fault(*sub, options, context, "start", "Boot a machine that is down, and wait for it", sandbox::start);
  add_fault(*sub, options, context, "partition", "Pull a machine's network cable", sandbox::partition);
  add_fault(*sub, options, context, "heal", "Put a machine's network cable back", sandbox::heal);
}

}  // namespace cloudos::cli
