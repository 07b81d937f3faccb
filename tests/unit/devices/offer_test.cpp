#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <format>
#include <fstream>
#include <nlohmann/json.hpp>

#include "agent/devices/cdi.hpp"
#include "agent/devices/vendors.hpp"
#include "core/os/file/file.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace cloudos;
using namespace cloudos::devices;
using Json = nlohmann::json;

namespace {

struct Machine {
  test::TemporaryFolder folder;
  Options options{.devfs = folder / "dev", .sysfs = folder / "sys", .procfs = folder / "proc", .cdi = folder / "cdi"};
  void file(const std::string& path, const std::string& text = "") const { REQUIRE(os::write_atomic(folder / path, text, 0644)); }
  [[nodiscard]] Json spec(const std::string& vendor) const { return Json::parse(*os::read(options.cdi / ("cloudos-" + vendor + ".json"))); }
};

nvml::Gpu gpu(unsigned minor, bool mig = false, std::vector<nvml::MigInstance> instances = {}) {
  return {.uuid = std::format("GPU-{}", minor),
          .name = "NVIDIA A100",
          .pci_bus = std::format("0000:{:02x}:00.0", 0x18 + minor),
          .minor = minor,
          .mig_capable = true,
          .mig_enabled = mig,
          .instances = std::move(instances)};
}
nvml::MigInstance instance(const std::string& uuid, const std::string& profile, unsigned gi = 1) {
  return {.uuid = uuid, .profile = profile, .gpu_instance = gi, .compute_instance = 0};
}

std::vector<std::string> names(const Vendor& vendor) {
  std::vector<std::string> out;
  for (const auto& resource : vendor.resources) out.push_back(std::format("{}:{}", resource.name, resource.units.size()));
  std::ranges::sort(out);
  return out;
}

}  // namespace

TEST_CASE("each GPU is a device with its NUMA node, and the driver's nodes go into every container") {
  const Machine m;
  for (const auto* node : {"dev/nvidia0", "dev/nvidia1", "dev/nvidiactl", "dev/nvidia-uvm", "dev/dri/renderD128"}) m.file(node);
  m.file("sys/bus/pci/devices/0000:18:00.0/numa_node", "1\n");
  m.file("sys/bus/pci/devices/0000:19:00.0/numa_node", "-1\n");
  std::filesystem::create_directories(m.folder / "sys/bus/pci/devices/0000:18:00.0/drm/renderD128");
  const auto vendor = offer_nvidia({.driver = "570", .gpus = {gpu(0), gpu(1)}}, {}, m.options);
  REQUIRE(vendor.resources.size() == 1);
  const auto& resource = vendor.resources[0];
  CHECK(resource.name == "nvidia.com/gpu");
  REQUIRE(resource.units.size() == 2);
  CHECK(resource.units[0].numa == 1);
  CHECK_FALSE(resource.units[1].numa);
  REQUIRE(write_spec(vendor.spec, "nvidia", m.options.cdi, m.options.devfs));
  const auto spec = m.spec("nvidia");
  CHECK(spec["cdiVersion"] == "0.6.0");
  CHECK(spec["kind"] == "cloudos.local/nvidia");
  CHECK(spec["devices"][0]["name"] == "GPU-0");
  const auto& nodes = spec["devices"][0]["containerEdits"]["deviceNodes"];
  REQUIRE(nodes.size() == 2);
  CHECK(nodes[0]["path"] == "/dev/nvidia0");
  CHECK(nodes[0]["hostPath"] == (m.folder / "dev/nvidia0").string());
  CHECK(nodes[1]["path"] == "/dev/dri/renderD128");
  CHECK(spec["containerEdits"]["deviceNodes"].size() == 2);
}

TEST_CASE("the driver's libraries are found by programs in any image, graphics' and others' stay out") {
  const Machine m;
  const auto folder = m.folder / "usr/lib64";
  for (const auto* name : {"libcuda.so.570.1", "libnvidia-ml.so.570.1", "libGLX_nvidia.so.570.1", "libz.so.1"})
    m.file(std::string("usr/lib64/") + name);
  std::filesystem::create_symlink("libcuda.so.570.1", folder / "libcuda.so.1");
  std::filesystem::create_symlink("nowhere", folder / "libnvidia-nvvm.so.4");
  m.file("usr/bin/nvidia-smi");
  const auto all = offer_nvidia({.driver = "570.1", .gpus = {gpu(0)}}, folder, m.options).spec.all;
  const auto has = [&](const std::string& file, const std::string& there) {
    return std::ranges::contains(all.mounts, std::pair((m.folder / file).string(), there));
  };
  CHECK(has("usr/lib64/libcuda.so.570.1", "/usr/lib64/libcuda.so.1"));
  CHECK(has("usr/lib64/libcuda.so.570.1", "/usr/lib64/libcuda.so.570.1"));
  CHECK(has("usr/lib64/libnvidia-ml.so.570.1", "/usr/lib64/libnvidia-ml.so.570.1"));
  CHECK(has("usr/bin/nvidia-smi", "/usr/bin/nvidia-smi"));
  CHECK(all.mounts.size() == 7);
}

