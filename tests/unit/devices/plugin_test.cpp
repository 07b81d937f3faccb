// The plugin against a kubelet of the test: its registry socket, and the calls that it makes, over the real wire.
#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <format>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "agent/devices/devices.hpp"
#include "agent/grpc/grpc.hpp"
#include "agent/wire/wire.hpp"
#include "core/os/file/file.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace cloudos;
using namespace std::chrono_literals;

namespace {

const std::string healthy =
    "driver 570\ncuda 12080\n"
    "gpu uuid=GPU-a name=H100 bus=00000000:18:00.0 minor=0 memory=81559 recovery=0\n"
    "gpu uuid=GPU-b name=H100 bus=00000000:2A:00.0 minor=1 memory=81559 recovery=0\n";

struct Kubelet {
  test::TemporaryFolder folder;
  loop::Loop loop = *loop::Loop::make();
  NullLog log;
  std::vector<devices::Change> changes;
  std::vector<wire::RegisterRequest> registered;
  std::optional<grpc::Server> registry;
  devices::Options options{.devfs = folder / "dev",
                           .sysfs = folder / "sys",
                           .procfs = folder / "proc",
                           .plugins = folder / "plugins",
                           .cdi = folder / "cdi",
                           .nvml = CLOUDOS_NVML_LIBRARY,
                           .timing = {.probe = 100ms, .recover = 300ms, .unreset = 500ms},
                           .on_change = [this](const devices::Change& change) { changes.push_back(change); }};

  Kubelet() {
    ::setenv("CLOUDOS_NVML_STUB", (folder / "gpus").c_str(), 1);
    for (const auto* node : {"dev/nvidia0", "dev/nvidia1", "dev/nvidiactl"}) REQUIRE(os::write_atomic(folder / node, "", 0600));
    say(healthy);
  }
  void say(const std::string& text) const { REQUIRE(os::write_atomic(folder / "gpus", text, 0644)); }

  // As kubelet does at its start: empties its folder, then makes its socket.
  void start() {
    registry.reset();
    std::filesystem::remove_all(options.plugins / "kubelet.sock");
    std::filesystem::create_directories(options.plugins);
    for (const auto& entry : std::filesystem::directory_iterator(options.plugins)) std::filesystem::remove(entry);
    grpc::Service service;
    service.unary["/v1beta1.Registration/Register"] = [this](std::string_view request) -> grpc::Answer {
      registered.push_back(*wire::decode<wire::RegisterRequest>(request));
      return wire::encode(wire::Empty{});
    };
    registry.emplace(*grpc::Server::listen(loop, options.plugins / "kubelet.sock", std::move(service), log));
  }

  template <class F>
  bool until(F so, Milliseconds patience = 10s) {
    const auto end = in(patience);
    while (!so() && std::chrono::steady_clock::now() < end) REQUIRE(loop.step(20ms));
    return so();
  }
  template <class Response, class Request>
  std::expected<Response, grpc::Failure> ask(const std::string& method, const Request& request) {
    std::optional<grpc::Answer> got;
    const auto call = grpc::Call::start(loop, options.plugins / "cloudos-nvidia.sock", "/v1beta1.DevicePlugin/" + method,
                                        wire::encode(request), 5s, [&](grpc::Answer answer) { got = std::move(answer); });
    REQUIRE(until([&] { return got.has_value(); }));
    if (!*got) return std::unexpected(got->error());
    return *wire::decode<Response>(**got);
  }
  std::expected<wire::AllocateResponse, grpc::Failure> allocate(std::vector<std::string> ids) {
    return ask<wire::AllocateResponse>("Allocate", wire::AllocateRequest{{{std::move(ids)}}});
  }
};

}  // namespace

