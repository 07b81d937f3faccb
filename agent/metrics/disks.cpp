#include <algorithm>

#include "agent/metrics/collectors.hpp"

namespace cloudos::metrics {
namespace {

// node_exporter's default: "^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$".
bool left_out(std::string_view device) {
  const auto letters = device.find_last_not_of("0123456789") + 1;
  if (letters == device.size() || letters == 0) return false;
  auto stem = device.substr(0, letters);
  if (stem == "ram" || stem == "zram" || stem == "loop" || stem == "fd") return true;
  if (stem.starts_with("nvme") && stem.ends_with('p')) {
    stem = stem.substr(4, stem.size() - 5);  // "0n1"
    const auto n = stem.find('n');
    return n != std::string_view::npos && all_digits(stem.substr(0, n)) && all_digits(stem.substr(n + 1));
  }
  if (stem.size() < 3 || stem.back() < 'a' || stem.back() > 'z') return false;
  stem.remove_suffix(1);
  return stem == "hd" || stem == "sd" || stem == "vd" || stem == "xvd";
}

struct Figure {
  std::string_view name;
  Kind kind;
  double scale;  // of the kernel's unit; 0: it is a count
  std::string_view help;
};
constexpr double sector = 512, millisecond = 1.0 / 1000.0;
// The columns of /proc/diskstats in their order (Documentation/admin-guide/iostats.rst).
constexpr std::array figures = {
    Figure{"reads_completed_total", Kind::counter, 0, "Reads that were completed."},
    Figure{"reads_merged_total", Kind::counter, 0, "Reads that were merged."},
    Figure{"read_bytes_total", Kind::counter, sector, "Bytes that were read."},
    Figure{"read_time_seconds_total", Kind::counter, millisecond, "Seconds that all reads took."},
    Figure{"writes_completed_total", Kind::counter, 0, "Writes that were completed."},
    Figure{"writes_merged_total", Kind::counter, 0, "Writes that were merged."},
    Figure{"written_bytes_total", Kind::counter, sector, "Bytes that were written."},
    Figure{"write_time_seconds_total", Kind::counter, millisecond, "Seconds that all writes took."},
    Figure{"io_now", Kind::gauge, 0, "Reads and writes that are under way."},
    Figure{"io_time_seconds_total", Kind::counter, millisecond, "Seconds that something was under way."},
    Figure{"io_time_weighted_seconds_total", Kind::counter, millisecond, "Seconds that something was under way, times how much."},
    Figure{"discards_completed_total", Kind::counter, 0, "Discards that were completed."},
    Figure{"discards_merged_total", Kind::counter, 0, "Discards that were merged."},
    Figure{"discarded_sectors_total", Kind::counter, 0, "Sectors that were discarded."},
    Figure{"discard_time_seconds_total", Kind::counter, millisecond, "Seconds that all discards took."},
    Figure{"flush_requests_total", Kind::counter, 0, "Flushes that were completed."},
    Figure{"flush_requests_time_seconds_total", Kind::counter, millisecond, "Seconds that all flushes took."}};

// What udev knows of a device: the lines "E:NAME=value" of its file.
class Properties {
 public:
  explicit Properties(std::string_view text) {
    while (!text.empty()) {
      const auto line = take_line(text);
      const auto equals = line.find('=');
      if (line.starts_with("E:") && equals != std::string_view::npos) values_.emplace(line.substr(2, equals - 2), line.substr(equals + 1));
    }
  }
  [[nodiscard]] std::string_view of(std::string_view name) const {
    const auto found = values_.find(name);
    return found != values_.end() ? std::string_view(found->second) : std::string_view();
  }
  // The first of these that is not empty.
  [[nodiscard]] std::string_view first_of(std::initializer_list<std::string_view> names) const {
    for (const auto name : names)
      if (const auto value = of(name); !value.empty()) return value;
    return {};
  }

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

void tell_properties(Page& page, std::string_view device, const Properties& has) {
  if (!has.of("ID_FS_TYPE").empty())
    page.gauge("node_disk_filesystem_info", "The file system on the disk, always 1.")
        .add(1, {{"device", device},
                 {"type", has.of("ID_FS_TYPE")},
                 {"usage", has.of("ID_FS_USAGE")},
                 {"uuid", has.of("ID_FS_UUID")},
                 {"version", has.of("ID_FS_VERSION")}});
  if (!has.of("DM_NAME").empty())
    page.gauge("node_disk_device_mapper_info", "What device mapper says of the disk, always 1.")
        .add(1, {{"device", device},
                 {"name", has.of("DM_NAME")},
                 {"uuid", has.of("DM_UUID")},
                 {"vg_name", has.of("DM_VG_NAME")},
                 {"lv_name", has.of("DM_LV_NAME")},
                 {"lv_layer", has.of("DM_LV_LAYER")}});
  if (has.of("ID_ATA").empty()) return;
  const auto ata = [&](std::string_view property, std::string_view name, std::string_view help) {
    if (const auto value = real_of(has.of(property))) page.gauge(name, help).add(*value, {{"device", device}});
  };
  ata("ID_ATA_WRITE_CACHE", "node_disk_ata_write_cache", "Whether the ATA disk has a write cache.");
  ata("ID_ATA_WRITE_CACHE_ENABLED", "node_disk_ata_write_cache_enabled", "Whether the ATA disk's write cache is on.");
  ata("ID_ATA_ROTATION_RATE_RPM", "node_disk_ata_rotation_rate_rpm", "How fast the ATA disk turns, 0 when it does not.");
}

}  // namespace

bool collect_diskstats(Look& look) {
  const auto text = look.proc.text("diskstats", look.room);
  if (!text) return false;
  std::array<Family*, figures.size()> families{};
  for (std::size_t i = 0; i < figures.size(); ++i)
    families[i] = &look.page.family("node_disk_" + std::string(figures[i].name), figures[i].kind, figures[i].help);
  auto& info = look.page.gauge("node_disk_info", "What sysfs and udev say of the disk, always 1.");
  const Folder udev(look.roots.at("/run/udev/data"));
  const auto blocks = look.sys.sub("block");
  std::string room;
  for (auto rest = *text; !rest.empty();) {
    auto line = take_line(rest);
    const auto major = take_word(line), minor = take_word(line), device = take_word(line);
    if (device.empty() || left_out(device)) continue;
    const auto file = std::string("b").append(major).append(":").append(minor);
    const Properties has(udev.text(file.c_str(), room).value_or(""));
    const auto rotational = std::string(device) + "/queue/rotational";
    info.add(1, {{"device", device},
                 {"major", major},
                 {"minor", minor},
                 {"path", has.of("ID_PATH")},
                 {"wwn", has.of("ID_WWN")},
                 {"model", has.of("ID_MODEL")},
                 {"serial", has.first_of({"SCSI_IDENT_SERIAL", "ID_SERIAL_SHORT", "ID_SERIAL"})},
                 {"revision", has.of("ID_REVISION")},
                 {"rotational", blocks.number(rotational.c_str()) == 1 ? "1" : "0"}});
    for (std::size_t i = 0; i < figures.size(); ++i) {
      const auto value = count_of(take_word(line));
      if (!value) break;  // older kernels have fewer columns
      if (figures[i].scale == 0) families[i]->add(*value, {{"device", device}});
      else families[i]->add(static_cast<double>(*value) * figures[i].scale, {{"device", device}});
    }
    tell_properties(look.page, device, has);
  }
  return true;
}

bool collect_nvme(Look& look) {
  const auto folder = look.sys.sub("class/nvme");
  if (!folder.there()) return false;
  auto& info = look.page.gauge("node_nvme_info", "What sysfs says of the NVMe controller, always 1.");
  for (const auto& name : folder.names(false)) {
    const auto device = folder.sub(name);
    info.add(1, {{"device", name},
                 {"firmware_revision", device.attribute("firmware_rev").value_or("")},
                 {"model", device.attribute("model").value_or("")},
                 {"serial", device.attribute("serial").value_or("")},
                 {"state", device.attribute("state").value_or("")},
                 {"cntlid", device.attribute("cntlid").value_or("")}});
  }
  return true;
}

}  // namespace cloudos::metrics
