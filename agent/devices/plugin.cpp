#include <algorithm>
#include <format>
#include <list>
#include <set>

#include "agent/devices/cdi.hpp"
#include "agent/devices/endpoint.hpp"
#include "agent/devices/vendors.hpp"
#include "agent/drm/drm.hpp"
#include "agent/nvml/watch.hpp"
#include "core/base/text.hpp"

namespace cloudos::devices {

struct Plugin::State {
  using Clock = std::chrono::steady_clock;

  State(loop::Loop& l, Options o, Log& g) : loop(l), options(std::move(o)), log(g) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  // --- kubelet ---

  // Watches kubelet's folder; while there is none, looks for it with each round.
  void watch_folder() {
    auto watched = loop.folder(options.plugins, [this](const std::string& made) {
      if (made.empty()) folder = {};
      if (made == "kubelet.sock")
        for (auto& endpoint : endpoints) endpoint.kubelet_started();
    });
    if (!watched) return;
    folder = std::move(*watched);
    for (auto& endpoint : endpoints) endpoint.kubelet_started();
  }

  // --- what is offered ---

  [[nodiscard]] std::string unfit(const std::string& card) const {
    const auto at = cards.find(card);
    return at == cards.end() || at->second.health.fit() ? std::string() : at->second.health.cause();
  }

  void offer(const std::string& name, Vendor vendor) {
    if (const auto at = offered.find(name); at != offered.end() && at->second == vendor) return;
    if (auto written = write_spec(vendor.spec, name, options.cdi, options.devfs); !written)
      // Offered nevertheless would be given to containers that then fail; it is tried again with the next round.
      return log.warning("{}: {}", name, written.error().text());
    for (const auto& remark : vendor.remarks) log.warning("{}: {}", name, remark);
    std::set<std::string> gone;
    if (const auto at = offered.find(name); at != offered.end())
      for (const auto& resource : at->second.resources) gone.insert(resource.name);
    for (const auto& resource : vendor.resources) {
      gone.erase(resource.name);
      const auto at = std::ranges::find_if(endpoints, [&](const Endpoint& e) { return e.resource().name == resource.name; });
      if (at != endpoints.end()) at->set(resource);
      else endpoints.emplace_back(loop, options, log, resource, [this](const std::string& card) { return unfit(card); });
    }
    endpoints.remove_if([&](const Endpoint& endpoint) { return gone.contains(endpoint.resource().name); });
    offered[name] = std::move(vendor);
  }

  // --- health ---

  // What is known of a GPU besides what there is of it.
  struct Card {
    explicit Card(const Timing& timing) : health(timing) {}
    Health health;
    std::optional<std::uint64_t> last_xid = {};
    nvml::Reading reading = {};
    drm::Reading figures = {};
    bool answered = false;
  };
  Card& card_of(const std::string& name) { return cards.try_emplace(name, options.timing).first->second; }

  template <class F>
  void judge(const std::string& card, F change) {
    auto& health = card_of(card).health;
    if (!change(health)) return;
    log.write(health.fit() ? Log::Level::info : Log::Level::warning,
              std::format("{} is {}: {}", card, health.fit() ? "fit again, after" : "not fit for work", health.cause()));
    options.on_change({.card = card, .healthy = health.fit(), .cause = health.cause()});
    for (auto& endpoint : endpoints) endpoint.refresh();
  }
  void look(const std::string& card, const Seen& seen) {
    judge(card, [&](Health& health) { return health.look(seen, Clock::now()); });
  }

  // --- NVIDIA ---

  void start_nvidia() {
    // Without a card there is nobody to ask, and no thread; a path that was given is asked in any case.
    if (watch || (options.nvml.empty() && !has_nvidia(options))) return;
    auto started = nvml::Watch::start(options.nvml, {.probe = options.timing.probe, .inventory = options.timing.probe * 6});
    if (!started) return log.warning("{}", started.error().text());
    watch.emplace(std::move(*started));
    if (auto source = loop.watch(watch->fd(), EPOLLIN, [this](std::uint32_t) { hear(watch->take()); })) news = std::move(*source);
  }

