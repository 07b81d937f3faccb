#include "agent/daemon/root/root.hpp"

#include <chrono>
#include <format>
#include <random>

#include "agent/certificates/certificates.hpp"
#include "agent/daemon/root/gpus.hpp"
#include "agent/facts/facts.hpp"
#include "agent/gpu_facts/gpu_facts.hpp"
#include "core/base/clock.hpp"
#include "core/base/text.hpp"
#include "core/model/paths.hpp"
#include "core/os/bus/bus.hpp"

namespace cloudos::daemon {
namespace {

constexpr Milliseconds question_patience{5'000};  // of questions to services
constexpr Milliseconds restart_limit{120'000};
constexpr auto kernel_log = "/dev/kmsg";

// Tells this process's reports from those of the one before.
std::string epoch() {
  std::random_device device;
  return std::format("{:08x}{:08x}", device(), device());
}

health::RestartLimits limits_of(const settings::Settings::Health& settings) {
  auto limits = settings.restarts;
  if (!settings.restart) limits.an_hour = 0;
  return limits;
}

}  // namespace

Root::Root(loop::Loop& loop, os::Fd listening, Log& log, Workers workers)
    : loop_(loop),
      listening_(std::move(listening)),
      log_(log),
      workers_(std::move(workers)),
      settings_(loop, paths::agent_config),
      outbox_(epoch()),
      dates_(std::make_shared<CertificateDates>(paths::agent, certificates::watched())),
      services_(loop, node_services()) {}

Result<std::unique_ptr<Root>> Root::start(loop::Loop& loop, os::Fd listening, Log& log) {
  CLOUDOS_ASSIGN(auto looks, Worker::start(loop));
  CLOUDOS_ASSIGN(auto measurements, Worker::start(loop));
  CLOUDOS_ASSIGN(auto restarts, Worker::start(loop));
  std::unique_ptr<Root> root(
      new Root(loop, std::move(listening), log,
               {.looks = std::move(looks), .measurements = std::move(measurements), .restarts = std::move(restarts)}));
  CLOUDOS_TRY(root->begin());
  return root;
}

Status Root::begin() {
  outbox_.report().agent_version = CLOUDOS_VERSION;
  outbox_.report().unknown = {""};  // nothing was looked at yet
  if (auto kernel = health::KernelLog::open(kernel_log)) kernel_ = std::make_shared<health::KernelLog>(std::move(*kernel));
  else log_.warning("the kernel's log is not watched: {}", kernel.error().text());
  settings_.watch([this](const settings::Settings& fresh) { apply(fresh); }, [this](const std::string& why) { refused(why); });
  offer_gpus();
  keep_annotations();
  CLOUDOS_ASSIGN(accepting_, loop_.watch(listening_.get(), EPOLLIN, [this](std::uint32_t) { accept(); }));
  if (auto watched = loop_.folder(Certificates{}.kubelet, [this](const std::string&) { credential_changed(); })) pki_ = std::move(*watched);
  services_.ask(question_patience);
  look_for_labels();
  look_at_health();
  measure_sync();
  return {};
}

// --- health ---

void Root::look_at_health() {
  if (auto due = loop_.after(now_.health.every, [this] { look_at_health(); })) health_timer_ = std::move(*due);
  // One look at a time: on a machine whose disk hangs they would pile up.
  if (!now_.health.enabled || std::exchange(looking_, true)) return;
  workers_.looks.run([this, kernel = kernel_, dates = dates_, answers = services_.take()] {
    auto sample = std::make_shared<health::Sample>(look_at_machine(kernel.get(), *dates, log_));
    sample->services = answers;
    leave_out_stopped(sample->services);
    return [this, sample] { looked(std::move(*sample)); };
  });
}

void Root::look_soon() {
  if (auto due = loop_.after(Milliseconds{100}, [this] { look_at_health(); })) health_timer_ = std::move(*due);
}

void Root::looked(health::Sample sample) {
  looking_ = false;
  if (plugin_) sample.gpus = sample_of(plugin_->cards());
  services_.ask(question_patience);
  if (const auto us = std::exchange(fresh_sync_us_, std::nullopt)) sample.sync_p99_us[paths::state] = *us;
  expiries_.clear();
  if (sample.certificates)
    for (const auto& certificate : *sample.certificates) expiries_[certificate.path] = certificate.expires_s;
  const auto outcome = monitor_.look(sample);
  for (const auto& event : outcome.events) outbox_.add(event);
  for (const auto& wanted : outcome.restarts) restart(wanted);
  auto& report = outbox_.report();
  report.conditions = monitor_.conditions();
  report.problems = monitor_.problems();
  if (!outcome.changed.empty() || !outcome.events.empty()) report_changed();
}

void Root::measure_sync() {
  const auto span = now_.health.measure_sync;
  if (span <= Milliseconds{0} || !now_.health.enabled) return;
  if (auto due = loop_.after(span, [this] { measure_sync(); })) sync_timer_ = std::move(*due);
  if (std::exchange(measuring_, true)) return;
  workers_.measurements.run([this] {
    const auto measured = facts::measure_sync(paths::state);
    return [this, measured] {
      measuring_ = false;
      if (!measured) return log_.warning("how long writes take was not measured: {}", measured.error().text());
      fresh_sync_us_ = measured->p99_us;
      sync_seconds_[paths::state] = static_cast<double>(measured->p99_us) / 1e6;
    };
  });
}

void Root::restart(const health::Restart& restart) {
  log_.warning("{} does not answer ({}); restarting it", restart.service, restart.reason);
  ++restarts_[restart.service];
  workers_.restarts.run([this, service = restart.service] {
    auto systemd = os::Systemd::connect();
    const Status status = systemd ? systemd->restart(unit_of(service), in(restart_limit)) : Status(fail(systemd.error()));
    return [this, service, status] { restarted(service, status); };
  });
}

void Root::restarted(const std::string& service, const Status& status) {
  if (status) return log_.info("{} was restarted", service);
  log_.warning("{} could not be restarted: {}", service, status.error().text());
  event(true, "ServiceRestartFailed", std::format("{} could not be restarted: {}", service, status.error().message));
}

// --- labels and annotations ---

void Root::look_for_labels() {
  if (auto due = loop_.after(now_.labels.every, [this] { look_for_labels(); })) label_timer_ = std::move(*due);
  if (!now_.labels.enabled || std::exchange(labelling_, true)) return;
  auto inventory = plugin_ ? plugin_->inventory() : Result<nvml::Inventory>(fail(ErrorKind::failed, "GPUs are not looked at"));
  workers_.looks.run([this, sharing = sharing_of(now_.gpus), gpus = std::make_shared<gpu_facts::Counted>(std::move(inventory))] {
    auto found = std::make_shared<Result<labels::Found>>(daemon::look_for_labels(sharing, *gpus));
    return [this, found] {
      labelling_ = false;
      if (!*found) return log_.warning("labels: {}", found->error().text());
      outbox_.report().labels = std::move((*found)->labels);
      outbox_.report().unknown = std::move((*found)->unknown);
      keep_annotations();
      // Also when they are the same: what is gone for several looks is known to be gone.
      report_changed();
    };
  });
}

void Root::keep_annotations() {
  if (!membership_) {
    auto read = read_membership(paths::membership);
    if (!read) return;
    membership_ = std::move(*read);
    credential_changed();
  }
  auto& annotations = outbox_.report().annotations;
  annotations.clear();
  if (!now_.supply.enabled) return;
  if (store_pin_.empty()) return find_store_pin();
  annotations["cloudos.io/store"] = std::format("{}:{} {}", membership_->address, now_.supply.port, store_pin_);
}

void Root::find_store_pin() {
  if (std::exchange(finding_pin_, true)) return;
  workers_.looks.run([this, node = membership_->node, address = membership_->address] {
    auto pin = keep_identity(paths::agent, node, address, paths::agent_identity);
    return [this, pin = std::move(pin)] {
      finding_pin_ = false;
      if (!pin) return log_.warning("no identity for the store: {}", pin.error().text());
      store_pin_ = *pin;
      credential_changed();
      keep_annotations();
      report_changed();
    };
  });
}

// --- settings ---

void Root::apply(const settings::Settings& fresh) {
  const auto before = std::exchange(now_, fresh);
  if (!(before.health == now_.health)) {
    if (before.health.enabled != now_.health.enabled) monitor_ = health::Monitor();
    monitor_.set(now_.health.thresholds, limits_of(now_.health));
    if (!before.health.enabled) measure_sync();
  }
  if (!now_.labels.enabled) outbox_.report().unknown = {""};
  if (!(before.gpus == now_.gpus)) offer_gpus();
  if (!(before.supply == now_.supply)) keep_annotations();
  if (std::exchange(bad_settings_, false)) event(false, "AgentConfigurationApplied", std::format("{} is well again", paths::agent_config));
  log_.info("settings of {} are in force", paths::agent_config);
  report_changed();
}

void Root::refused(const std::string& why) {
  bad_settings_ = true;
  log_.warning("{} is not taken, what was set before stays: {}", paths::agent_config, why);
  event(true, "AgentConfigurationInvalid", std::format("{} is not taken, what was set before stays: {}", paths::agent_config, why));
}

void Root::offer_gpus() {
  plugin_.reset();
  if (!now_.gpus.enabled) return;
  auto options = settings::offer_of(now_.gpus);
  // The same cause that took the device from kubelet is the node's condition and event, at once.
  options.on_change = [this](const devices::Change&) { look_soon(); };
  auto started = devices::Plugin::start(loop_, std::move(options), log_);
  if (started) plugin_ = std::move(*started);
  else log_.warning("GPUs are not offered: {}", started.error().text());
}

void Root::event(bool warning, std::string reason, std::string message) {
  outbox_.add({.warning = warning, .reason = std::move(reason), .message = std::move(message), .pod = {}, .at_ms = wall_ms()});
  report_changed();
}

}  // namespace cloudos::daemon
