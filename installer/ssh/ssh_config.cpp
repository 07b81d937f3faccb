#include "installer/ssh/ssh_config.hpp"

#include <glob.h>

#include <algorithm>
#include <format>

#include "core/base/text.hpp"
#include "core/os/file/file.hpp"
#include "installer/ssh/pattern.hpp"

namespace cloudos::ssh {

namespace {

constexpr int include_depth_at_most = 16;  // as in OpenSSH's readconf.c

struct Line {
  std::string keyword;
  std::vector<std::string> arguments;
};

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// One argument at `at`, which moves behind it. Quotes may stand anywhere in it, as in ssh's argv_split.
Result<std::string> argument(std::string_view text, std::size_t& at) {
  std::string word;
  char quote = 0;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (quote != 0) {
      if (c == quote) quote = 0;
      else if (c == '\\' && at + 1 < text.size() && (text[at + 1] == quote || text[at + 1] == '\\')) word += text[++at];
      else word += c;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == ' ' || c == '\t') {
      break;
    } else {
      word += c;
    }
  }
  if (quote != 0) return fail(ErrorKind::input, "a quote is not closed");
  return word;
}

// "Keyword value" or "Keyword=value"; a # that begins an argument begins a comment.
Result<Line> split_line(std::string_view text) {
  Line line;
  std::size_t at = std::min(text.find_first_of(" \t="), text.size());
  line.keyword = lower(std::string(text.substr(0, at)));
  at = std::min(text.find_first_not_of(" \t", at), text.size());
  if (at < text.size() && text[at] == '=') ++at;
  for (;;) {
    at = text.find_first_not_of(" \t", at);
    if (at == std::string_view::npos || text[at] == '#') return line;
    CLOUDOS_ASSIGN(std::string word, argument(text, at));
    line.arguments.push_back(std::move(word));
  }
}

class Parser {
 public:
  Parser(const std::string& host, const ConfigReader& reader) : host_(host), reader_(reader) {}

  Status parse(std::string_view text, const std::string& file, int depth, bool active) {
    if (text.contains('\0')) return fail(ErrorKind::input, std::format("{} is not a text file", file));
    std::size_t number = 0;
    for (const auto& whole : split(text, '\n')) {
      ++number;
      const auto content = trim(whole);
      if (content.empty() || content.starts_with('#')) continue;
      const std::string where = std::format("{}:{}", file, number);
      auto line = split_line(content);
      if (!line) return fail(ErrorKind::input, std::format("{}: {}", where, line.error().message));
      CLOUDOS_TRY(take(*line, where, depth, active));
    }
    return {};
  }

  HostConfig result() && { return std::move(config_); }

 private:
  Status take(const Line& line, const std::string& where, int depth, bool& active) {
    const auto& [keyword, arguments] = line;
    if (keyword == "host") {
      if (arguments.empty()) return fail(ErrorKind::input, std::format("{}: Host needs a pattern", where));
      active = matches_list(arguments, host_);
    } else if (keyword == "match") {
      active = arguments.size() == 1 && lower(arguments[0]) == "all";
      if (!active) config_.notes.push_back(std::format("{}: Match is not supported; what stands below it is passed over", where));
    } else if (active) {
      if (keyword == "include") return include(arguments, where, depth);
      return set(keyword, arguments, where);
    }
    return {};
  }