  void hear(const nvml::News& heard) {
    if (heard.missing) missing(*heard.missing);
    if (heard.inventory) inventory_changed(heard, *heard.inventory);
    for (const auto& xid : heard.xids) {
      log.warning("{}: {}", xid.uuid, xid::describe(xid.number));
      card_of(xid.uuid).last_xid = xid.number;
      judge(xid.uuid, [&](Health& health) { return health.xid(xid.number, Clock::now()); });
    }
    for (const auto& reading : heard.readings) {
      auto seen = seen_of(reading);
      const auto gpu = std::ranges::find(inventory.gpus, reading.uuid, &nvml::Gpu::uuid);
      if (gpu == inventory.gpus.end()) continue;
      if (const auto nodes = missing_nodes(*gpu, options); seen.problem.empty() && !nodes.empty())
        seen.problem = join(nodes, " and ") + " not there";
      auto& card = card_of(reading.uuid);
      card.answered = !reading.error;
      card.reading = reading;
      look(reading.uuid, seen);
    }
  }

  void inventory_changed(const nvml::News& heard, nvml::Inventory fresh) {
    for (const auto& text : heard.skipped) log.warning("{}", text);
    for (const auto& known : inventory.gpus) {
      if (std::ranges::contains(fresh.gpus, known.uuid, &nvml::Gpu::uuid)) continue;
      // Still in its slot, but the driver no longer counts it: a GPU that is lost, not one that was taken out.
      if (!std::filesystem::exists(options.sysfs / "bus/pci/devices" / known.pci_bus)) continue;
      fresh.gpus.push_back(known);
      look(known.uuid, {.problem = "the driver no longer finds the GPU", .sure = true, .remedy = xid::Remedy::restart});
      card_of(known.uuid).answered = false;
    }
    inventory = std::move(fresh);
    driver_folder = heard.folder;
    log.info("NVIDIA driver {}, {} GPUs", inventory.driver, inventory.gpus.size());
    told_missing = false;
    offer(nvidia, offer_nvidia(inventory, driver_folder, options));
  }

  void missing(const Error& error) {
    if (!std::exchange(told_missing, true)) log.warning("NVIDIA GPUs cannot be asked: {}", error.message);
    absent = error;
    for (const auto& gpu : inventory.gpus) {
      card_of(gpu.uuid).answered = false;
      look(gpu.uuid, {.problem = error.message, .sure = true});
    }
  }

  // --- each round ---

  void round() {
    if (!folder) watch_folder();
    start_nvidia();
    if (watch) {
      if (Clock::now() - watch->last_answer() > options.timing.silence + options.timing.probe)
        missing({.message = "the driver hangs: a question to it has not come back"});
      // Nodes and libraries may have come since; and what could not be written is tried again.
      if (!inventory.driver.empty()) offer(nvidia, offer_nvidia(inventory, driver_folder, options));
    }
    kernels = drm_gpus(options);
    for (const auto* vendor : {amd, intel}) offer_kernels(vendor);
    if (auto due = loop.after(options.timing.probe, [this] { round(); })) timer = std::move(*due);
    else log.warning("{}", due.error().text());
  }

  void offer_kernels(const std::string& vendor) {
    const bool any = std::ranges::contains(kernels, vendor, &DrmGpu::vendor);
    if (!any && !offered.contains(vendor)) return;
    for (const auto& gpu : kernels) {
      if (gpu.vendor != vendor) continue;
      const auto seen = look_at(gpu, options);
      auto& card = card_of(gpu.bus);
      card.answered = seen.problem.empty();
      card.figures = card.answered ? drm::read(options.sysfs / "bus/pci/devices" / gpu.bus) : drm::Reading{};
      look(gpu.bus, seen);
    }
    offer(vendor, offer_drm(vendor, kernels, options));
  }

