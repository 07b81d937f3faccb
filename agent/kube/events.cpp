#include "agent/kube/events.hpp"

#include <chrono>
#include <format>

#include "core/base/text.hpp"

namespace cloudos::kube {

Status tell(Api& api, const Happening& what, std::int64_t now_s) {
  constexpr std::size_t longest = 1024;
  const auto space = what.about.value("namespace", std::string("default"));
  const auto at = std::format("{:%FT%TZ}", std::chrono::sys_seconds{std::chrono::seconds{now_s}});
  const Json event{{"apiVersion", "v1"},
                   {"kind", "Event"},
                   {"metadata", {{"generateName", "cloudos-"}, {"namespace", space}}},
                   {"involvedObject", what.about},
                   {"type", what.warning ? "Warning" : "Normal"},
                   {"reason", what.reason},
                   {"message", sanitise(what.message).substr(0, longest)},
                   {"source", {{"component", what.component}, {"host", what.node}}},
                   {"reportingComponent", what.component},
                   {"reportingInstance", what.node},
                   {"firstTimestamp", at},
                   {"lastTimestamp", at},
                   {"count", 1}};
  CLOUDOS_TRY(api.create(std::format("/api/v1/namespaces/{}/events", space), event));
  return {};
}

}  // namespace cloudos::kube
