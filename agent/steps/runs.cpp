#include "agent/steps/runs.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace cloudos::steps {
namespace {

constexpr Milliseconds start_limit{30'000};
// A worker that dies closes its file, which wakes a follower at once; this is for one that dies before it opened it.
constexpr int liveness_check_ms = 5'000;

// Whether nobody holds the file's lock.
bool free_of_writer(int fd) {
  if (::flock(fd, LOCK_SH | LOCK_NB) != 0) return false;
  ::flock(fd, LOCK_UN);
  return true;
}

bool unit_at_work(Environment& env, const RunId& run) {
  const auto state = env.services.state(run_unit(run));
  return state && (state->active == "active" || state->active == "activating");
}

// Hands out the whole lines that the file has gained, and keeps the rest.
class Lines {
 public:
  Lines(int fd, std::uint64_t from, const ByteSink& out) : fd_(fd), from_(from), out_(out) {}

  // Gives run_done's or run_failed's truth once it was read.
  Result<std::optional<bool>> pump() {
    std::array<char, 64U << 10> buffer{};
    for (;;) {
      const auto got = ::read(fd_, buffer.data(), buffer.size());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return fail_errno("read the run's events", errno);
      if (got == 0) return std::nullopt;
      rest_.append(buffer.data(), static_cast<std::size_t>(got));
      CLOUDOS_ASSIGN(auto end, hand_out());
      if (end) return end;
    }
  }

 private:
  Result<std::optional<bool>> hand_out() {
    std::size_t begin = 0;
    for (std::size_t newline = 0; (newline = rest_.find('\n', begin)) != std::string::npos; begin = newline + 1) {
      const auto line = std::string_view(rest_).substr(begin, newline + 1 - begin);
      CLOUDOS_ASSIGN(auto event, model::decode_event(line.substr(0, line.size() - 1)));
      if (event.sequence >= from_) CLOUDOS_TRY(out_(std::as_bytes(std::span(line))));
      if (event.kind == model::Event::Kind::run_done) return true;
      if (event.kind == model::Event::Kind::run_failed) return false;
    }
    rest_.erase(0, begin);
    return std::nullopt;
  }

  int fd_;
  std::uint64_t from_;
  const ByteSink& out_;
  std::string rest_;
};

Result<os::Fd> watch(const fs::path& path) {
  os::Fd inotify(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify) return fail_errno("watch the run's events", errno);
  if (::inotify_add_watch(inotify.get(), path.c_str(), IN_MODIFY | IN_CLOSE_WRITE) < 0) return fail_errno("watch " + path.string(), errno);
  return inotify;
}

Status wait_for_more(int inotify) {
  pollfd p{.fd = inotify, .events = POLLIN, .revents = 0};
  if (::poll(&p, 1, liveness_check_ms) < 0 && errno != EINTR) return fail_errno("wait for the run's events", errno);
  std::array<char, 4096> drained{};
  while (::read(inotify, drained.data(), drained.size()) > 0) {}
  return {};
}

std::string agent_program() {
  std::error_code error;
  // The version that runs now: an upgrade may move "current" while the run is at work.
  auto path = fs::canonical(paths::agent, error);
  if (!error) return path.string();
  path = fs::read_symlink("/proc/self/exe", error);
  return path.string();
}

}  // namespace

bool is_run_id(std::string_view text) {
  return !text.empty() && text.size() <= 64 &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}
fs::path events_path(const Environment& env, const RunId& run) { return env.at(paths::runs) / (run.value + ".events"); }
std::string run_unit(const RunId& run) { return "cloudos-apply-" + run.value + ".service"; }

Result<EventLog> EventLog::create(Environment& env, const RunId& run) {
  if (!is_run_id(run.value)) return fail(ErrorKind::input, "\"" + run.value + "\" is not a run's id: hexadecimal digits, at most 64");
  const auto path = events_path(env, run);
  CLOUDOS_TRY(os::make_folders(path.parent_path(), 0755));
  CLOUDOS_ASSIGN(auto fd, os::open(path, O_WRONLY | O_CREAT | O_APPEND, 0600));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return fail(ErrorKind::conflict, "run " + run.value + " is at work already");
  if (::ftruncate(fd.get(), 0) != 0) return fail_errno("empty " + path.string(), errno);
  return EventLog(std::move(fd));
}

Status EventLog::append(const model::Event& event) {
  const auto line = model::encode_event(event) + "\n";
  return os::write_all(fd_.get(), std::as_bytes(std::span(line)));
}

Status start_run(Environment& env, const RunId& run, const Secret& request) {
  if (unit_at_work(env, run)) return fail(ErrorKind::conflict, "run " + run.value + " is at work already");
  {
    // Followers need a file to watch from the first moment.
    CLOUDOS_ASSIGN(auto log, EventLog::create(env, run));
  }
  os::Fd memory(::memfd_create("cloudos-request", MFD_CLOEXEC));
  if (!memory) return fail_errno("keep the request in memory", errno);
  CLOUDOS_TRY(os::write_all(memory.get(), std::as_bytes(std::span(request.reveal()))));
  if (::lseek(memory.get(), 0, SEEK_SET) != 0) return fail_errno("rewind the request", errno);
  CLOUDOS_ASSIGN(auto nothing, os::open("/dev/null", O_WRONLY));
  CLOUDOS_ASSIGN(auto systemd, os::Systemd::connect());
  return systemd.start_transient({.name = run_unit(run),
                                  .description = "cloudos: applies steps to this machine",
                                  .command = {agent_program(), "apply", "--foreground"},
                                  .stdin_fd = memory.get(),
                                  .stdout_fd = nothing.get()},
                                 in(start_limit));
}

Result<bool> follow(Environment& env, const RunId& run, std::uint64_t from, const ByteSink& out) {
  const auto path = events_path(env, run);
  if (!is_run_id(run.value) || !fs::exists(path)) return fail(ErrorKind::input, "this machine knows no run " + run.value);
  CLOUDOS_ASSIGN(auto fd, os::open(path, O_RDONLY));
  CLOUDOS_ASSIGN(auto inotify, watch(path));
  Lines lines(fd.get(), from, out);
  for (bool last_look = false;;) {
    CLOUDOS_ASSIGN(auto end, lines.pump());
    if (end) return *end;
    if (last_look)
      return fail(ErrorKind::failed, "the work of run " + run.value + " was cut off: its process is gone",
                  "run the same command again: it goes on where it stopped");
    if (free_of_writer(fd.get()) && !unit_at_work(env, run)) {
      last_look = true;  // what it wrote between the read and the look
      continue;
    }
    CLOUDOS_TRY(wait_for_more(inotify.get()));
  }
}

}  // namespace cloudos::steps
