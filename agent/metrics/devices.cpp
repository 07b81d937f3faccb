#include <algorithm>

#include "agent/metrics/collectors.hpp"

namespace cloudos::metrics {

bool collect_thermal_zone(Look& look) {
  const auto folder = look.sys.sub("class/thermal");
  auto& temperature = look.page.gauge("node_thermal_zone_temp", "Temperature of the zone in degrees Celsius.");
  for (const auto& name : folder.numbered("thermal_zone")) {
    const auto zone = folder.sub(name);
    if (const auto value = zone.number("temp"))
      temperature.add(static_cast<double>(*value) / 1000.0,
                      {{"zone", std::string_view(name).substr(12)}, {"type", zone.attribute("type").value_or("")}});
  }
  auto& now = look.page.gauge("node_cooling_device_cur_state", "How far the device cools now.");
  auto& most = look.page.gauge("node_cooling_device_max_state", "How far the device can cool.");
  for (const auto& name : folder.numbered("cooling_device")) {
    const auto device = folder.sub(name);
    const auto type = device.attribute("type");
    const auto current = device.number("cur_state"), greatest = device.number("max_state");
    if (!type || !current || !greatest) continue;
    const auto number = std::string_view(name).substr(14);
    now.add(*current, {{"name", number}, {"type", *type}});
    most.add(*greatest, {{"name", number}, {"type", *type}});
  }
  return true;
}

namespace {

// Of a memory controller: one of its rows of chips, with its channels.
void tell_row(Page& page, const Folder& row, std::string_view controller, std::string_view number) {
  auto& corrected = page.counter("node_edac_csrow_correctable_errors_total", "Memory errors of this row that were corrected.");
  auto& uncorrected = page.counter("node_edac_csrow_uncorrectable_errors_total", "Memory errors of this row that could not be corrected.");
  if (const auto count = row.number("ce_count")) corrected.add(*count, {{"controller", controller}, {"csrow", number}});
  if (const auto count = row.number("ue_count")) uncorrected.add(*count, {{"controller", controller}, {"csrow", number}});
  auto& channel_corrected =
      page.counter("node_edac_channel_correctable_errors_total", "Memory errors of this channel that were corrected.");
  auto& channel_uncorrected =
      page.counter("node_edac_channel_uncorrectable_errors_total", "Memory errors of this channel that could not be corrected.");
  for (const auto& file : row.names(true)) {
    if (!file.starts_with("ch") || !file.ends_with("_ce_count")) continue;
    const auto channel = file.substr(2, file.size() - 11);
    if (!all_digits(channel)) continue;
    // "CPU_SrcID#0_MC#0_Chan#0_DIMM#0" without its number signs, as node_exporter has it.
    auto label = row.attribute("ch" + channel + "_dimm_label").value_or("unknown");
    std::erase(label, '#');
    for (const std::string_view word : {"csrow", "channel"})
      for (auto at = label.find(word); at != std::string::npos; at = label.find(word, at + word.size() + 1)) label.insert(at, "_");
    const Labels labels = {{"controller", controller}, {"csrow", number}, {"channel", channel}, {"dimm_label", label}};
    if (const auto count = row.number(file.c_str())) channel_corrected.add(*count, labels);
    if (const auto count = row.number(("ch" + channel + "_ue_count").c_str())) channel_uncorrected.add(*count, labels);
  }
}

}  // namespace

bool collect_edac(Look& look) {
  struct Figure {
    const char* file;
    std::string_view name, help;
    bool row;  // of errors that are of no known row
  };
  static constexpr std::array figures = {
      Figure{"ce_count", "node_edac_correctable_errors_total", "Memory errors that were corrected.", false},
      Figure{"ue_count", "node_edac_uncorrectable_errors_total", "Memory errors that could not be corrected.", false},
      Figure{"ce_noinfo_count", "node_edac_csrow_correctable_errors_total", "Memory errors of this row that were corrected.", true},
      Figure{"ue_noinfo_count", "node_edac_csrow_uncorrectable_errors_total", "Memory errors of this row that could not be corrected.",
             true}};
  const auto folder = look.sys.sub("devices/system/edac/mc");
  for (const auto& name : folder.numbered("mc")) {
    const auto controller = folder.sub(name);
    const auto number = std::string_view(name).substr(2);
    for (const auto& figure : figures) {
      const auto count = controller.number(figure.file);
      if (!count) continue;
      auto& family = look.page.counter(figure.name, figure.help);
      if (figure.row) family.add(*count, {{"controller", number}, {"csrow", "unknown"}});
      else family.add(*count, {{"controller", number}});
    }
    for (const auto& row : controller.numbered("csrow")) tell_row(look.page, controller.sub(row), number, std::string_view(row).substr(5));
  }
  return true;
}

bool collect_dmi(Look& look) {
  // Serial numbers and the UUID are root's to read (drivers/firmware/dmi-id.c): they are told by a process that is.
  static constexpr std::array<std::string_view, 20> fields = {
      "bios_date",    "bios_release",   "bios_vendor",       "bios_version",   "board_asset_tag", "board_name",      "board_serial",
      "board_vendor", "board_version",  "chassis_asset_tag", "chassis_serial", "chassis_vendor",  "chassis_version", "product_family",
      "product_name", "product_serial", "product_sku",       "product_uuid",   "product_version", "sys_vendor"};
  const auto dmi = look.sys.sub("class/dmi/id");
  std::array<std::string, fields.size()> values;
  std::vector<Label> labels;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    auto value = dmi.attribute(std::string(fields[i]));
    if (!value) continue;
    values[i] = std::move(*value);
    labels.push_back({fields[i] == "sys_vendor" ? "system_vendor" : fields[i], values[i]});
  }
  if (labels.empty()) return false;
  look.page.gauge("node_dmi_info", "What the firmware says of the machine, always 1.").add_one(labels);
  return true;
}

}  // namespace cloudos::metrics
