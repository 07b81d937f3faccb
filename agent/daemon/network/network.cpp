#include "agent/daemon/network/network.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <format>
#include <random>

#include "agent/daemon/notify.hpp"
#include "core/model/paths.hpp"

namespace cloudos::daemon {
namespace {

constexpr Milliseconds figures_patience{1'500};
constexpr Milliseconds serve_again{30'000};
constexpr auto root_half = "the root half";

double fraction() {
  std::random_device device;
  return static_cast<double>(device()) / static_cast<double>(std::random_device::max());
}

}  // namespace

Network::Network(loop::Loop& loop, Log& log) : loop_(loop), log_(log), settings_(loop, paths::agent_config), store_(log), admission_(log) {}
Network::~Network() {
  // The servers' threads call back into what goes after them.
  scrape_.reset();
}

Status Network::begin() {
  bell_.reset(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!bell_) return fail_errno("make an eventfd", errno);
  CLOUDOS_ASSIGN(bell_source_, loop_.watch(bell_.get(), EPOLLIN, [this](std::uint32_t) { figures_wanted(); }));
  scrape_ = std::make_unique<Scrape>(Scrape::Hooks{.figures = [this] { return ask_figures(); },
                                                   .report = [this] { return last_report(); },
                                                   .own =
                                                       [this] {
                                                         Scrape::Hooks::Own own;
                                                         const std::scoped_lock lock(mutex_);
                                                         if (!api_) return own;
                                                         const auto counters = api_->counters();
                                                         for (const auto& [kind, count] : counters.requests)
                                                           if (kind != "read") own.writes += count;
                                                         own.errors = counters.failures;
                                                         return own;
                                                       }},
                                     log_);
  // What is wrong with the file is told by the root half.
  settings_.watch([this](const settings::Settings& fresh) { apply(fresh); }, [](const std::string&) {});
  look_at_clock();
  connect();
  return {};
}

// --- the root half ---

void Network::connect() {
  auto link = halves::connect(paths::agent_socket);
  if (!link) return lost(link.error().message);
  link_.emplace(std::move(*link));
  auto watched = loop_.watch(link_->fd(), EPOLLIN, [this](std::uint32_t) { hear(); });
  if (!watched) return lost(watched.error().message);
  link_source_ = std::move(*watched);
  {
    const std::scoped_lock lock(mutex_);
    connected_ = true;
  }
  say(halves::Hello{});
  say(halves::Ask{.wish = halves::Wish::report});
  say(halves::Ask{.wish = halves::Wish::credential});
}

void Network::lost(const std::string& why) {
  link_source_ = {};
  link_.reset();
  {
    // What it said is not the truth for ever: without it, its figures are left out.
    const std::scoped_lock lock(mutex_);
    connected_ = false;
    report_.reset();
    answered_.notify_all();
  }
  if (const auto line = away_.failed(root_half, why, std::chrono::steady_clock::now())) log_.warning("{}", *line);
  if (auto due = loop_.after(pause(away_.failures(), fraction()), [this] { connect(); })) retry_ = std::move(*due);
}

void Network::hear() {
  while (link_) {
    const auto message = link_->receive();
    if (!message) return lost(message.error().message);
    if (!*message) return;
    understand(**message);
  }
}

void Network::understand(std::string_view text) {
  auto message = halves::decode_from_root(text);
  if (!message) return lost(message.error().message);
  if (const auto line = away_.back(root_half, std::chrono::steady_clock::now())) log_.info("{}", *line);
  if (auto* report = std::get_if<halves::Report>(&*message)) take_report(std::move(*report));
  else if (auto* figures = std::get_if<halves::Figures>(&*message)) take_figures(std::move(*figures));
  else if (auto* credential = std::get_if<halves::Credential>(&*message)) take_credential(std::move(*credential));
}

void Network::say(const halves::FromNetwork& message) {
  if (!link_) return;
  if (const auto sent = link_->send(halves::encode(message)); !sent) lost(sent.error().message);
}

// --- what it says ---

void Network::take_report(halves::Report report) {
  {
    const std::scoped_lock lock(mutex_);
    report_ = std::move(report);
  }
  tell_api();
}

void Network::tell_api() {
  if (!api_) return;
  auto report = last_report();
  if (!report) return;
  api_->report(std::move(*report));
}

void Network::take_credential(halves::Credential credential) {
  const bool other_node = credential_ && credential_->node != credential.node;
  if (!api_ || other_node) {
    Core::Options options{.node = credential.node, .seed = std::random_device{}()};
    options.look_apart = now_.labels.every + now_.labels.every / 10;
    auto started = ApiThread::start(loop_,
                                    {.delivered = [this](const halves::Delivered& upto) { say(upto); },
                                     .wants_credential = [this] { say(halves::Ask{.wish = halves::Wish::credential}); }},
                                    std::move(options), log_);
    if (!started) return log_.warning("{}", started.error().text());
    const std::scoped_lock lock(mutex_);
    api_.emplace(std::move(*started));
  }
  credential_ = std::move(credential);
  api_->credential(*credential_);
  notify_status(std::format("node {}", credential_->node));
  tell_api();
  serve();
}

void Network::take_figures(halves::Figures figures) {
  const std::scoped_lock lock(mutex_);
  figures_ = std::move(figures);
  ++figures_count_;
  answered_.notify_all();
}

void Network::look_at_clock() {
  if (auto due = loop_.after(now_.health.every, [this] { look_at_clock(); })) clock_timer_ = std::move(*due);
  bool changed = false;
  std::vector<health::HealthEvent> events;
  {
    const std::scoped_lock lock(mutex_);
    changed = now_.health.enabled && clock_.look();
    events = clock_.take_events();
  }
  if (!api_) return;
  for (const auto& event : events) api_->add(event);
  if (changed) tell_api();
}

// --- what is served ---

void Network::apply(const settings::Settings& fresh) {
  const auto before = std::exchange(now_, fresh);
  if (!(before.health == now_.health)) {
    const std::scoped_lock lock(mutex_);
    clock_.set(now_.health.thresholds);
  }
  serve();
}

void Network::serve() {
  bool well = scrape_->set(now_.metrics, credential_);
  well = store_.set(now_.supply, credential_) && well;
  admission_.set(credential_);
  if (well) return;
  if (auto due = loop_.after(serve_again, [this] { serve(); })) serve_again_ = std::move(*due);
}

std::optional<halves::Report> Network::last_report() const {
  const std::scoped_lock lock(mutex_);
  if (!report_) return std::nullopt;
  auto report = *report_;
  if (clock_.condition()) report.conditions.push_back(*clock_.condition());
  for (auto& problem : clock_.problems()) report.problems.push_back(std::move(problem));
  return report;
}

std::optional<halves::Figures> Network::ask_figures() {
  std::unique_lock lock(mutex_);
  if (!connected_) return std::nullopt;
  const auto before = figures_count_;
  constexpr std::uint64_t one = 1;
  static_cast<void>(::write(bell_.get(), &one, sizeof one) == sizeof one);
  answered_.wait_for(lock, figures_patience, [&] { return figures_count_ != before || !connected_; });
  return figures_count_ != before ? figures_ : std::nullopt;
}

void Network::figures_wanted() {
  std::uint64_t rings = 0;
  static_cast<void>(::read(bell_.get(), &rings, sizeof rings) == sizeof rings);
  say(halves::Ask{.wish = halves::Wish::figures});
}

}  // namespace cloudos::daemon
