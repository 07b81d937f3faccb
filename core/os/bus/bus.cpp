#include "core/os/bus/bus.hpp"

#include <systemd/sd-bus.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <format>
#include <map>
#include <string_view>
#include <utility>

#include "core/base/text.hpp"

namespace cloudos::os {
namespace {

constexpr const char* systemd = "org.freedesktop.systemd1";
constexpr const char* manager_path = "/org/freedesktop/systemd1";
constexpr const char* manager = "org.freedesktop.systemd1.Manager";
constexpr const char* unit_interface = "org.freedesktop.systemd1.Unit";
constexpr const char* service_interface = "org.freedesktop.systemd1.Service";
// systemctl(1) too gives a reload more than the 25 s that D-Bus calls have: generators and a thousand units take time.
constexpr std::uint64_t reload_timeout_us = 180'000'000;
constexpr std::uint64_t default_timeout_us = 0;

struct Unref {
  void operator()(sd_bus* bus) const { sd_bus_flush_close_unref(bus); }
  void operator()(sd_bus_message* message) const { sd_bus_message_unref(message); }
  void operator()(sd_bus_slot* slot) const { sd_bus_slot_unref(slot); }
};
using BusHandle = std::unique_ptr<sd_bus, Unref>;
using Message = std::unique_ptr<sd_bus_message, Unref>;
using Slot = std::unique_ptr<sd_bus_slot, Unref>;

class BusError {
 public:
  BusError() = default;
  ~BusError() { sd_bus_error_free(&error_); }
  BusError(const BusError&) = delete;
  BusError& operator=(const BusError&) = delete;
  [[nodiscard]] sd_bus_error* get() { return &error_; }
  [[nodiscard]] bool is(const char* name) const { return sd_bus_error_has_name(&error_, name) > 0; }
  [[nodiscard]] std::string text(int negative_errno) const {
    return sanitise(error_.message != nullptr ? error_.message : std::strerror(-negative_errno));
  }

 private:
  sd_bus_error error_{};
};

std::unexpected<Error> failure(const std::string& what, const BusError& error, int negative_errno) {
  const std::string text = std::format("{}: {}", what, error.text(negative_errno));
  if (error.is("org.freedesktop.systemd1.UnitExists")) return fail(ErrorKind::conflict, text);
  if (error.is("org.freedesktop.DBus.Error.AccessDenied") || error.is("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"))
    return fail(ErrorKind::auth, text, "run it as root");
  if (negative_errno == -ETIMEDOUT || error.is("org.freedesktop.DBus.Error.NoReply") || error.is("org.freedesktop.DBus.Error.Timeout"))
    return fail(ErrorKind::timeout, text);
  return fail(ErrorKind::failed, text);
}

// A unit that systemd does not know is stopped, disabled and not failed.
bool unknown_unit(const BusError& error) {
  return error.is("org.freedesktop.systemd1.NoSuchUnit") || error.is("org.freedesktop.DBus.Error.FileNotFound");
}

// Opens PID 1's own socket, as systemctl(1) does as root: it is there before and without a D-Bus daemon.
int open_private(BusHandle& bus) {
  sd_bus* raw = nullptr;
  int r = sd_bus_new(&raw);
  if (r < 0) return r;
  bus.reset(raw);
  r = sd_bus_set_address(raw, "unix:path=/run/systemd/private");
  return r < 0 ? r : sd_bus_start(raw);
}

int open_system(BusHandle& bus) {
  sd_bus* raw = nullptr;
  const int r = sd_bus_open_system(&raw);
  if (r >= 0) bus.reset(raw);
  return r;
}

std::uint64_t left_us(Deadline deadline) {
  const auto left = std::chrono::ceil<std::chrono::microseconds>(deadline - std::chrono::steady_clock::now()).count();
  return static_cast<std::uint64_t>(std::max<std::int64_t>(left, 0));
}

}  // namespace

struct Systemd::State {
  BusHandle bus;
  std::map<std::string, std::string> ended_jobs = {};  // object path to result
  Slot match = {};                                     // last: gone before what its callback writes to

