// Sensors: what node_exporter makes of /sys/class/hwmon (Documentation/hwmon/sysfs-interface.rst).
#include <algorithm>
#include <cmath>
#include <limits>

#include "agent/metrics/collectors.hpp"
#include "core/base/text.hpp"

namespace cloudos::metrics {
namespace {

using Elements = std::map<std::string, std::string, std::less<>>;  // "input" -> "36000"; "" where the file has no "_"
using Sensors = std::map<std::string, Elements, std::less<>>;      // "temp1"

// A part of a metric's name, or a label that looks like one: lower case, and "_" for what cannot be in it.
std::string clean(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    out += (lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9') || lower == ':' || lower == '_' ? lower : '_';
  }
  const auto first = out.find_first_not_of('_');
  return first == std::string::npos ? "" : out.substr(first, out.find_last_not_of('_') - first + 1);
}

// "temp1_crit_alarm" is sensor 1 of type "temp", element "crit_alarm".
struct FileName {
  std::string type, sensor, element;
};
std::optional<FileName> parse_name(std::string_view name) {
  static constexpr std::array types = {"vrm",  "beep_enable", "update_interval", "in",     "cpu",      "fan",       "pwm",
                                       "temp", "curr",        "power",           "energy", "humidity", "intrusion", "freq"};
  const auto digit = std::min(name.find_first_of("0123456789"), name.size());
  const auto type = name.substr(0, digit);
  auto rest = name.substr(digit);
  const auto number = rest.substr(0, rest.find_first_not_of("0123456789"));
  rest.remove_prefix(number.size());
  if (!std::ranges::contains(types, type) || (!rest.empty() && (rest[0] != '_' || rest.size() == 1))) return std::nullopt;
  FileName out{.type = std::string(type), .sensor = {}, .element = std::string(rest.empty() ? rest : rest.substr(1))};
  const auto value = number.empty() ? std::optional<std::uint64_t>(0) : count_of(number);
  if (!value) return std::nullopt;
  out.sensor = out.type + std::to_string(*value);
  return out;
}

void read_sensors(const Folder& folder, Sensors& out) {
  for (const auto& file : folder.names(true)) {
    const auto name = parse_name(file);
    if (!name) continue;
    if (auto value = folder.attribute(file)) out[name->sensor][name->element] = std::move(*value);
  }
}

// The rest of a metric's name and what the value is multiplied with.
struct Unit {
  std::string_view suffix;
  double scale = 1;
  Kind kind = Kind::gauge;
};
Unit unit_of(std::string_view type, std::string_view element) {
  if (element == "fault" || element == "alarm") return {.suffix = ""};
  if (element == "beep") return {.suffix = "_enabled"};
  if (type == "in" || type == "cpu") return {.suffix = "_volts", .scale = 0.001};
  if (type == "temp" && element != "type") return {.suffix = "_celsius", .scale = 0.001};
  if (type == "curr") return {.suffix = "_amps", .scale = 0.001};
  if (type == "energy") return {.suffix = "_joule_total", .scale = 1e-6, .kind = Kind::counter};
  if (type == "power" && element == "accuracy") return {.suffix = "", .scale = 1e-6};
  if (type == "power" && element.starts_with("average_interval")) return {.suffix = "_seconds", .scale = 0.001};
  if (type == "power") return {.suffix = "_watt", .scale = 1e-6};
  if (type == "humidity") return {.suffix = "", .scale = 1e-6};
  if (type == "fan" && (element == "input" || element == "min" || element == "max" || element == "target")) return {.suffix = "_rpm"};
  return {.suffix = ""};
}

double scaled(double value, double scale) {
  // Divided rather than multiplied where that is exact, so that 43 is not 43.00000000000001.
  return scale == 1e-6 ? value / 1e6 : value * scale;
}

struct Sensor {
  std::string_view chip, name, type;
};

// Those that are one value without elements. Whether this was one.
bool tell_plain(Page& page, const Sensor& sensor, const Elements& elements) {
  const Labels labels = {{"chip", sensor.chip}, {"sensor", sensor.name}};
  constexpr auto nan = std::numeric_limits<double>::quiet_NaN();
  const auto plain = elements.find("");
  const double value = plain != elements.end() ? real_of(plain->second).value_or(nan) : nan;
  if (sensor.type == "beep_enable") page.gauge("node_hwmon_beep_enabled", "Whether the chip beeps.").add(value == 1 ? 1 : 0, labels);
  else if (sensor.type == "vrm" && !std::isnan(value))
    page.gauge("node_hwmon_voltage_regulator_version", "Version of the voltage regulator.").add(value, labels);
  else if (sensor.type == "update_interval" && !std::isnan(value))
    page.gauge("node_hwmon_update_interval_seconds", "How often the chip takes new values.").add(value * 0.001, labels);
  return sensor.type == "beep_enable" || sensor.type == "vrm" || sensor.type == "update_interval";
}

void tell_sensor(Page& page, const Sensor& sensor, const Elements& elements) {
  const Labels labels = {{"chip", sensor.chip}, {"sensor", sensor.name}};
  const auto label = elements.find("label");
  if (label != elements.end())
    page.gauge("node_hwmon_sensor_label", "What the sensor is called, always 1.")
        .add(1, {{"chip", sensor.chip}, {"sensor", sensor.name}, {"label", label->second}});
  if (tell_plain(page, sensor, elements)) return;
  for (const auto& [element, text] : elements) {
    const auto value = element == "label" ? std::nullopt : real_of(text);
    if (!value) continue;
    auto name = "node_hwmon_" + std::string(sensor.type);
    if (element == "input") name += elements.contains("") ? "_input" : "";
    else if (!element.empty()) name += "_" + clean(element);
    if (sensor.type == "freq" && element == "input") {
      if (label == elements.end()) continue;
      page.gauge(name + "_freq_mhz", "Frequency of the GPU.").add(*value / 1e6, {{"chip", sensor.chip}, {"sensor", clean(label->second)}});
      continue;
    }
    const auto unit = unit_of(sensor.type, element);
    name += unit.suffix;
    page.family(name, unit.kind, "A sensor's value.").add(scaled(*value, unit.scale), labels);
  }
}

struct Chip {
  std::string folder, device, name;  // "hwmon0", "platform_coretemp_0", "coretemp"
};

// A name that stays when drivers load in another order: where its device is; else what it calls itself.
std::string device_of(const Folder& chips, const std::string& folder, std::string_view name) {
  const auto device = chips.real(folder + "/device");
  if (!device.empty()) {
    const auto own = clean(device.filename().string()), parent = clean(device.parent_path().filename().string());
    if (!own.empty()) return parent.empty() ? own : parent + "_" + own;
  }
  if (const auto cleaned = clean(name); !cleaned.empty()) return cleaned;
  return clean(chips.real(folder).filename().string());
}

std::vector<Chip> chips_of(const Folder& chips) {
  std::vector<Chip> out;
  for (const auto& folder : chips.names(false)) {
    auto name = chips.attribute(folder + "/name").value_or("");
    if (auto device = device_of(chips, folder, name); !device.empty()) out.push_back({folder, std::move(device), std::move(name)});
  }
  // Several chips of one device are told apart by their own names, or where they have the same one, by their numbers.
  auto apart = out;
  for (auto& chip : apart) {
    const auto same_device = std::ranges::count(out, chip.device, &Chip::device);
    if (same_device < 2) continue;
    const auto same = std::ranges::count_if(out, [&](const Chip& other) { return other.device == chip.device && other.name == chip.name; });
    const auto own = clean(chip.name);
    chip.device += "_" + (own.empty() || same > 1 ? clean(chip.folder) : own);
  }
  return apart;
}

}  // namespace

bool collect_hwmon(Look& look) {
  const auto folder = look.sys.sub("class/hwmon");
  if (!folder.there()) return false;
  for (const auto& chip : chips_of(folder)) {
    const auto own = folder.sub(chip.folder);
    Sensors sensors;
    read_sensors(own, sensors);
    read_sensors(own.sub("device"), sensors);
    if (const auto name = clean(chip.name); !name.empty())
      look.page.gauge("node_hwmon_chip_names", "What the chip calls itself, always 1.")
          .add(1, {{"chip", chip.device}, {"chip_name", name}});
    for (const auto& [name, elements] : sensors) {
      const auto type = std::string_view(name).substr(0, name.find_first_of("0123456789"));
      tell_sensor(look.page, {.chip = chip.device, .name = name, .type = type}, elements);
    }
  }
  return true;
}

}  // namespace cloudos::metrics