TEST_CASE("MIG strategies offer what NVIDIA's plugin would") {
  Machine m;
  const nvml::Inventory mixed{
      .driver = "1",
      .gpus = {gpu(0), gpu(1, true, {instance("MIG-1", "1g.5gb"), instance("MIG-2", "1g.5gb", 2), instance("MIG-3", "2g.10gb")})}};
  CHECK(names(offer_nvidia(mixed, {}, m.options)) == std::vector<std::string>{"nvidia.com/gpu:2"});
  m.options.mig = MigStrategy::mixed;
  CHECK(names(offer_nvidia(mixed, {}, m.options)) ==
        std::vector<std::string>{"nvidia.com/gpu:1", "nvidia.com/mig-1g.5gb:2", "nvidia.com/mig-2g.10gb:1"});
  m.options.mig = MigStrategy::single;
  CHECK(names(offer_nvidia(mixed, {}, m.options)) == std::vector<std::string>{"nvidia.com/gpu:1"});
  CHECK(offer_nvidia(mixed, {}, m.options).remarks.size() == 1);
  const nvml::Inventory alike{.driver = "1", .gpus = {gpu(0, true, {instance("MIG-1", "1g.5gb"), instance("MIG-2", "1g.5gb", 2)})}};
  const auto single = offer_nvidia(alike, {}, m.options);
  CHECK(names(single) == std::vector<std::string>{"nvidia.com/gpu:2"});
  CHECK(single.resources[0].units[0].id == "MIG-1");
  CHECK(single.resources[0].units[0].card == "GPU-0");
}

TEST_CASE("a MIG instance comes with the capability nodes that open it") {
  Machine m;
  m.options.mig = MigStrategy::mixed;
  m.file("proc/driver/nvidia/capabilities/gpu0/mig/gi7/access", "DeviceFileMinor: 66\nDeviceFileMode: 292\nDeviceFileModify: 1\n");
  m.file("proc/driver/nvidia/capabilities/gpu0/mig/gi7/ci0/access", "DeviceFileMinor: 67\nDeviceFileMode: 292\nDeviceFileModify: 1\n");
  const auto vendor = offer_nvidia({.driver = "1", .gpus = {gpu(0, true, {instance("MIG-1", "1g.5gb", 7)})}}, {}, m.options);
  CHECK(vendor.spec.devices[0].second.nodes == std::vector<std::string>{"nvidia0", "nvidia-caps/nvidia-cap66", "nvidia-caps/nvidia-cap67"});
}

TEST_CASE("time slicing offers each GPU several times under ids that kubelet takes") {
  Machine m;
  m.options.replicas = {{"nvidia.com/gpu", 4}};
  auto one = gpu(0);
  one.uuid = "GPU-fef8089b-4820-abfc-e83e-94318197576e";
  const auto vendor = offer_nvidia({.driver = "1", .gpus = {one}}, {}, m.options);
  REQUIRE(vendor.resources[0].units.size() == 4);
  CHECK(vendor.resources[0].units[3].id == "GPU-fef8089b-4820-abfc-e83e-94318197576e::3");
  CHECK(vendor.resources[0].units[3].id.size() <= 63);
  CHECK(vendor.resources[0].units[3].device == one.uuid);
  CHECK(vendor.spec.devices.size() == 1);
  m.options.rename_shared = true;
  CHECK(offer_nvidia({.driver = "1", .gpus = {one}}, {}, m.options).resources[0].name == "nvidia.com/gpu.shared");
}

