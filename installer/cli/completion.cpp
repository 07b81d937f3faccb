#include <format>
#include <functional>
#include <iostream>
#include <memory>

#include "core/base/text.hpp"
#include "installer/cli/command.hpp"
#include "installer/cli/tree.hpp"

namespace cloudos::cli {

namespace {

void walk(const CommandEntry& entry, const std::function<void(const CommandEntry&)>& visit) {
  visit(entry);
  for (const auto& command : entry.commands) walk(command, visit);
}

// What may stand after a command: its subcommands, its own flags and those of every command.
std::string words_after(const CommandEntry& entry, const CommandEntry& root) {
  std::vector<std::string> words;
  for (const auto& command : entry.commands) words.push_back(command.path.back());
  const auto add = [&](const CommandEntry& from) {
    for (const auto& flag : from.flags)
      if (!flag.long_name.empty()) words.push_back("--" + flag.long_name);
  };
  add(entry);
  if (&entry != &root) add(root);
  return join(words, " ");
}

// bash and zsh: the path of subcommands typed so far chooses the words; a file name where no word fits.
std::string case_arms(const CommandEntry& root) {
  std::string arms;
  walk(root, [&](const CommandEntry& entry) {
    arms += std::format("    '{}') words='{}' ;;\n", join(entry.path, " "), words_after(entry, root));
  });
  return arms;
}

std::string command_names(const CommandEntry& root) {
  std::string names;
  walk(root, [&](const CommandEntry& entry) {
    if (entry.path.size() > 1) names += std::format("'{}' | ", join(entry.path, " "));
  });
  return names.substr(0, names.size() - 3);
}

std::string bash_script(const CommandEntry& root) {
  return std::format(
      "# cloudos completion for bash: source <(cloudos completion bash)\n"
      "_cloudos() {{\n"
      "  local current=${{COMP_WORDS[COMP_CWORD]}} path=cloudos words= i\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    case \"$path ${{COMP_WORDS[i]}}\" in {}) path=\"$path ${{COMP_WORDS[i]}}\" ;; esac\n"
      "  done\n"
      "  case \"$path\" in\n{}  esac\n"
      "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
      "  if [ ${{#COMPREPLY[@]}} -eq 0 ]; then mapfile -t COMPREPLY < <(compgen -f -- \"$current\"); fi\n"
      "}}\n"
      "complete -o filenames -F _cloudos cloudos\n",
      command_names(root), case_arms(root));
}

std::string zsh_script(const CommandEntry& root) {
  return std::format(
      "#compdef cloudos\n"
      "# cloudos completion for zsh: source <(cloudos completion zsh)\n"
      "_cloudos() {{\n"
      "  local where=cloudos words_here= i\n"
      "  for ((i = 2; i < CURRENT; i++)); do\n"
      "    case \"$where ${{words[i]}}\" in {}) where=\"$where ${{words[i]}}\" ;; esac\n"
      "  done\n"
      "  local words=\n"
      "  case \"$where\" in\n{}  esac\n"
      "  words_here=(${{=words}})\n"
      "  compadd -- $words_here || _files\n"
      "}}\n"
      "compdef _cloudos cloudos\n",
      command_names(root), case_arms(root));
}

std::string fish_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

std::string fish_script(const CommandEntry& root) {
  std::string out = "# cloudos completion for fish: cloudos completion fish | source\ncomplete -c cloudos -e\n";
  walk(root, [&](const CommandEntry& entry) {
    std::string condition = entry.path.size() == 1 && !entry.commands.empty() ? "" : "true";
    for (std::size_t i = 1; i < entry.path.size(); ++i) condition += std::format("; and __fish_seen_subcommand_from {}", entry.path[i]);
    std::string names;
    for (const auto& command : entry.commands) names += " " + command.path.back();
    const auto none_yet =
        condition.empty() ? "__fish_use_subcommand" : std::format("{}; and not __fish_seen_subcommand_from{}", condition, names);
    for (const auto& command : entry.commands)
      out += std::format("complete -c cloudos -f -n {} -a {} -d {}\n", fish_quoted(none_yet), command.path.back(),
                         fish_quoted(command.description));
    for (const auto& flag : entry.flags) {
      if (flag.long_name.empty()) continue;
      out += std::format("complete -c cloudos -n {} -l {}{}{} -d {}\n", fish_quoted(condition.empty() ? "true" : condition), flag.long_name,
                         flag.short_name.empty() ? "" : " -s " + flag.short_name, flag.takes_value ? " -r" : "",
                         fish_quoted(flag.description));
    }
  });
  return out;
}

}  // namespace

std::string completion_script(const CommandEntry& root, std::string_view shell) {
  if (shell == "bash") return bash_script(root);
  return shell == "zsh" ? zsh_script(root) : fish_script(root);
}

void add_completion(CLI::App& app, Context& context) {
  auto* completion = app.add_subcommand("completion", "A completion script for your shell");
  auto shell = std::make_shared<std::string>();
  completion->add_option("shell", *shell, "bash, zsh or fish")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
  completion->footer(
      "Examples:\n"
      "  source <(cloudos completion bash)\n"
      "  cloudos completion fish > ~/.config/fish/completions/cloudos.fish");
  completion->callback([shell, &app, &context] {
    context.work = [shell, &app]() -> Result<int> {
      std::cout << completion_script(tree_of(app), *shell);
      return 0;
    };
  });
  auto* man = app.add_subcommand("man", "The manual page, for man(1)");
  man->footer("Examples:\n  cloudos man > cloudos.1 && man ./cloudos.1");
  man->callback([&app, &context] {
    context.work = [&app]() -> Result<int> {
      std::cout << man_page(tree_of(app), CLOUDOS_VERSION);
      return 0;
    };
  });
}

}  // namespace cloudos::cli
