#include <sys/utsname.h>

#include "agent/facts/parse.hpp"
#include "agent/metrics/collectors.hpp"

namespace cloudos::metrics {

bool collect_stat(Look& look) {
  struct Figure {
    std::string_view field, name;
    Kind kind;
    std::string_view help;
  };
  static constexpr std::array figures = {
      Figure{"intr", "node_intr_total", Kind::counter, "Interrupts that were served."},
      Figure{"ctxt", "node_context_switches_total", Kind::counter, "Context switches."},
      Figure{"processes", "node_forks_total", Kind::counter, "Processes and threads that were made."},
      Figure{"btime", "node_boot_time_seconds", Kind::gauge, "When the machine was booted, in seconds since 1970."},
      Figure{"procs_running", "node_procs_running", Kind::gauge, "Processes that run or could."},
      Figure{"procs_blocked", "node_procs_blocked", Kind::gauge, "Processes that wait for I/O."}};
  const auto text = look.proc.text("stat", look.room);
  if (!text) return false;
  for (auto rest = *text; !rest.empty();) {
    auto line = take_line(rest);
    const auto field = take_word(line);
    const auto* const figure = std::ranges::find(figures, field, &Figure::field);
    const auto value = figure != figures.end() ? count_of(take_word(line)) : std::nullopt;
    if (value) look.page.family(figure->name, figure->kind, figure->help).add(*value);
  }
  return true;
}

bool collect_loadavg(Look& look) {
  static constexpr std::array<std::string_view, 3> names = {"node_load1", "node_load5", "node_load15"};
  const auto text = look.proc.text("loadavg", look.room);
  auto rest = text.value_or("");
  for (const auto name : names) {
    const auto load = real_of(take_word(rest));
    if (!load) return false;
    look.page.gauge(name, "Load average of so many minutes.").add(*load);
  }
  return true;
}

bool collect_filefd(Look& look) {
  const auto text = look.proc.attribute("sys/fs/file-nr");  // "1504\t0\t9223372036854775807"
  std::string_view rest = text ? *text : std::string_view();
  const auto allocated = count_of(take_word(rest));
  static_cast<void>(take_word(rest));
  const auto most = count_of(take_word(rest));
  if (!allocated || !most) return false;
  look.page.gauge("node_filefd_allocated", "Open files of the whole machine.").add(*allocated);
  look.page.gauge("node_filefd_maximum", "How many files may be open on the whole machine.").add(*most);
  return true;
}

bool collect_entropy(Look& look) {
  const auto available = look.proc.number("sys/kernel/random/entropy_avail"), size = look.proc.number("sys/kernel/random/poolsize");
  if (available) look.page.gauge("node_entropy_available_bits", "Entropy that is there.").add(*available);
  if (size) look.page.gauge("node_entropy_pool_size_bits", "Entropy that there is room for.").add(*size);
  return available && size;
}

bool collect_kernel_hung(Look& look) {
  const auto count = look.proc.number("sys/kernel/hung_task_detect_count");
  if (count) look.page.counter("node_kernel_hung_tasks_total", "Tasks that were found to hang since the machine was booted.").add(*count);
  return count.has_value();
}

bool collect_selinux(Look& look) {
  const auto selinux = look.sys.sub("fs/selinux");
  const auto enforce = selinux.number("enforce");
  look.page.gauge("node_selinux_enabled", "Whether SELinux is enabled.").add(enforce ? 1 : 0);
  if (enforce) look.page.gauge("node_selinux_current_mode", "Whether SELinux enforces its policy.").add(*enforce);
  return true;
}

bool collect_uname(Look& look) {
  struct utsname name{};
  if (::uname(&name) != 0) return false;
  look.page.gauge("node_uname_info", "What uname(2) says, always 1.")
      .add(1, {{"sysname", name.sysname},
               {"release", name.release},
               {"version", name.version},
               {"machine", name.machine},
               {"nodename", name.nodename},
               {"domainname", name.domainname}});
  return true;
}

bool collect_os(Look& look) {
  const Folder etc(look.roots.at("/etc")), lib(look.roots.at("/usr/lib"));
  auto text = etc.text("os-release", look.room);
  if (!text) text = lib.text("os-release", look.room);
  if (!text) return false;
  const auto fields = facts::parse_assignments(*text);
  const auto of = [&](const char* field) {
    const auto found = fields.find(field);
    return found != fields.end() ? std::string_view(found->second) : std::string_view();
  };
  look.page.gauge("node_os_info", "What os-release says, always 1.")
      .add(1, {{"build_id", of("BUILD_ID")},
               {"id", of("ID")},
               {"id_like", of("ID_LIKE")},
               {"image_id", of("IMAGE_ID")},
               {"image_version", of("IMAGE_VERSION")},
               {"name", of("NAME")},
               {"pretty_name", of("PRETTY_NAME")},
               {"variant", of("VARIANT")},
               {"variant_id", of("VARIANT_ID")},
               {"version", of("VERSION")},
               {"version_codename", of("VERSION_CODENAME")},
               {"version_id", of("VERSION_ID")}});
  // Its first two numbers: "24.04" of "24.04.1".
  const auto whole = of("VERSION_ID");
  const auto first = whole.substr(0, whole.find_first_not_of("0123456789"));
  const auto second = whole.substr(std::min(first.size() + 1, whole.size()));
  std::string version(first);
  if (whole.substr(first.size()).starts_with('.'))
    version.append(".").append(second.substr(0, second.find_first_not_of("0123456789"))).append("0");
  if (const auto number = first.empty() ? std::nullopt : real_of(version); number && *number > 0)
    look.page.gauge("node_os_version", "The first two numbers of the system's version.")
        .add(*number, {{"id", of("ID")}, {"id_like", of("ID_LIKE")}, {"name", of("NAME")}});
  return true;
}

}  // namespace cloudos::metrics