TEST_CASE("links, direct and through others, make islands") {
  const Machine m;
  std::vector<nvml::Gpu> gpus = {gpu(0), gpu(1), gpu(2), gpu(3), gpu(4)};
  gpus[0].linked = {"0000:19:00.0"};                  // 0-1
  gpus[1].linked = {"0000:18:00.0", "0000:1a:00.0"};  // 1-2
  gpus[2].linked = {"0000:19:00.0"};
  gpus[3].linked = {"fabric"};
  const auto units = offer_nvidia({.driver = "1", .gpus = gpus}, {}, m.options).resources[0].units;
  CHECK_FALSE(units[0].island.empty());
  CHECK(units[0].island == units[1].island);
  CHECK(units[1].island == units[2].island);
  CHECK(units[3].island != units[0].island);
  CHECK(units[4].island.empty());
}

TEST_CASE("AMD's and Intel's GPUs are offered from sysfs under their vendors' names") {
  const Machine m;
  const auto card = [&](const std::string& render, const std::string& name, const std::string& vendor, const std::string& driver,
                        const std::string& bus) {
    const auto at = "sys/class/drm/" + render + "/device/";
    m.file(at + "vendor", vendor + "\n");
    m.file(at + "uevent", "DRIVER=" + driver + "\nPCI_CLASS=38000\nPCI_SLOT_NAME=" + bus + "\n");
    m.file(at + "numa_node", "0\n");
    std::filesystem::create_directories(m.folder / (at + "drm/" + name));
    m.file("dev/dri/" + render);
    m.file("dev/dri/" + name);
  };
  card("renderD128", "card0", "0x1002", "amdgpu", "0000:05:00.0");
  card("renderD129", "card1", "0x1002", "amdgpu", "0000:26:00.0");
  card("renderD130", "card2", "0x8086", "xe", "0000:03:00.0");
  card("renderD131", "card3", "0x8086", "vfio-pci", "0000:04:00.0");
  card("renderD132", "card4", "0x1a03", "ast", "0000:06:00.0");
  m.file("dev/kfd");
  m.file("sys/class/kfd/kfd/topology/nodes/1/properties", "simd_count 304\ndrm_render_minor 128\nhive_id 1234\n");
  m.file("sys/class/kfd/kfd/topology/nodes/2/properties", "simd_count 304\ndrm_render_minor 129\nhive_id 1234\n");
  const auto gpus = drm_gpus(m.options);
  REQUIRE(gpus.size() == 3);
  const auto of_amd = offer_drm(amd, gpus, m.options);
  CHECK(names(of_amd) == std::vector<std::string>{"amd.com/gpu:2"});
  CHECK(of_amd.resources[0].units[0].island == "hive 1234");
  CHECK(of_amd.resources[0].units[0].numa == 0);
  CHECK(of_amd.spec.all.nodes == std::vector<std::string>{"kfd"});
  CHECK(of_amd.spec.devices[0].second.nodes == std::vector<std::string>{"dri/card0", "dri/renderD128"});
  CHECK(names(offer_drm(intel, gpus, m.options)) == std::vector<std::string>{"gpu.intel.com/xe:1"});
}

TEST_CASE("a GPU of the kernel's drivers whose node or bus is gone is not fit, and one that sleeps is left asleep") {
  const Machine m;
  const DrmGpu gpu{.vendor = intel, .bus = "0000:03:00.0", .driver = "xe", .render = "renderD128", .card = "card0"};
  CHECK(look_at(gpu, m.options).problem == "/dev/dri/renderD128 is not there");
  m.file("dev/dri/renderD128");
  CHECK(look_at(gpu, m.options).problem.empty());
  m.file("sys/bus/pci/devices/0000:03:00.0/config", std::string("\x86\x80", 2));
  CHECK(look_at(gpu, m.options).problem.empty());
  m.file("sys/bus/pci/devices/0000:03:00.0/config", std::string("\xff\xff", 2));
  CHECK(look_at(gpu, m.options).sure);
  m.file("sys/bus/pci/devices/0000:03:00.0/power/runtime_status", "suspended\n");
  CHECK(look_at(gpu, m.options).problem.empty());
}

TEST_CASE("a vendor without devices leaves no spec behind") {
  const Machine m;
  REQUIRE(write_spec({.kind = "cloudos.local/amd", .devices = {{"a", {}}}}, "amd", m.options.cdi, m.options.devfs));
  CHECK(std::filesystem::exists(m.options.cdi / "cloudos-amd.json"));
  REQUIRE(write_spec({.kind = "cloudos.local/amd"}, "amd", m.options.cdi, m.options.devfs));
  CHECK(std::filesystem::is_empty(m.options.cdi));
}

TEST_CASE("configuration that makes no sense is refused with what would") {
  CHECK(parse_mig_strategy("mixed") == MigStrategy::mixed);
  CHECK(parse_mig_strategy("all").error().hint.contains("single"));
}