  // The first value of a keyword counts, but identity files add up (ssh_config(5)).
  Status set(const std::string& keyword, const std::vector<std::string>& arguments, const std::string& where) {
    const bool known = keyword == "hostname" || keyword == "user" || keyword == "port" || keyword == "identityfile" ||
                       keyword == "identitiesonly" || keyword == "proxyjump" || keyword == "proxycommand";
    if (!known) return {};
    if (arguments.size() != 1 && keyword != "proxycommand")
      return fail(ErrorKind::input, std::format("{}: {} needs one value, found {}", where, keyword, arguments.size()));
    if (keyword == "proxycommand") return proxy_command(arguments, where);
    const auto& value = arguments[0];
    if (keyword == "hostname" && config_.hostname.empty()) config_.hostname = expand(value, host_);
    if (keyword == "user" && config_.user.empty()) config_.user = value;
    if (keyword == "identityfile" && lower(value) != "none") config_.identity_files.push_back(value);
    if (keyword == "identitiesonly" && !identities_only_set_) {
      identities_only_set_ = true;
      config_.identities_only = lower(value) == "yes" || lower(value) == "true";
    }
    if (keyword == "port" && config_.port == 0) {
      const auto port = parse_number(value, 1, 65535);
      if (!port) return fail(ErrorKind::input, std::format("{}: Port is {}, not a number from 1 to 65535", where, sanitise(value)));
      config_.port = static_cast<std::uint16_t>(*port);
    }
    if (keyword == "proxyjump" && !proxy_set_) return proxy_jump(value, where);
    return {};
  }

  Status proxy_jump(const std::string& value, const std::string& where) {
    proxy_set_ = true;
    if (lower(value) == "none") return {};
    for (const auto& hop : split(value, ',')) {
      if (auto parsed = parse_hop(hop); !parsed)
        return std::unexpected(std::move(parsed).error().with(std::format("reading ProxyJump at {}", where)));
      config_.proxy_jump.push_back(hop);
    }
    return {};
  }

  Status proxy_command(const std::vector<std::string>& arguments, const std::string& where) {
    if (proxy_set_) return {};
    proxy_set_ = true;
    if (arguments.size() != 1 || lower(arguments[0]) != "none")
      config_.notes.push_back(std::format("{}: ProxyCommand is not supported and passed over; use ProxyJump", where));
    return {};
  }

  Status include(const std::vector<std::string>& arguments, const std::string& where, int depth) {
    if (depth >= include_depth_at_most)
      return fail(ErrorKind::input, std::format("{}: files include each other more than {} deep", where, include_depth_at_most));
    for (const auto& written : arguments) {
      std::string pattern = home(written);
      if (!pattern.starts_with('/')) pattern = reader_.home + "/.ssh/" + pattern;
      glob_t found{};
      const int status = ::glob(pattern.c_str(), 0, nullptr, &found);
      std::vector<std::string> files;
      if (status == 0) files.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
      ::globfree(&found);
      for (const auto& file : files) {
        CLOUDOS_ASSIGN(const std::string text, os::read(file, 1U << 20));
        // Host lines of an included file end with it.
        CLOUDOS_TRY(parse(text, file, depth + 1, true));
      }
    }
    return {};
  }

  [[nodiscard]] std::string home(const std::string& path) const {
    return path == "~" || path.starts_with("~/") ? reader_.home + path.substr(1) : path;
  }

  [[nodiscard]] static std::string expand(const std::string& text, const std::string& host) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '%' && i + 1 < text.size() && (text[i + 1] == 'h' || text[i + 1] == '%')) out += text[++i] == 'h' ? host : "%";
      else out += text[i];
    }
    return out;
  }

  const std::string& host_;
  const ConfigReader& reader_;
  HostConfig config_;
  bool identities_only_set_ = false, proxy_set_ = false;
};

// ~, %d (home), %h (the real host name), %r (remote user), %u (local user) and %%.
std::string expand_path(const std::string& path, const HostConfig& config, const std::string& host, const ConfigReader& reader) {
  std::string out;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const char next = i + 1 < path.size() ? path[i + 1] : '\0';
    if (i == 0 && path[0] == '~' && (next == '/' || next == '\0')) {
      out += reader.home;
    } else if (path[i] == '%' && std::string_view("dhru%").contains(next) && next != '\0') {
      ++i;
      if (next == 'd') out += reader.home;
      else if (next == 'h') out += config.hostname.empty() ? host : config.hostname;
      else if (next == 'r') out += config.user.empty() ? reader.local_user : config.user;
      else if (next == 'u') out += reader.local_user;
      else out += '%';
    } else {
      out += path[i];
    }
  }
  return out;
}

}  // namespace