TEST_CASE("kubelet is told of the resource, and an allocation names CDI devices that are in the spec") {
  Kubelet k;
  k.start();
  const auto plugin = devices::Plugin::start(k.loop, k.options, k.log);
  REQUIRE(plugin);
  REQUIRE(k.until([&] { return !k.registered.empty(); }));
  CHECK(k.registered[0] == wire::RegisterRequest{.version = "v1beta1",
                                                 .endpoint = "cloudos-nvidia.sock",
                                                 .resource_name = "nvidia.com/gpu",
                                                 .options = wire::DevicePluginOptions{false, true}});
  const auto given = k.allocate({"GPU-b", "GPU-a"});
  REQUIRE(given);
  REQUIRE(given->containers.size() == 1);
  CHECK(given->containers[0].envs == std::map<std::string, std::string>{{"NVIDIA_VISIBLE_DEVICES", "GPU-b,GPU-a"}});
  CHECK(given->containers[0].cdi_devices == std::vector<wire::CdiDevice>{{"cloudos.local/nvidia=GPU-b"}, {"cloudos.local/nvidia=GPU-a"}});
  const auto spec = nlohmann::json::parse(*os::read(k.options.cdi / "cloudos-nvidia.json"));
  CHECK(spec["kind"] == "cloudos.local/nvidia");
  CHECK(spec["devices"].size() == 2);
  CHECK(k.allocate({"GPU-x"}).error().code == grpc::Code::not_found);
  CHECK(k.ask<wire::DevicePluginOptions>("GetDevicePluginOptions", wire::Empty{}) == wire::DevicePluginOptions{false, true});
  CHECK(k.ask<wire::PreferredResponse>("GetPreferredAllocation", wire::PreferredRequest{{{{"GPU-a", "GPU-b"}, {"GPU-b"}, 1}}}) ==
        wire::PreferredResponse{{{{"GPU-b"}}}});
  CHECK(k.ask<wire::Empty>("PreStartContainer", wire::PreStartRequest{{"GPU-a"}}) == wire::Empty{});
}

TEST_CASE("after each of twenty restarts of kubelet the plugin is back, on a socket that answers") {
  Kubelet k;
  k.start();
  const auto plugin = devices::Plugin::start(k.loop, k.options, k.log);
  REQUIRE(plugin);
  for (std::size_t i = 1; i <= 20; ++i) {
    INFO("start " << i);
    const auto before = k.registered.size();
    if (i > 1) k.start();
    REQUIRE(k.until([&] { return k.registered.size() > before; }));
    REQUIRE(k.allocate({"GPU-a"}));
  }
}

TEST_CASE("a kubelet that is installed after the plugin has started is found") {
  Kubelet k;
  const auto plugin = devices::Plugin::start(k.loop, k.options, k.log);
  REQUIRE(plugin);
  CHECK_FALSE(k.until([&] { return !k.registered.empty(); }, 300ms));
  k.start();
  REQUIRE(k.until([&] { return !k.registered.empty(); }));
  CHECK(k.allocate({"GPU-a"}));
}

TEST_CASE("a kubelet that took the registration and never watches is asked again") {
  Kubelet k;
  k.start();
  const auto plugin = devices::Plugin::start(k.loop, k.options, k.log);
  REQUIRE(plugin);
  CHECK(k.until([&] { return k.registered.size() >= 2; }, 20s));
}

TEST_CASE("a GPU with a bad Xid is refused and reported with one cause, and comes back after its reset") {
  Kubelet k;
  k.start();
  const auto plugin = devices::Plugin::start(k.loop, k.options, k.log);
  REQUIRE(plugin);
  REQUIRE(k.until([&] { return !k.registered.empty(); }));
  auto ill = healthy;
  ill.replace(ill.find("recovery=0"), 10, "recovery=1");
  k.say(ill + "xid gpu=0 number=79\n");
  REQUIRE(k.until([&] { return !k.changes.empty(); }));
  CHECK(k.changes[0].card == "GPU-a");
  CHECK_FALSE(k.changes[0].healthy);
  const auto refused = k.allocate({"GPU-a"});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == grpc::Code::failed_precondition);
  CHECK(refused.error().message.contains(k.changes[0].cause));
  CHECK(k.allocate({"GPU-b"}));
  k.say(healthy + "xid gpu=0 number=79\n");
  REQUIRE(k.until([&] { return k.changes.size() == 2; }));
  CHECK(k.changes[1].healthy);
  CHECK(k.allocate({"GPU-a"}));
}

TEST_CASE("a driver that goes takes all GPUs out of service, and they are back when it is") {
  Kubelet k;
  k.start();
  const auto plugin = devices::Plugin::start(k.loop, k.options, k.log);
  REQUIRE(plugin);
  REQUIRE(k.until([&] { return !k.registered.empty(); }));
  std::filesystem::remove(k.folder / "gpus");
  REQUIRE(k.until([&] { return k.changes.size() == 2; }));
  CHECK_FALSE(k.allocate({"GPU-a"}));
  k.say(healthy);
  // The library is opened anew after its first pause of ten seconds.
  REQUIRE(k.until([&] { return k.changes.size() == 4; }, 25s));
  CHECK(k.allocate({"GPU-a"}));
}

