#include "agent/daemon/watched_settings.hpp"

namespace cloudos::daemon {

namespace {
// An editor writes in several steps; between them the file is not what was meant.
constexpr Milliseconds settled{500};
constexpr Milliseconds look_again{30'000};
}  // namespace

void WatchedSettings::watch(std::function<void(const settings::Settings&)> good, std::function<void(const std::string&)> bad) {
  good_ = std::move(good);
  bad_ = std::move(bad);
  look();
  reload();
}

void WatchedSettings::look() {
  auto watched = loop_.folder(file_.parent_path(), [this](const std::string& name) {
    if (name.empty()) return look();
    if (name != file_.filename()) return;
    if (auto due = loop_.after(settled, [this] { reload(); })) soon_ = std::move(*due);
  });
  if (watched) {
    folder_ = std::move(*watched);
    return;
  }
  if (auto due = loop_.after(look_again, [this] { look(); })) soon_ = std::move(*due);
}

void WatchedSettings::reload() {
  const auto fresh = settings::read(file_);
  if (fresh) good_(*fresh);
  else bad_(fresh.error().message);
}

}  // namespace cloudos::daemon
