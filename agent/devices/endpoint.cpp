#include "agent/devices/endpoint.hpp"

#include <algorithm>
#include <format>

#include "agent/devices/preferred.hpp"
#include "agent/wire/wire.hpp"
#include "core/base/text.hpp"

namespace cloudos::devices {
namespace {

constexpr auto kubelet_socket = "kubelet.sock";
constexpr Milliseconds first_pause{100}, longest_pause{30'000};
// kubelet's Register answers after it has connected to us, for which it takes ten seconds at most.
constexpr Milliseconds answer_time{15'000};
// From kubelet's answer to its ListAndWatch, and from the end of one to the next: after that it is asked again.
constexpr Milliseconds watch_time{10'000}, rewatch_time{2'000};

std::unexpected<grpc::Failure> bad(const Error& error) {
  return std::unexpected(grpc::Failure{grpc::Code::invalid_argument, error.message});
}

}  // namespace

Endpoint::Endpoint(loop::Loop& loop, const Options& options, Log& log, Resource resource,
                   std::function<std::string(const std::string& card)> fit)
    : loop_(loop), options_(options), log_(log), resource_(std::move(resource)), fit_(std::move(fit)), pause_(first_pause) {
  kubelet_started();
}

void Endpoint::set(Resource resource) {
  resource_ = std::move(resource);
  refresh();
}

void Endpoint::refresh() {
  auto now = list();
  if (now == last_list_) return;
  last_list_ = now;
  for (const auto& stream : streams_) stream->send(now);
}

void Endpoint::kubelet_started() {
  call_.reset();
  pause_ = first_pause;
  serve();
  ask();
}

void Endpoint::serve() {
  server_.reset();
  streams_.clear();
  std::error_code none;
  if (!std::filesystem::is_directory(options_.plugins, none)) return;
  auto server = grpc::Server::listen(loop_, options_.plugins / resource_.socket, methods(), log_);
  if (server) server_ = std::make_unique<grpc::Server>(std::move(*server));
  else log_.warning("{}: {}", resource_.name, server.error().text());
}

void Endpoint::ask() {
  timer_ = {};
  std::error_code none;
  // The socket went without a new one of kubelet's having come: kubelet could not connect to it.
  if (server_ == nullptr || !std::filesystem::exists(options_.plugins / resource_.socket, none)) serve();
  const wire::RegisterRequest request{
      .version = "v1beta1",
      .endpoint = resource_.socket,
      .resource_name = resource_.name,
      .options = wire::DevicePluginOptions{.pre_start_required = false, .get_preferred_allocation_available = true}};
  call_ = grpc::Call::start(loop_, options_.plugins / kubelet_socket, "/v1beta1.Registration/Register", wire::encode(request), answer_time,
                            [this](const grpc::Answer& answer) { answered(answer); });
}

void Endpoint::ask_later(Milliseconds span) {
  auto timer = loop_.after(span, [this] {
    if (!watched()) ask();
  });
  if (timer) timer_ = std::move(*timer);
  else log_.warning("{}: {}", resource_.name, timer.error().text());
}

void Endpoint::answered(const grpc::Answer& answer) {
  const auto call = std::move(call_);
  if (answer) {
    pause_ = first_pause;
    quiet_ = false;
    log_.info("{}: registered with kubelet, {} devices", resource_.name, resource_.units.size());
    return ask_later(watch_time);
  }
  // An absent kubelet is no news each time; a kubelet that refuses is said once, too.
  if (!std::exchange(quiet_, true)) log_.warning("{}: not registered yet: {}", resource_.name, sanitise(answer.error().message));
  ask_later(pause_);
  pause_ = std::min(pause_ * 2, longest_pause);
}

bool Endpoint::watched() const {
  return std::ranges::any_of(streams_, [](const auto& stream) { return stream->open(); });
}

void Endpoint::stream_ended() {
  std::erase_if(streams_, [](const auto& stream) { return !stream->open(); });
  // Most often kubelet restarts, and makes its socket anew in a moment; this is for when it does not.
  if (streams_.empty() && call_ == nullptr) ask_later(rewatch_time);
}

std::string Endpoint::list() const {
  wire::ListAndWatchResponse out;
  for (const auto& unit : resource_.units) {
    wire::Device device{.id = unit.id, .health = fit_(unit.card).empty() ? "Healthy" : "Unhealthy", .topology = {}};
    if (unit.numa) device.topology = wire::TopologyInfo{{{*unit.numa}}};
    out.devices.push_back(std::move(device));
  }
  return wire::encode(out);
}

Counts Endpoint::counts() const {
  Counts out;
  for (const auto& unit : resource_.units) ++(fit_(unit.card).empty() ? out.healthy : out.unhealthy);
  return out;
}

grpc::Service Endpoint::methods() {
  const std::string service = "/v1beta1.DevicePlugin/";
  grpc::Service out;
  out.unary[service + "GetDevicePluginOptions"] = [](std::string_view) -> grpc::Answer {
    return wire::encode(wire::DevicePluginOptions{.pre_start_required = false, .get_preferred_allocation_available = true});
  };
  out.unary[service + "GetPreferredAllocation"] = [this](std::string_view request) { return prefer(request); };
  out.unary[service + "Allocate"] = [this](std::string_view request) { return allocate(request); };
  out.unary[service + "PreStartContainer"] = [](std::string_view) -> grpc::Answer { return wire::encode(wire::Empty{}); };
  out.streaming[service + "ListAndWatch"] = [this](std::string_view, std::shared_ptr<grpc::Stream> stream) {
    last_list_ = list();
    stream->send(last_list_);
    streams_.push_back(std::move(stream));
  };
  out.stream_ended = [this] { stream_ended(); };
  return out;
}

grpc::Answer Endpoint::prefer(std::string_view request) const {
  const auto asked = wire::decode<wire::PreferredRequest>(request);
  if (!asked) return bad(asked.error());
  wire::PreferredResponse out;
  for (const auto& container : asked->containers)
    out.containers.push_back({devices::prefer(resource_.units, container.available, container.must_include,
                                              static_cast<std::size_t>(std::max(container.size, 0)))});
  return wire::encode(out);
}

grpc::Answer Endpoint::allocate(std::string_view request) const {
  const auto asked = wire::decode<wire::AllocateRequest>(request);
  if (!asked) return bad(asked.error());
  wire::AllocateResponse out;
  for (const auto& container : asked->containers) {
    auto& given = out.containers.emplace_back();
    std::vector<std::string> names;
    for (const auto& id : container.ids) {
      const auto unit = std::ranges::find(resource_.units, id, &Unit::id);
      if (unit == resource_.units.end())
        return std::unexpected(
            grpc::Failure{grpc::Code::not_found, std::format("this node has no {} \"{}\"", resource_.name, sanitise(id))});
      // kubelet gives out what was fit when it last heard; the container would only fail later and less clearly.
      if (const auto why = fit_(unit->card); !why.empty())
        return std::unexpected(grpc::Failure{grpc::Code::failed_precondition, std::format("{} is not fit: {}", id, why)});
      // Two shares of one device are that device once.
      if (std::ranges::contains(names, unit->device)) continue;
      names.push_back(unit->device);
      given.cdi_devices.push_back({resource_.kind + "=" + unit->device});
    }
    if (!resource_.variable.empty()) given.envs[resource_.variable] = join(names, ",");
  }
  return wire::encode(out);
}

}  // namespace cloudos::devices
