#include "tests/unit/metrics/server.hpp"

#include <catch2/catch_test_macros.hpp>

#include "core/base/text.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::test {
namespace {

namespace fs = std::filesystem;

// "==> PATH <==" and the file's lines, or "==> PATH -> TARGET <==" of a link.
void lay(const fs::path& root, std::string_view heading, const std::string& content) {
  const auto arrow = heading.find(" -> ");
  const auto path = root / heading.substr(0, arrow);
  fs::create_directories(path.parent_path());
  if (arrow != std::string_view::npos) fs::create_symlink(heading.substr(arrow + 4), path);
  else REQUIRE(os::write_atomic(path, content, 0644));
}

}  // namespace

Server::Server() {
  const auto tree = os::read(fs::path(CLOUDOS_SOURCE_DIR) / "tests/unit/metrics/fixtures/server.tree");
  REQUIRE(tree);
  std::string heading, content;
  for (const auto& text : split(*tree, '\n')) {
    if (text.starts_with("==> ") && text.ends_with(" <==")) {
      if (!heading.empty()) lay(root(), heading, content);
      heading = text.substr(4, text.size() - 8);
      content.clear();
    } else {
      content += text + "\n";
    }
  }
  lay(root(), heading, content);
}

metrics::Options Server::options() const {
  return {.roots = {.root = root(), .procfs = root() / "proc", .sysfs = root() / "sys", .devfs = root() / "dev"},
          .statvfs = [](const std::string&, struct statvfs& out) {
            out.f_frsize = 4096, out.f_blocks = 1000, out.f_bfree = 300, out.f_bavail = 250, out.f_files = 100, out.f_ffree = 40;
            return 0;
          }};
}

halves::Report a_report() {
  halves::Report report;
  report.conditions = {{.type = "DiskFilling", .status = true, .reason = "Filling", .message = "", .since_ms = 0},
                       {.type = "ClockSkewed", .status = false, .reason = "", .message = "", .since_ms = 0}};
  report.problems = {{.type = "DiskFilling", .subject = "/var/\"lib\"", .reason = "Filling"}};
  report.lost = 2;
  return report;
}

halves::Figures some_figures() {
  halves::Figures figures;
  model::Usage::Gpu second{
      .address = "0000:af:00.0", .vendor = "nvidia", .device = "10de:2330", .model = "NVIDIA H100", .driver = "nvidia"};
  second.busy_percent = 97, second.temperature = 64, second.power_mw = 650500, second.memory = 80_GiB, second.memory_used = 20_GiB;
  const model::Usage::Gpu first{
      .address = "0000:18:00.0", .vendor = "nvidia", .device = "10de:2330", .model = "NVIDIA H100", .driver = "nvidia"};
  const model::Usage::Gpu other{.address = "0000:0b:00.0", .vendor = "amd", .device = "1002:74a1", .model = "MI300X", .driver = "amdgpu"};
  figures.gpus = {second, other, first};
  figures.gpu_errors = {
      {.uuid = "GPU-2", .address = "0000:af:00.0", .last_xid = 79, .ecc_corrected = 3, .ecc_uncorrected = 1, .healthy = false}};
  figures.sync_p99_seconds = {{"/var/lib/etcd", 0.0042}};
  figures.certificates = {{"/etc/kubernetes/pki/apiserver.crt", 1900000000}};
  figures.restarts = {{"kubelet.service", 2}};
  figures.devices = {{"nvidia.com/gpu", {{"healthy", 7}, {"unhealthy", 1}}}};
  return figures;
}

std::vector<std::string> lines(const std::string& text, std::string_view beginning) {
  auto out = split(text, '\n');
  std::erase_if(out, [&](const std::string& line) { return !line.starts_with(beginning); });
  return out;
}

std::string line(const std::string& text, std::string_view beginning) {
  auto found = lines(text, beginning);
  INFO(beginning << " in\n" << text);
  REQUIRE(found.size() == 1);
  return found.front();
}

}  // namespace cloudos::test
