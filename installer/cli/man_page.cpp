#include <algorithm>
#include <format>

#include "core/base/text.hpp"
#include "installer/cli/tree.hpp"

namespace cloudos::cli {

namespace {

// groff_char(7): a bare "-" may become a hyphen, and a line must not begin with a control character.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') out += "\\e";
    else if (c == '-') out += "\\-";
    else out += c;
  }
  return out.starts_with('.') || out.starts_with('\'') ? "\\&" + out : out;
}

std::string flag_text(const FlagEntry& flag) {
  std::string names = flag.short_name.empty() ? "" : std::format("\\fB\\-{}\\fR", escaped(flag.short_name));
  if (!flag.long_name.empty()) names += std::format("{}\\fB\\-\\-{}\\fR", names.empty() ? "" : ", ", escaped(flag.long_name));
  if (flag.takes_value) names += " \\fIVALUE\\fR";
  return std::format(".TP\n{}\n{}\n", names, escaped(flag.description));
}

std::string examples(const std::string& footer) {
  if (footer.empty()) return "";
  std::string out = ".PP\n.nf\n";
  for (const auto& line : split(footer, '\n')) out += escaped(line) + '\n';
  return out + ".fi\n";
}

std::string command_text(const CommandEntry& entry) {
  std::string usage = join(entry.path, " ");
  for (const auto& argument : entry.arguments) usage += " " + argument;
  auto out = std::format(".SS {}\n{}\n", escaped(usage), escaped(entry.description));
  for (const auto& flag : entry.flags)
    if (flag.long_name != "help") out += flag_text(flag);
  out += examples(entry.footer);
  for (const auto& command : entry.commands) out += command_text(command);
  return out;
}

}  // namespace

std::string man_page(const CommandEntry& root, std::string_view version) {
  auto out =
      std::format(".TH CLOUDOS 1 \"\" \"cloudos {}\" \"User Commands\"\n.SH NAME\ncloudos \\- {}\n", version, escaped(root.description));
  out += ".SH SYNOPSIS\n\\fBcloudos\\fR \\fICOMMAND\\fR [\\fIFLAGS\\fR]\n.SH FLAGS OF EVERY COMMAND\n";
  for (const auto& flag : root.flags) out += flag_text(flag);
  out += ".SH COMMANDS\n";
  for (const auto& command : root.commands) out += command_text(command);
  out +=
      ".SH EXIT STATUS\n.TP\n0\ndone\n.TP\n1\nfailed\n.TP\n2\nbad usage or bad input\n.TP\n3\na check failed before the start; nothing was "
      "changed\n";
  out +=
      ".SH FILES\n.TP\n~/.config/cloudos/clusters/NAME.toml\nwhat install was given, without secrets\n.TP\n~/.config/cloudos/keys/*.pub\n"
      "keys that bundles may be signed with\n.TP\n~/.local/state/cloudos/logs\nfull logs\n";
  return out;
}

}  // namespace cloudos::cli
