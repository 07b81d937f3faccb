#include <format>
#include <iostream>

#include "core/base/ip.hpp"
#include "core/base/text.hpp"
#include "installer/cli/day2.hpp"

namespace cloudos::cli {

namespace {

constexpr std::uint16_t api_port = 6443;

struct KubeconfigOptions {
  DayTwoFlags flags;
  std::string endpoint, output;
};

// "https://…" of what the operator wrote: "api.example.com", "10.0.0.9:8443", "[fd00::1]:6443", "fd00::1".
std::string server_url(std::string_view endpoint) {
  const bool bare_v6 = endpoint.contains(':') && Ip::parse(endpoint).has_value();
  if (!bare_v6 && endpoint.contains(':') && !endpoint.ends_with(']')) return std::format("https://{}", endpoint);
  if (endpoint.ends_with(']')) return std::format("https://{}:{}", endpoint, api_port);
  return std::format("https://{}", host_port(endpoint, api_port));
}

// admin.conf is written by kubeadm: one cluster, one "server:" line. Only that line is changed.
Result<std::string> with_server(const std::string& text, const std::string& url) {
  std::string out;
  bool found = false;
  for (const auto& line : split(text, '\n')) {
    const auto key = trim(line).starts_with("server:") ? line.find("server:") : std::string::npos;
    if (!out.empty()) out += '\n';
    out += key == std::string::npos ? line : std::format("{}server: {}", line.substr(0, key), url);
    found = found || key != std::string::npos;
  }
  if (!found) return fail(ErrorKind::failed, "the master's admin.conf names no server", "look at /etc/kubernetes/admin.conf there");
  return out;
}

Result<int> kubeconfig(const KubeconfigOptions& options, const Context& context) {
  CLOUDOS_ASSIGN(auto begun, begin(options.flags, context, "kubeconfig"));
  if (!begun) return 2;
  CLOUDOS_ASSIGN(const auto answer, driver::ask_masters(begun->loaded.config, {"query", "kubeconfig"}, begun->setting));
  auto endpoint = !options.endpoint.empty() ? options.endpoint : begun->loaded.config.endpoint;
  if (endpoint.empty()) endpoint = answer.master.address.empty() ? answer.master.host : answer.master.address;
  CLOUDOS_ASSIGN(const auto text, with_server(answer.text, server_url(endpoint)));
  if (options.output.empty()) {
    std::cout << text << std::flush;
    return 0;
  }
  CLOUDOS_TRY_WITH(os::write_atomic(options.output, text, 0600), "writing the kubeconfig");
  if (!context.quiet && !context.json)
    std::cout << std::format("{} (0600): kubectl --kubeconfig {} get nodes\n", options.output, options.output);
  return 0;
}

}  // namespace

void add_kubeconfig(CLI::App& app, Context& context) {
  auto options = std::make_shared<KubeconfigOptions>();
  auto* command = app.add_subcommand("kubeconfig", "The administrator's kubeconfig, with an address that reaches a master");
  options->flags.add_to(*command);
  command->add_option("--endpoint", options->endpoint, "The API's address for clients instead of a master's");
  command->add_option("-o,--output", options->output, "Write it there (0600) instead of to standard output");
  command->footer(
      "Examples:\n"
      "  cloudos kubeconfig -o ~/.kube/config\n"
      "  cloudos kubeconfig --masters 10.0.0.2 --endpoint api.example.com:6443\n"
      "It holds the administrator's key: treat it like a password.");
  command->callback([options, &context] { context.work = [options, &context] { return kubeconfig(*options, context); }; });
}

}  // namespace cloudos::cli
