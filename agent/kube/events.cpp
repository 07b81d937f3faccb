#include "agent/kube/events.hpp"

#include <chrono>
#include <format>

#include "core/base/text.hpp"

namespace cloudos::kube {

Status tell(Api& api, const Happening& happening, std::int64_t now_s) {
  constexpr std::size_t longest = 1024;
  const auto space = happening.about.value("namespace", std::string("default"));
  const auto at = std::format("{:%FT%TZ}", std::chrono::sys_seconds{std::chrono::seconds{now_s}});
  const Json event{{"apiVersion", "v1"},
                   {"kind", "Event"},
                   {"metadata", {{"generateName", "cloudos-"}, {"namespace", space}}},
                   {"involvedObject", happening.about},
                   {"type", happening.warning ? "Warning" : "Normal"},
                   {"reason", happening.reason},
                   {"message", sanitise(happening.message).substr(0, longest)},
                   {"source", {{"component", happening.component}, {"host", happening.node}}},
                   {"reportingComponent", happening.component},
                   {"reportingInstance", happening.node},
                   {"firstTimestamp", at},
                   {"lastTimestamp", at},
                   {"count", 1}};
  CLOUDOS_TRY(api.create(std::format("/api/v1/namespaces/{}/events", space), event));
  return {};
}

}  // namespace cloudos::kube