  static int on_job_removed(sd_bus_message* message, void* self, sd_bus_error*) {
    std::uint32_t id = 0;
    const char* path = nullptr;
    const char* unit = nullptr;
    const char* result = nullptr;
    if (sd_bus_message_read(message, "uoss", &id, &path, &unit, &result) >= 0) static_cast<State*>(self)->ended_jobs[path] = result;
    return 0;
  }

  // systemd sends job signals only to who asked for them: the match first, then Subscribe, so that none is missed.
  Status subscribe() {
    sd_bus_slot* slot = nullptr;
    if (const int r = sd_bus_match_signal(bus.get(), &slot, systemd, manager_path, manager, "JobRemoved", &on_job_removed, this); r < 0)
      return fail_errno("watch systemd's jobs", -r);
    match.reset(slot);
    CLOUDOS_ASSIGN(const auto request, method("Subscribe"));
    CLOUDOS_TRY(call("subscribe to systemd's signals", request));
    return {};
  }

  Result<Message> method(const char* member) {
    sd_bus_message* raw = nullptr;
    if (const int r = sd_bus_message_new_method_call(bus.get(), &raw, systemd, manager_path, manager, member); r < 0)
      return fail_errno(std::format("prepare the call {}", member), -r);
    return Message(raw);
  }

  Result<Message> call(const std::string& what, const Message& request, std::uint64_t timeout_us = default_timeout_us) {
    BusError error;
    sd_bus_message* reply = nullptr;
    const int r = sd_bus_call(bus.get(), request.get(), timeout_us, error.get(), &reply);
    if (r < 0) return failure(what, error, r);
    return Message(reply);
  }

  // A call whose one argument is a unit's name, where an unknown unit is as good as success.
  Status settle(const char* member, const std::string& what, const std::string& unit) {
    CLOUDOS_ASSIGN(const auto request, method(member));
    if (const int r = sd_bus_message_append(request.get(), "s", unit.c_str()); r < 0) return fail_errno(what, -r);
    BusError error;
    const int r = sd_bus_call(bus.get(), request.get(), default_timeout_us, error.get(), nullptr);
    if (r < 0 && !unknown_unit(error)) return failure(what, error, r);
    return {};
  }

  Result<std::string> text(const std::string& path, const char* interface, const char* property) {
    BusError error;
    char* value = nullptr;
    const int r = sd_bus_get_property_string(bus.get(), systemd, path.c_str(), interface, property, error.get(), &value);
    const std::unique_ptr<char, decltype(&std::free)> owner(value, &std::free);
    if (r < 0) return failure(std::format("read {}", property), error, r);
    return std::string(value);
  }

  template <class T>
  Status number(const std::string& path, const char* interface, const char* property, char type, T& out) {
    BusError error;
    const int r = sd_bus_get_property_trivial(bus.get(), systemd, path.c_str(), interface, property, error.get(), type, &out);
    return r < 0 ? failure(std::format("read {}", property), error, r) : Status{};
  }

  Result<std::string> path_of(const std::string& unit) {
    CLOUDOS_ASSIGN(const auto request, method("LoadUnit"));
    if (const int r = sd_bus_message_append(request.get(), "s", unit.c_str()); r < 0) return fail_errno("load " + unit, -r);
    CLOUDOS_ASSIGN(const auto reply, call("load unit " + unit, request));
    const char* path = nullptr;
    if (const int r = sd_bus_message_read(reply.get(), "o", &path); r < 0) return fail_errno("read systemd's answer", -r);
    return std::string(path);
  }