  // --- what others are told ---

  [[nodiscard]] std::vector<CardState> states() const {
    std::vector<CardState> out;
    for (const auto& gpu : inventory.gpus)
      if (const auto at = cards.find(gpu.uuid); at != cards.end()) out.push_back(state_of(gpu, at->second));
    for (const auto& gpu : kernels)
      if (const auto at = cards.find(gpu.bus); at != cards.end()) out.push_back(state_of(gpu, at->second));
    return out;
  }
  static CardState judged(const Card& card) {
    CardState out;
    out.healthy = card.health.fit();
    out.cause = card.health.cause();
    out.remedy = card.health.remedy();
    out.answered = card.answered;
    out.last_xid = card.last_xid;
    return out;
  }
  static CardState state_of(const nvml::Gpu& gpu, const Card& card) {
    auto out = judged(card);
    out.uuid = gpu.uuid;
    out.address = gpu.pci_bus;
    out.vendor = nvidia;
    out.model = gpu.name;
    if (!card.answered) return out;
    const auto& reading = card.reading;
    const auto slow = reading.throttle.value_or(0);
    out.too_hot = nvml::slowed_by_heat(slow);
    out.throttle = nvml::throttle_reasons(slow);
    out.temperature = reading.temperature;
    if (reading.power) out.power = *reading.power;
    out.busy = reading.busy;
    out.memory_total = gpu.memory;
    out.memory_used = reading.memory_used;
    out.ecc_corrected = reading.ecc_corrected;
    out.ecc_uncorrected = reading.ecc_uncorrected;
    return out;
  }
  static CardState state_of(const DrmGpu& gpu, const Card& card) {
    auto out = judged(card);
    out.address = gpu.bus;
    out.vendor = gpu.vendor;
    if (!card.answered) return out;
    const auto& figures = card.figures;
    out.temperature = figures.temperature;
    out.power = figures.power;
    out.busy = figures.busy;
    out.memory_total = figures.memory_total;
    out.memory_used = figures.memory_used;
    out.ecc_corrected = figures.ecc_corrected;
    out.ecc_uncorrected = figures.ecc_uncorrected;
    return out;
  }

  loop::Loop& loop;
  Options options;
  Log& log;
  std::map<std::string, Vendor> offered;
  std::map<std::string, Card> cards;
  std::list<Endpoint> endpoints;
  nvml::Inventory inventory;
  std::vector<DrmGpu> kernels;
  std::optional<Error> absent;  // why no driver has answered
  std::filesystem::path driver_folder;
  bool told_missing = false;
  // The sources go before what their descriptors belong to.
  std::optional<nvml::Watch> watch;
  loop::Source folder, news, timer;
};

Plugin::Plugin(std::unique_ptr<State> state) : state_(std::move(state)) {}
Plugin::~Plugin() = default;
Plugin::Plugin(Plugin&&) noexcept = default;
Plugin& Plugin::operator=(Plugin&&) noexcept = default;

std::vector<CardState> Plugin::cards() const { return state_->states(); }

std::map<std::string, Counts> Plugin::offered() const {
  std::map<std::string, Counts> out;
  for (const auto& endpoint : state_->endpoints) out[endpoint.resource().name] = endpoint.counts();
  return out;
}

Result<nvml::Inventory> Plugin::inventory() const {
  if (!state_->inventory.driver.empty()) return state_->inventory;
  if (state_->absent) return fail(*state_->absent);
  return fail(Error{.message = state_->watch ? "the driver has not answered yet" : "there is no NVIDIA GPU", .retryable = true});
}

Result<Plugin> Plugin::start(loop::Loop& loop, Options options, Log& log) {
  auto state = std::make_unique<State>(loop, std::move(options), log);
  state->round();
  return Plugin(std::move(state));
}

}  // namespace cloudos::devices
