#include "installer/ssh/command.hpp"

#include <algorithm>
#include <format>

#include "core/base/text.hpp"

namespace cloudos::ssh {

namespace {

constexpr std::size_t noise_at_most = 1U << 20;
constexpr std::size_t tail_at_most = 600;

// $1: the marker. stderr first, so that the payload, which waits for stdout's marker, finds both streams clean.
constexpr auto announce = R"sh(echo >&2; echo "$1" >&2; echo; echo "$1"; shift; exec "$@")sh";
// $1: sudo's prompt. Whoever has user id 0 under another name than root needs no sudo either.
constexpr auto climb = R"sh(p=$1; shift; [ "$(id -u)" = 0 ] && exec "$@"; exec sudo -S -p "$p" -- "$@")sh";

// $1: the same as a string for script(1), which makes a terminal for it; the streams go past that terminal.
constexpr auto with_tty = R"sh(exec 3<&0 4>&1 5>&2; exec script -q -e -c "$1" /dev/null </dev/null >/dev/null)sh";
constexpr auto past_tty = " <&3 >&4 2>&5 3<&- 4>&- 5>&-";

void add(Argv& line, std::initializer_list<std::string> words) { line.words.insert(line.words.end(), words); }

}  // namespace

Wrapped wrap(const Argv& argv, Root root, std::string_view random) {
  Wrapped wrapped{.line = {}, .marker = std::format("cloudos-begin-{}", random), .prompt = std::format("cloudos-sudo-{}", random)};
  Argv inner{"/bin/sh", "-c"};
  if (root != Root::as_is) add(inner, {climb, "sh", wrapped.prompt, "/bin/sh", "-c"});
  add(inner, {announce, "sh", wrapped.marker});
  inner.words.insert(inner.words.end(), argv.words.begin(), argv.words.end());
  // exec: no shell stays between sshd and the command, so that its end by a signal is reported as such. env: fish before 3.1
  // has no VAR=value prefix. C: sudo's messages are read here. SHELL: script(1) takes it.
  Argv line{"exec", "env", "LC_ALL=C"};
  if (root == Root::sudo_with_tty) add(line, {"SHELL=/bin/sh", "/bin/sh", "-c", with_tty, "sh", "exec " + quote(inner) + past_tty});
  else line.words.insert(line.words.end(), inner.words.begin(), inner.words.end());
  wrapped.line = quote(line);
  return wrapped;
}

Status Noise::feed(std::span<const std::byte> bytes, const ByteSink& sink) {
  if (over_) return sink(bytes);
  const auto from = seen_.size() - std::min(seen_.size(), line_.size());
  seen_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto at = seen_.find(line_, from);
  if (at == std::string::npos) {
    if (seen_.size() > noise_at_most) return fail(ErrorKind::failed, "the login shell printed more than 1 MiB before the command started");
    return {};
  }
  over_ = true;
  const std::string rest = seen_.substr(at + line_.size());
  seen_.resize(at);
  if (rest.empty()) return {};
  return sink(std::as_bytes(std::span(rest)));
}

std::size_t Noise::count(std::string_view text) const {
  std::size_t n = 0;
  for (auto at = seen_.find(text); at != std::string::npos; at = seen_.find(text, at + text.size())) ++n;
  return n;
}

std::string Noise::tail(std::string_view hidden) const {
  std::string text = seen_;
  for (auto at = text.find(hidden); at != std::string::npos; at = text.find(hidden)) text.erase(at, hidden.size());
  std::string_view kept = trim(text);
  if (kept.size() > tail_at_most) kept = kept.substr(kept.size() - tail_at_most);
  std::string lines;
  for (const auto& line : split(kept, '\n')) {
    const auto one = trim(line);
    if (one.empty()) continue;
    if (!lines.empty()) lines += "; ";
    lines += one;
  }
  return sanitise(lines);
}

}  // namespace cloudos::ssh