  // Waits for the job that a reply names and judges its result (org.freedesktop.systemd1(5), JobRemoved).
  Status finish_job(const Message& reply, const std::string& what, const std::string& unit, Deadline deadline) {
    const char* path = nullptr;
    if (const int r = sd_bus_message_read(reply.get(), "o", &path); r < 0) return fail_errno("read systemd's answer", -r);
    const std::string job = path;
    while (!ended_jobs.contains(job)) {
      const int handled = sd_bus_process(bus.get(), nullptr);
      if (handled < 0) return fail_errno("wait to " + what, -handled);
      if (handled > 0) continue;
      const auto left = left_us(deadline);
      if (left == 0)
        return fail(ErrorKind::timeout, std::format("systemd did not {} in time", what),
                    "journalctl -u " + unit + " tells what it waits for");
      if (const int r = sd_bus_wait(bus.get(), left); r < 0 && r != -EINTR) return fail_errno("wait to " + what, -r);
    }
    const std::string result = ended_jobs[job];
    ended_jobs.clear();
    if (result == "done" || result == "skipped") return {};
    return fail(ErrorKind::failed, std::format("systemd could not {}: the job ended with '{}'{}", what, sanitise(result), why(unit)),
                "journalctl -u " + unit + " tells why");
  }

  // What a failed service itself ended with; best effort, it only makes a message better.
  std::string why(const std::string& unit) {
    if (!unit.ends_with(".service")) return "";
    const auto path = path_of(unit);
    const auto result = path ? text(*path, service_interface, "Result") : path;
    return result && *result != "success" ? ", the service with '" + sanitise(*result) + "'" : "";
  }
};

Systemd::Systemd(std::unique_ptr<State> state) : state_(std::move(state)) {}
Systemd::~Systemd() = default;
Systemd::Systemd(Systemd&&) noexcept = default;
Systemd& Systemd::operator=(Systemd&&) noexcept = default;

Result<Systemd> Systemd::connect() {
  auto state = std::make_unique<State>();
  if (open_private(state->bus) < 0) {
    if (const int r = open_system(state->bus); r < 0)
      return fail(ErrorKind::io, std::format("systemd cannot be reached over D-Bus: {}", std::strerror(-r)),
                  "systemd must run as PID 1 on this machine, and this command as root");
  }
  CLOUDOS_TRY_WITH(state->subscribe(), "connecting to systemd");
  return Systemd(std::move(state));
}

Result<UnitState> Systemd::state(const std::string& unit) {
  CLOUDOS_ASSIGN(const auto path, state_->path_of(unit));
  UnitState out;
  CLOUDOS_ASSIGN(out.load, state_->text(path, unit_interface, "LoadState"));
  CLOUDOS_ASSIGN(out.active, state_->text(path, unit_interface, "ActiveState"));
  CLOUDOS_ASSIGN(out.sub, state_->text(path, unit_interface, "SubState"));
  CLOUDOS_ASSIGN(out.file_state, state_->text(path, unit_interface, "UnitFileState"));
  std::uint64_t since = 0;
  CLOUDOS_TRY(state_->number(path, unit_interface, "ActiveEnterTimestamp", 't', since));
  out.active_since_us = static_cast<std::int64_t>(since);
  int reload = 0;  // sd-bus gives booleans as int
  CLOUDOS_TRY(state_->number(path, unit_interface, "NeedDaemonReload", 'b', reload));
  out.needs_reload = reload != 0;
  if (unit.ends_with(".service")) {
    CLOUDOS_TRY(state_->number(path, service_interface, "MainPID", 'u', out.main_pid));
    CLOUDOS_TRY(state_->number(path, service_interface, "NRestarts", 'u', out.restarts));
  }
  return out;
}

Status Systemd::daemon_reload() {
  CLOUDOS_ASSIGN(const auto request, state_->method("Reload"));
  CLOUDOS_TRY(state_->call("reload systemd's units", request, reload_timeout_us));
  return {};
}

Status Systemd::enable(const std::string& unit) {
  CLOUDOS_ASSIGN(const auto request, state_->method("EnableUnitFiles"));
  constexpr int runtime = 0;
  constexpr int force = 1;
  if (const int r = sd_bus_message_append(request.get(), "asbb", 1, unit.c_str(), runtime, force); r < 0)
    return fail_errno("enable " + unit, -r);
  CLOUDOS_TRY(state_->call("enable " + unit, request));
  return {};
}

Status Systemd::disable(const std::string& unit) {
  CLOUDOS_ASSIGN(const auto request, state_->method("DisableUnitFiles"));
  constexpr int runtime = 0;
  if (const int r = sd_bus_message_append(request.get(), "asb", 1, unit.c_str(), runtime); r < 0) return fail_errno("disable " + unit, -r);
  BusError error;
  const int r = sd_bus_call(state_->bus.get(), request.get(), default_timeout_us, error.get(), nullptr);
  if (r < 0 && !unknown_unit(error)) return failure("disable " + unit, error, r);
  return {};
}

Status Systemd::job(const char* member, const std::string& unit, Deadline deadline) {
  const std::string_view verb = std::string_view(member) == "StartUnit"  ? "start"
                                : std::string_view(member) == "StopUnit" ? "stop"
                                                                         : "restart";
  const std::string what = std::format("{} {}", verb, unit);
  CLOUDOS_ASSIGN(const auto request, state_->method(member));
  if (const int r = sd_bus_message_append(request.get(), "ss", unit.c_str(), "replace"); r < 0) return fail_errno(what, -r);
  BusError error;
  sd_bus_message* raw = nullptr;
  state_->ended_jobs.clear();
  const int r = sd_bus_call(state_->bus.get(), request.get(), default_timeout_us, error.get(), &raw);
  const Message reply(raw);
  if (r < 0 && verb == "stop" && unknown_unit(error)) return {};
  if (r < 0) return failure(what, error, r);
  return state_->finish_job(reply, what, unit, deadline);
}

Status Systemd::start(const std::string& unit, Deadline deadline) { return job("StartUnit", unit, deadline); }
Status Systemd::stop(const std::string& unit, Deadline deadline) { return job("StopUnit", unit, deadline); }
Status Systemd::restart(const std::string& unit, Deadline deadline) { return job("RestartUnit", unit, deadline); }

Status Systemd::reset_failed(const std::string& unit) { return state_->settle("ResetFailedUnit", "reset the failure of " + unit, unit); }

namespace {

// systemd replaces $NAME and ${NAME} in a command's arguments, in a transient unit's too; "$$" stands for the character
// (systemd.service(5), "Command lines").
std::vector<std::string> without_expansion(std::vector<std::string> words) {
  for (auto& word : words)
    for (std::size_t at = 0; (at = word.find('$', at)) != std::string::npos; at += 2) word.insert(at, 1, '$');
  return words;
}

// Fills in a message, remembering the first failure: sd-bus reports each append by a negative errno.
class Properties {
 public:
  explicit Properties(sd_bus_message* message) : message_(message) {}
  [[nodiscard]] int result() const { return result_; }
  void open(char type, const char* contents) { keep(sd_bus_message_open_container(message_, type, contents)); }
  void close() { keep(sd_bus_message_close_container(message_)); }
  void text(const char* value) { keep(sd_bus_message_append(message_, "s", value)); }
  void set(const char* name, const char* value) { keep(sd_bus_message_append(message_, "(sv)", name, "s", value)); }
  // sd-bus sends a duplicate; `fd` stays the caller's.
  void set_fd(const char* name, int fd) { keep(sd_bus_message_append(message_, "(sv)", name, "h", fd)); }
  void texts(const std::vector<std::string>& values) {
    open(SD_BUS_TYPE_ARRAY, "s");
    for (const auto& value : values) text(value.c_str());
    close();
  }
  void set(const char* name, const std::vector<std::string>& values) {
    open(SD_BUS_TYPE_STRUCT, "sv");
    text(name);
    open(SD_BUS_TYPE_VARIANT, "as");
    texts(values);
    close();
    close();
  }
  // ExecStart of one command that must not fail: a(sasb), the program, its arguments from argv[0] on, "ignore failure".
  void set_command(const Argv& command) {
    open(SD_BUS_TYPE_STRUCT, "sv");
    text("ExecStart");
    open(SD_BUS_TYPE_VARIANT, "a(sasb)");
    open(SD_BUS_TYPE_ARRAY, "(sasb)");
    open(SD_BUS_TYPE_STRUCT, "sasb");
    text(command.words[0].c_str());
    texts(without_expansion(command.words));
    keep(sd_bus_message_append(message_, "b", 0));
    for (int i = 0; i < 4; ++i) close();
  }