TEST_CASE("one look at the driver tells who is ill, why and what it takes, its figures and what is offered") {
  Kubelet k;
  k.start();
  k.options.replicas = {{"nvidia.com/gpu", 2}};
  const auto plugin = devices::Plugin::start(k.loop, k.options, k.log);
  REQUIRE(plugin);
  CHECK(plugin->cards().empty());
  CHECK(plugin->inventory().error().message == "the driver has not answered yet");
  REQUIRE(k.until([&] { return plugin->cards().size() == 2; }));
  CHECK(plugin->inventory()->gpus.size() == 2);
  CHECK(plugin->offered() == std::map<std::string, devices::Counts>{{"nvidia.com/gpu", {.healthy = 4, .unhealthy = 0}}});
  auto ill = healthy;
  ill.replace(ill.find("recovery=0"), 10, "recovery=1 used=1024 temperature=88 power=650000 busy=97 ecc=2 ecc_corrected=5 throttle=64");
  k.say(ill + "xid gpu=0 number=48\n");
  REQUIRE(k.until([&] { return k.changes.size() == 1 && plugin->cards()[0].last_xid && plugin->cards()[0].busy; }));
  const auto cards = plugin->cards();
  const devices::CardState expected{.uuid = "GPU-a",
                                    .address = "0000:18:00.0",
                                    .vendor = "nvidia",
                                    .model = "H100",
                                    .healthy = false,
                                    .cause = k.changes[0].cause,
                                    .remedy = xid::Remedy::reset,
                                    .answered = true,
                                    .last_xid = 48,
                                    .too_hot = true,
                                    .temperature = 88,
                                    .power = 650'000,
                                    .busy = 97,
                                    .memory_total = Bytes{81559ULL << 20U},
                                    .memory_used = 1_GiB,
                                    .ecc_corrected = 5,
                                    .ecc_uncorrected = 2,
                                    .throttle = {"thermal (hardware)"}};
  CHECK(cards[0] == expected);
  CHECK(cards[1].healthy);
  CHECK_FALSE(cards[1].too_hot);
  CHECK(plugin->offered().at("nvidia.com/gpu") == devices::Counts{.healthy = 2, .unhealthy = 2});
  // A driver that goes takes its figures with it; what there is stays known.
  std::filesystem::remove(k.folder / "gpus");
  REQUIRE(k.until([&] { return !plugin->cards()[1].healthy; }));
  CHECK_FALSE(plugin->cards()[1].answered);
  CHECK_FALSE(plugin->cards()[1].temperature);
  CHECK(plugin->inventory()->gpus.size() == 2);
}

TEST_CASE("GPUs of the kernel's own drivers are told with what sysfs says of them") {
  Kubelet k;
  k.options.nvml.clear();
  const std::string device = "sys/class/drm/renderD128/device/", bus = "sys/bus/pci/devices/0000:c1:00.0/";
  const auto put = [&](const std::string& path, const std::string& text) { REQUIRE(os::write_atomic(k.folder / path, text, 0644)); };
  put(device + "vendor", "0x1002\n");
  put(device + "uevent", "DRIVER=amdgpu\nPCI_SLOT_NAME=0000:c1:00.0\n");
  put(bus + "gpu_busy_percent", "73\n");
  put(bus + "mem_info_vram_total", "68702699520\n");
  put(bus + "mem_info_vram_used", "1073741824\n");
  put(bus + "hwmon/hwmon4/temp1_input", "48000\n");
  put(bus + "hwmon/hwmon4/power1_average", "210000000\n");
  put(bus + "ras/umc_err_count", "ue: 1\nce: 7\n");
  for (const auto* node : {"dev/dri/renderD128", "dev/kfd"}) put(node, "");
  const auto plugin = devices::Plugin::start(k.loop, k.options, k.log);
  REQUIRE(plugin);
  const devices::CardState expected{.uuid = {},
                                    .address = "0000:c1:00.0",
                                    .vendor = "amd",
                                    .model = {},
                                    .cause = {},
                                    .answered = true,
                                    .temperature = 48,
                                    .power = 210'000,
                                    .busy = 73,
                                    .memory_total = Bytes{68702699520},
                                    .memory_used = 1_GiB,
                                    .ecc_corrected = 7,
                                    .ecc_uncorrected = 1};
  CHECK(plugin->cards() == std::vector{expected});
  CHECK(plugin->offered().at("amd.com/gpu") == devices::Counts{.healthy = 1, .unhealthy = 0});
  CHECK(plugin->inventory().error().message == "there is no NVIDIA GPU");
  put(bus + "power/runtime_status", "suspended\n");
  REQUIRE(k.until([&] { return !plugin->cards()[0].busy; }));
  CHECK(plugin->cards()[0].healthy);
}
