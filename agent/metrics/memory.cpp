#include "agent/metrics/collectors.hpp"

namespace cloudos::metrics {
namespace {

// "node_memory_" + "Active(anon)" + "_bytes": as node_exporter writes the fields of proc_meminfo(5).
void append_field(std::string& out, std::string_view field) {
  for (const char c : field) {
    if (c == '(') out += '_';
    else if (c != ')') out += c;
  }
}

}  // namespace

bool collect_meminfo(Look& look) {
  const auto text = look.proc.text("meminfo", look.room);
  if (!text) return false;
  std::string name;
  for (auto rest = *text; !rest.empty();) {
    auto line = take_line(rest);
    auto field = take_word(line);
    if (!field.ends_with(':')) continue;
    field.remove_suffix(1);
    const auto value = count_of(take_word(line));
    if (!value) continue;
    const bool kilobytes = take_word(line) == "kB";
    // Of the lines without a unit node_exporter has those on huge pages, which are counts.
    name = "node_memory_";
    append_field(name, field);
    if (kilobytes) name += "_bytes";
    else if (!field.starts_with("HugePages_")) continue;
    look.page.gauge(name, "Memory information field of /proc/meminfo.").add(kilobytes ? *value * 1024 : *value);
  }
  return true;
}

bool collect_vmstat(Look& look) {
  const auto text = look.proc.text("vmstat", look.room);
  if (!text) return false;
  std::string name;
  for (auto rest = *text; !rest.empty();) {
    auto line = take_line(rest);
    const auto field = take_word(line);
    // node_exporter's default: "^(oom_kill|pgpg|pswp|pg.*fault).*".
    const bool wanted = field.starts_with("oom_kill") || field.starts_with("pgpg") || field.starts_with("pswp") ||
                        (field.starts_with("pg") && field.contains("fault"));
    const auto value = wanted ? count_of(take_word(line)) : std::nullopt;
    if (!value) continue;
    name = "node_vmstat_";
    name += field;
    look.page.family(name, Kind::untyped, "A field of /proc/vmstat.").add(*value);
  }
  return true;
}

bool collect_pressure(Look& look) {
  struct Figure {
    const char* file;
    std::string_view line, name, help;
  };
  static constexpr std::array figures = {
      Figure{"pressure/cpu", "some", "node_pressure_cpu_waiting_seconds_total", "Seconds that processes waited for a CPU."},
      Figure{"pressure/io", "some", "node_pressure_io_waiting_seconds_total", "Seconds that processes waited for I/O."},
      Figure{"pressure/io", "full", "node_pressure_io_stalled_seconds_total", "Seconds that no process could go on for I/O."},
      Figure{"pressure/memory", "some", "node_pressure_memory_waiting_seconds_total", "Seconds that processes waited for memory."},
      Figure{"pressure/memory", "full", "node_pressure_memory_stalled_seconds_total", "Seconds that no process could go on for memory."},
      Figure{"pressure/irq", "full", "node_pressure_irq_stalled_seconds_total", "Seconds that no process could go on for interrupts."}};
  bool found = false;
  for (const auto& figure : figures) {
    const auto text = look.proc.text(figure.file, look.room);
    for (auto rest = text.value_or(""); !rest.empty();) {
      auto line = take_line(rest);
      if (take_word(line) != figure.line) continue;
      // "some avg10=0.00 avg60=0.00 avg300=0.00 total=0", in microseconds.
      const auto at = line.find("total=");
      const auto total = at != std::string_view::npos ? count_of(line.substr(at + 6)) : std::nullopt;
      if (!total) continue;
      look.page.counter(figure.name, figure.help).add(static_cast<double>(*total) / 1000.0 / 1000.0);
      found = true;
    }
  }
  return found;
}

}  // namespace cloudos::metrics