Result<HostConfig> parse_ssh_config(std::string_view text, const std::string& file, const std::string& host, const ConfigReader& reader) {
  Parser parser(host, reader);
  CLOUDOS_TRY(parser.parse(text, file, 0, true));
  HostConfig config = std::move(parser).result();
  for (auto& path : config.identity_files) path = expand_path(path, config, host, reader);
  if (!config.hostname.empty()) CLOUDOS_TRY_WITH(check_host(config.hostname), std::format("reading HostName in {}", file));
  if (!config.user.empty()) CLOUDOS_TRY_WITH(check_user(config.user), std::format("reading User in {}", file));
  return config;
}

Result<HostConfig> read_ssh_config(const std::string& file, bool must_exist, const std::string& host, const ConfigReader& reader) {
  CLOUDOS_ASSIGN(const auto text, os::read_if_any(file, 1U << 20));
  if (!text && must_exist) return fail(ErrorKind::input, std::format("there is no ssh configuration {}", file));
  return parse_ssh_config(text.value_or(""), file, host, reader);
}

Result<Hop> parse_hop(std::string_view text) {
  Hop hop;
  std::string_view rest = trim(text);
  if (rest.starts_with("ssh://")) rest.remove_prefix(6);
  if (const auto at = rest.rfind('@'); at != std::string_view::npos) {
    hop.user = rest.substr(0, at);
    rest.remove_prefix(at + 1);
    CLOUDOS_TRY(check_user(hop.user));
  }
  std::string_view port;
  if (rest.starts_with('[')) {
    const auto close = rest.find(']');
    if (close == std::string_view::npos) return fail(ErrorKind::input, std::format("{} has no closing bracket", sanitise(text)));
    hop.host = rest.substr(1, close - 1);
    port = rest.substr(close + 1);
  } else if (std::ranges::count(rest, ':') == 1) {
    hop.host = rest.substr(0, rest.find(':'));
    port = rest.substr(rest.find(':'));
  } else {
    hop.host = rest;  // a name or a bare IPv6 address
  }
  CLOUDOS_TRY(check_host(hop.host));
  if (port.empty()) return hop;
  const auto number = port.starts_with(':') ? parse_number(port.substr(1), 1, 65535) : Result<std::uint64_t>(fail(ErrorKind::input, ""));
  if (!number) return fail(ErrorKind::input, std::format("{}: the port is not a number from 1 to 65535", sanitise(text)));
  hop.port = static_cast<std::uint16_t>(*number);
  return hop;
}

Status check_host(std::string_view host) {
  constexpr std::string_view allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_:%";
  if (host.empty()) return fail(ErrorKind::input, "an empty host name");
  if (host.starts_with('-'))
    return fail(ErrorKind::input, std::format("the host name {} begins with a dash", sanitise(host)),
                "a host name never does; is it a misplaced option?");
  if (host.find_first_not_of(allowed) != std::string_view::npos)
    return fail(ErrorKind::input, std::format("the host name {} has a character that no host name has", sanitise(host)),
                "give a name or an address");
  return {};
}

Status check_user(std::string_view user) {
  if (user.empty()) return fail(ErrorKind::input, "an empty user name");
  if (user.starts_with('-'))
    return fail(ErrorKind::input, std::format("the user name {} begins with a dash", sanitise(user)),
                "a user name never does; is it a misplaced option?");
  // What ssh refuses (valid_ruser in ssh.c): shell metacharacters, spaces, control characters.
  for (const char c : user)
    if (static_cast<unsigned char>(c) <= ' ' || c == 127 || std::string_view("'`\"$;&<>|(){}").contains(c))
      return fail(ErrorKind::input, std::format("the user name {} has a character that no user name has", sanitise(user)));
  return {};
}

}  // namespace cloudos::ssh
