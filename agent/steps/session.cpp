#include "agent/steps/session.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ranges>
#include <thread>

#include "agent/steps/cluster.hpp"
#include "agent/steps/images.hpp"
#include "core/base/text.hpp"

namespace cloudos::steps {
namespace {

constexpr std::size_t kept_lines = 20;

// What a failed command had to say: kubeadm and kubectl end on a hint about verbosity, their error stands before it.
std::string said(const std::vector<std::string>& lines) {
  const auto error = std::ranges::find_if(lines | std::views::reverse, [](const auto& line) { return line.starts_with("error:"); });
  if (error != lines.rend()) return ":" + error->substr(std::string_view("error:").size());
  return lines.empty() ? "" : ": " + lines.back();
}

std::vector<std::string> last_lines(std::string_view text) {
  std::vector<std::string> lines;
  for (auto& line : split(text, '\n'))
    // containerd says this of every call on a host with cgroup v1; it explains no failure.
    if (!trim(line).empty() && !line.contains("msg=\"DEPRECATION:")) lines.push_back(sanitise(line));
  if (lines.size() > kept_lines) lines.erase(lines.begin(), lines.end() - kept_lines);
  return lines;
}

std::string path_with_ours() {
  const char* path = std::getenv("PATH");
  return std::string(paths::bin) + ":" + (path != nullptr ? path : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
}

}  // namespace

Session::Session(Environment& environment, const model::ApplyRequest& r, const Journal& j)
    : env(environment), request(r), journal(j), store(environment.at(paths::store)), values_(r.values) {
  progress = [](std::uint64_t, std::uint64_t) {};
  note = [](const std::string&) {};
}
Session::~Session() = default;

void Session::forget() {
  objects.reset();
  images.reset();
}

Result<std::string> Session::resolve(std::string_view text) const {
  std::string out;
  for (;;) {
    const auto begin = text.find("${");
    out += text.substr(0, begin);
    if (begin == std::string_view::npos) return out;
    const auto end = text.find('}', begin);
    const auto reference = text.substr(begin + 2, end == std::string_view::npos ? end : end - begin - 2);
    const auto colon = reference.find(':');
    const auto kind = reference.substr(0, colon);
    const std::string name(colon == std::string_view::npos ? "" : reference.substr(colon + 1));
    if (kind == "secret" && request.secrets.contains(name)) out += request.secrets.at(name).reveal();
    else if (kind == "value" && values_.contains(name)) out += values_.at(name);
    else return fail(ErrorKind::input, "the step refers to ${" + std::string(reference) + "}, which was not given");
    text.remove_prefix(end + 1);
  }
}

std::string Session::redact(std::string_view text) const {
  std::string out(text);
  for (const auto& [name, secret] : request.secrets) {
    const auto value = secret.reveal();
    if (value.size() < 4) continue;
    const auto label = "${secret:" + name + "}";
    for (std::size_t at = 0; (at = out.find(value, at)) != std::string::npos; at += label.size()) out.replace(at, value.size(), label);
  }
  return out;
}

const Secret* Session::secret(const std::string& name) const {
  const auto found = request.secrets.find(name);
  return found == request.secrets.end() ? nullptr : &found->second;
}

void Session::output(const std::string& name, std::string value) {
  values_[name] = value;
  outputs[name] = std::move(value);
}

Result<os::Output> Session::ask(const Argv& argv, Call call) {
  os::RunOptions options;
  options.stdin_source = std::move(call.input);
  options.deadline = in(call.limit);
  options.environment = std::move(call.environment);
  options.environment.try_emplace("PATH", path_with_ours());
  return env.commands.capture(argv, std::move(options));
}

Result<std::string> Session::command(const Argv& argv, Call call) { return stdout_of(argv, ask(argv, std::move(call))); }

Result<std::string> Session::kube(const Argv& argv, Milliseconds limit, const std::string& input) {
  return stdout_of(argv, kube_ask(argv, limit, input));
}

Result<os::Output> Session::kube_ask(const Argv& argv, Milliseconds limit, const std::string& input) {
  const auto until = in(env.api_patience);
  Milliseconds pause{250};
  for (bool told = false;; told = true) {
    auto output = ask(argv, {.input = bytes_of(input), .limit = limit});
    if (!output || output->exit.ok() || !may_pass(output->err) || std::chrono::steady_clock::now() + pause > until) return output;
    if (!told) note("the API server does not answer yet (" + sanitise(redact(trim(output->err)).substr(0, 160)) + "); asking again");
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, Milliseconds{4'000});
  }
}

bool may_pass(std::string_view error) {
  constexpr auto signs = std::to_array<std::string_view>(
      {"rpc not supported for learner", "etcdserver: leader changed", "etcdserver: no leader", "etcdserver: request timed out",
       "connection refused", "connection reset by peer", "TLS handshake timeout", "i/o timeout", "unexpected EOF", ": EOF",
       "http2: client connection lost", "server is currently unable to handle the request", "ServiceUnavailable", "apiserver not ready",
       "Client.Timeout exceeded"});
  return std::ranges::any_of(signs, [&](auto sign) { return error.contains(sign); });
}

Result<std::string> Session::stdout_of(const Argv& argv, Result<os::Output> output) {
  if (output && output->exit.ok()) return std::move(output->out);
  FailedCommand failed{.command = redact(quote(argv)), .exit = "", .lines = {}};
  if (!output) {
    failed.exit = std::string(name(output.error().kind));
    failed_command = std::move(failed);
    return fail(std::move(output).error().with("running " + argv.words.front()));
  }
  failed.exit = output->exit.text();
  failed.lines = last_lines(redact(output->err.empty() ? output->out : output->err));
  const auto why = said(failed.lines);
  const auto program = fs::path(argv.words.front()).filename().string();
  failed_command = std::move(failed);
  return fail(ErrorKind::failed, program + " ended with " + output->exit.text() + why);
}

Argv Session::kubectl(std::initializer_list<std::string> words) const {
  const bool master = fs::exists(at(paths::admin_conf));
  // Its cache of the API's kinds would else be left in the home folder of whoever asked.
  Argv argv{std::string(paths::bin) + "/kubectl", "--cache-dir", std::string(paths::state) + "/kubectl", "--kubeconfig",
            master ? paths::admin_conf : paths::kubelet_conf};
  for (const auto& word : words) argv += word;
  return argv;
}

Argv Session::ctr(std::initializer_list<std::string> words) const {
  Argv argv{std::string(paths::bin) + "/ctr", "-a", paths::containerd_socket, "-n", "k8s.io"};
  for (const auto& word : words) argv += word;
  return argv;
}

Argv Session::kubeadm(std::initializer_list<std::string> words) const {
  Argv argv{std::string(paths::bin) + "/kubeadm"};
  for (const auto& word : words) argv += word;
  return argv;
}

}  // namespace cloudos::steps
