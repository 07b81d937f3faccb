#include "agent/cli/token.hpp"

#include <memory>

#include "agent/cli/answer.hpp"
#include "agent/cli/machine.hpp"
#include "agent/steps/tokens.hpp"
#include "core/os/process/process.hpp"

namespace cloudos::agent {
namespace {

constexpr std::int64_t shortest_s = 60, longest_s = 86'400;

Status create(const steps::TokenWish& wish) {
  os::forbid_core_dumps();
  Machine machine;
  CLOUDOS_ASSIGN(const auto file, steps::create_token(wish, machine.environment));
  return say(file.reveal());
}

Status list() {
  Machine machine;
  CLOUDOS_ASSIGN(const auto text, steps::list_tokens(machine.environment));
  return say(text + "\n");
}

Status revoke(const std::string& id) {
  Machine machine;
  return steps::revoke_token(id, machine.environment);
}

}  // namespace

void add_token(CLI::App& app, int& status) {
  auto* token = app.add_subcommand("token", "Join tokens, on a master")->require_subcommand(1);
  const auto wish = std::make_shared<steps::TokenWish>();
  const auto id = std::make_shared<std::string>();
  const auto labels = std::make_shared<std::vector<std::string>>();
  auto* made = token->add_subcommand("create", "Makes one and prints the join file with it: a secret");
  made->add_option("--ttl-s", wish->lifetime_s, "Seconds that it lives")->check(CLI::Range(shortest_s, longest_s));
  made->add_option("--uses", wish->uses, "Machines that it lets in; 0: any number")
      ->check(CLI::Range(std::uint64_t{0}, model::JoinToken::most_uses));
  made->add_option("--label", *labels, "KEY=VALUE, of the nodes to be; may be given again")->allow_extra_args(false);
  made->callback([&status, wish, labels] {
    for (const auto& label : *labels) {
      const auto equals = label.find('=');
      if (equals == std::string::npos) throw CLI::ValidationError("--label", "is KEY=VALUE");
      wish->labels[label.substr(0, equals)] = label.substr(equals + 1);
    }
    status = tell(create(*wish));
  });
  token->add_subcommand("list", "All of them, as one line of JSON; no secrets")->callback([&status] { status = tell(list()); });
  auto* gone = token->add_subcommand("revoke", "Takes one back");
  gone->add_option("id", *id, "Its id")->required();
  gone->callback([&status, id] { status = tell(revoke(*id)); });
}

}  // namespace cloudos::agent
