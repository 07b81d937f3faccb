#include <sys/timex.h>

#include <chrono>
#include <ctime>

#include "agent/metrics/collectors.hpp"

namespace cloudos::metrics {

bool collect_time(Look& look) {
  const auto now = std::chrono::system_clock::now();
  look.page.gauge("node_time_seconds", "The machine's clock, in seconds since 1970.")
      .add(std::chrono::duration<double>(now.time_since_epoch()).count());
  const auto seconds = std::chrono::system_clock::to_time_t(now);
  std::tm local{};
  if (::localtime_r(&seconds, &local) != nullptr)
    look.page.gauge("node_time_zone_offset_seconds", "How far the machine's time zone is from UTC.")
        .add(local.tm_gmtoff, {{"time_zone", local.tm_zone}});
  auto& available = look.page.gauge("node_time_clocksource_available_info", "Sources that the kernel can take the time from, always 1.");
  auto& current = look.page.gauge("node_time_clocksource_current_info", "The source that the kernel takes the time from, always 1.");
  const auto sources = look.sys.sub("devices/system/clocksource");
  for (const auto& name : sources.numbered("clocksource")) {
    const auto device = std::string_view(name).substr(std::string_view("clocksource").size());
    const auto source = sources.sub(name);
    const auto names = source.attribute("available_clocksource").value_or("");
    for (std::string_view rest = names; !rest.empty();)
      if (const auto word = take_word(rest); !word.empty()) available.add(1, {{"device", device}, {"clocksource", word}});
    if (const auto used = source.attribute("current_clocksource")) current.add(1, {{"device", device}, {"clocksource", *used}});
  }
  return true;
}

bool collect_timex(Look& look) {
  struct timex clock{};
  // With no mode set it changes nothing and needs no right; a filter of system calls may still refuse it.
  const int state = ::adjtimex(&clock);
  if (state < 0) return false;
  constexpr double parts = 1e6 * 65536;  // adjtimex(2), NOTES: frequencies are ppm with 16 bits of fraction
  const bool fine = (clock.status & STA_NANO) != 0;
  const auto offset = [&](long value) { return static_cast<double>(value) / (fine ? 1e9 : 1e6); };
  const auto gauge = [&](std::string_view name, std::string_view help, auto value) { look.page.gauge(name, help).add(value); };
  const auto counter = [&](std::string_view name, std::string_view help, auto value) { look.page.counter(name, help).add(value); };
  gauge("node_timex_sync_status", "Whether the clock is synchronised to a reliable server.", state == TIME_ERROR ? 0 : 1);
  gauge("node_timex_offset_seconds", "How far the clock is from the reference.", offset(clock.offset));
  gauge("node_timex_frequency_adjustment_ratio", "By which the clock's frequency is corrected.",
        1 + static_cast<double>(clock.freq) / parts);
  gauge("node_timex_maxerror_seconds", "The greatest error that the clock can have.", static_cast<double>(clock.maxerror) / 1e6);
  gauge("node_timex_estimated_error_seconds", "The error that the clock probably has.", static_cast<double>(clock.esterror) / 1e6);
  gauge("node_timex_status", "The clock's status bits.", clock.status);
  gauge("node_timex_loop_time_constant", "Time constant of the phase-locked loop.", clock.constant);
  gauge("node_timex_tick_seconds", "Seconds between ticks of the clock.", static_cast<double>(clock.tick) / 1e6);
  gauge("node_timex_pps_frequency_hertz", "Frequency of the pulse per second.", static_cast<double>(clock.ppsfreq) / parts);
  gauge("node_timex_pps_jitter_seconds", "Jitter of the pulse per second.", offset(clock.jitter));
  gauge("node_timex_pps_shift_seconds", "Interval of the pulse per second.", clock.shift);
  gauge("node_timex_pps_stability_hertz", "Stability of the pulse per second.", static_cast<double>(clock.stabil) / parts);
  counter("node_timex_pps_jitter_total", "Times that the jitter of the pulse per second was too great.", clock.jitcnt);
  counter("node_timex_pps_calibration_total", "Calibration intervals of the pulse per second.", clock.calcnt);
  counter("node_timex_pps_error_total", "Calibration errors of the pulse per second.", clock.errcnt);
  counter("node_timex_pps_stability_exceeded_total", "Times that the stability of the pulse per second was too bad.", clock.stbcnt);
  gauge("node_timex_tai_offset_seconds", "How far International Atomic Time is ahead.", clock.tai);
  return true;
}

}  // namespace cloudos::metrics