 private:
  void keep(int r) {
    if (result_ >= 0 && r < 0) result_ = r;
  }
  sd_bus_message* message_;
  int result_ = 0;
};

int append_unit(sd_bus_message* message, const TransientUnit& unit) {
  Properties p(message);
  p.text(unit.name.c_str());
  p.text("fail");  // a unit of that name, or a job for it, is somebody else's
  p.open(SD_BUS_TYPE_ARRAY, "(sv)");
  p.set("Description", unit.description.c_str());
  p.set_command(unit.command);
  // On stop, the program gets SIGTERM and ends its own children in order; what is left then gets SIGKILL.
  p.set("KillMode", "mixed");
  if (unit.collect) p.set("CollectMode", "inactive-or-failed");
  if (unit.stdin_fd >= 0) p.set_fd("StandardInputFileDescriptor", unit.stdin_fd);
  else p.set("StandardInput", "null");
  if (unit.stdout_fd >= 0) p.set_fd("StandardOutputFileDescriptor", unit.stdout_fd);
  else p.set("StandardOutput", "journal");
  p.set("StandardError", "journal");
  if (!unit.environment.empty()) p.set("Environment", unit.environment);
  p.close();
  p.open(SD_BUS_TYPE_ARRAY, "(sa(sv))");  // auxiliary units: none
  p.close();
  return p.result();
}

}  // namespace

Status Systemd::start_transient(const TransientUnit& unit, Deadline deadline) {
  if (unit.command.words.empty() || !unit.command.words[0].starts_with('/'))
    return fail(ErrorKind::usage, std::format("unit {} needs a program with an absolute path", unit.name));
  const std::string what = "start " + unit.name;
  CLOUDOS_ASSIGN(const auto request, state_->method("StartTransientUnit"));
  if (const int r = append_unit(request.get(), unit); r < 0) return fail_errno(what, -r);
  state_->ended_jobs.clear();
  CLOUDOS_ASSIGN(const auto reply, state_->call(what, request));
  return state_->finish_job(reply, what, unit.name, deadline);
}

Result<std::vector<std::string>> Systemd::list_units(const std::string& pattern) {
  CLOUDOS_ASSIGN(const auto request, state_->method("ListUnitsByPatterns"));
  if (const int r = sd_bus_message_append(request.get(), "asas", 0, 1, pattern.c_str()); r < 0) return fail_errno("list units", -r);
  CLOUDOS_ASSIGN(const auto reply, state_->call("list units like " + pattern, request));
  std::vector<std::string> names;
  int r = sd_bus_message_enter_container(reply.get(), SD_BUS_TYPE_ARRAY, "(ssssssouso)");
  while (r >= 0 && (r = sd_bus_message_enter_container(reply.get(), SD_BUS_TYPE_STRUCT, "ssssssouso")) > 0) {
    const char* name = nullptr;
    r = sd_bus_message_read(reply.get(), "s", &name);
    if (r >= 0) names.emplace_back(name);
    if (r >= 0) r = sd_bus_message_skip(reply.get(), "sssssouso");
    if (r >= 0) r = sd_bus_message_exit_container(reply.get());
  }
  if (r < 0) return fail_errno("read systemd's list of units", -r);
  return names;
}

}  // namespace cloudos::os
