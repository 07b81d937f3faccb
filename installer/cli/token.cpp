#include "installer/cli/token.hpp"

#include <unistd.h>

#include <format>
#include <iostream>
#include <nlohmann/json.hpp>

#include "core/base/text.hpp"
#include "core/join_file/join_file.hpp"
#include "installer/cli/day2.hpp"

namespace cloudos::cli {

namespace {

using Json = nlohmann::json;
constexpr int exit_bad_input = 2;

struct TokenOptions {
  DayTwoFlags flags;
  std::string role = "worker", lifetime = "15m", output, id;
  std::uint64_t uses = 0;
  std::vector<std::string> labels;
};

std::string uses_text(std::uint64_t uses) {
  if (uses == 0) return "any number of machines";
  return uses == 1 ? "one machine" : std::format("{} machines", uses);
}

// The words for the agent; nothing secret is in them.
Result<std::vector<std::string>> wish(const TokenOptions& options) {
  if (options.role != "worker")
    return fail(ErrorKind::usage, std::format("--role: a token makes workers only, not '{}'", sanitise(options.role.substr(0, 40))),
                "a master holds the cluster's keys and joins over SSH: cloudos install with one more of --masters");
  CLOUDOS_ASSIGN(const auto seconds, parse_lifetime(options.lifetime));
  CLOUDOS_ASSIGN(const auto labels, parse_labels(options.labels));
  std::vector<std::string> words{"token", "create", "--ttl-s", std::to_string(seconds), "--uses", std::to_string(options.uses)};
  for (const auto& [key, value] : labels) words.insert(words.end(), {"--label", std::format("{}={}", key, value)});
  return words;
}

Result<int> give(const Secret& text, const join_file::JoinFile& file, const TokenOptions& options, const Context& context) {
  const auto expires = model::utc_text(file.expires_s);
  if (!options.output.empty()) CLOUDOS_TRY_WITH(os::write_atomic(options.output, text.reveal(), 0600), "writing the join file");
  if (context.json) {
    Json out{{"id", file.token_id}, {"expires", expires}, {"uses", options.uses}};
    if (options.output.empty()) out["join_file"] = text.reveal();
    else out["output"] = options.output;
    std::cout << out.dump() << std::endl;
    return 0;
  }
  if (options.output.empty()) std::cout << text.reveal() << std::flush;
  if (options.output.empty() && ::isatty(STDOUT_FILENO) == 1)
    std::cerr << "\nthis is a secret: whoever has it can join the cluster as a worker; put it into a file with -o FILE\n";
  if (context.quiet) return 0;
  const auto& where = options.output.empty() ? std::string("it") : options.output;
  std::cerr << std::format("{} lets {} join until {}: put it to /etc/cloudos/join.toml there\ntake it back: cloudos token revoke {}\n",
                           where, uses_text(options.uses), expires, file.token_id);
  return 0;
}

Result<int> create(const TokenOptions& options, const Context& context) {
  CLOUDOS_ASSIGN(const auto words, wish(options));
  CLOUDOS_ASSIGN(auto begun, begin(options.flags, context, "token-create"));
  if (!begun) return exit_bad_input;
  auto text = driver::tell_master(begun->loaded.config, words, begun->setting);
  if (!text && text.error().kind == ErrorKind::network && text.error().hint.empty())
    text.error().hint = "a token may have been made that nobody has: cloudos token list";
  if (!text) return fail(std::move(text).error());
  CLOUDOS_ASSIGN(const auto file, join_file::parse(text->reveal(), "the master's answer"));
  return give(*text, file, options, context);
}

Result<int> list(const TokenOptions& options, const Context& context) {
  CLOUDOS_ASSIGN(auto begun, begin(options.flags, context, "token-list"));
  if (!begun) return exit_bad_input;
  CLOUDOS_ASSIGN(const auto answer, driver::ask_masters(begun->loaded.config, {"token", "list"}, begun->setting));
  CLOUDOS_ASSIGN(const auto tokens, model::decode_join_tokens(trim(answer.text)));
  std::cout << (context.json ? record(tokens) + '\n' : print(tokens, look_of_stdout())) << std::flush;
  return 0;
}

Result<int> revoke(const TokenOptions& options, const Context& context) {
  if (!model::is_join_token_id(options.id))
    return fail(ErrorKind::usage, std::format("'{}' is not a token's id, which is six of [a-z0-9]", sanitise(options.id.substr(0, 6))),
                "`cloudos token list` shows them");
  CLOUDOS_ASSIGN(auto begun, begin(options.flags, context, "token-revoke"));
  if (!begun) return exit_bad_input;
  CLOUDOS_TRY(driver::tell_master(begun->loaded.config, {"token", "revoke", options.id}, begun->setting));
  if (context.json) std::cout << Json{{"revoked", options.id}}.dump() << std::endl;
  else if (!context.quiet)
    std::cout << std::format("token {}: nobody joins with it any more; who has joined stays\n", options.id) << std::flush;
  return 0;
}

using Work = Result<int> (*)(const TokenOptions&, const Context&);
std::pair<CLI::App*, std::shared_ptr<TokenOptions>> add(CLI::App& parent, Context& context, const char* name, const char* what, Work work) {
  auto options = std::make_shared<TokenOptions>();
  auto* command = parent.add_subcommand(name, what);
  options->flags.add_to(*command);
  command->callback([options, &context, work] { context.work = [options, &context, work] { return work(*options, context); }; });
  return {command, options};
}

}  // namespace

void add_token(CLI::App& app, Context& context) {
  auto* parent = app.add_subcommand("token", "Tokens with which machines join by themselves");
  parent->require_subcommand(1);
  const auto [made, wish] = add(*parent, context, "create", "Make one, and print the join file for the machines", create);
  made->add_option("--role", wish->role, "What it makes of a machine; a worker is all that it can")->type_name("ROLE");
  made->add_option("--ttl", wish->lifetime, "How long it serves: 1m to 24h; else 15m")->type_name("TIME");
  made->add_option("--uses", wish->uses, "How many machines may join with it; else any number")
      ->type_name("N")
      ->check(CLI::Range(std::uint64_t{1}, model::JoinToken::most_uses));
  made->add_option("--label", wish->labels, "A label of the nodes to be; may be given again")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  made->add_option("-o,--output", wish->output, "Write the join file there (0600) instead of to standard output")->type_name("FILE");
  made->footer(
      "Examples:\n"
      "  cloudos token create > join.toml                       for 15 minutes\n"
      "  cloudos token create --ttl 2h --uses 40 --label rack=b7 -o join.toml\n"
      "The file is a secret for as long as the token serves. On a machine it is /etc/cloudos/join.toml.");
  const auto shown = add(*parent, context, "list", "The tokens that serve now, without their secrets", list);
  shown.first->footer("Example: cloudos token list --json");
  const auto [gone, which] = add(*parent, context, "revoke", "Take one back: nobody joins with it any more", revoke);
  gone->add_option("id", which->id, "Its id: the six characters before the dot")->required()->type_name("ID");
  gone->footer("Example: cloudos token revoke abcdef");
}

}  // namespace cloudos::cli
