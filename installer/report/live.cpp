#include <sys/ioctl.h>
#include <unistd.h>

#include <condition_variable>
#include <format>
#include <stop_token>
#include <thread>

#include "installer/report/report.hpp"
#include "installer/report/screen.hpp"

namespace cloudos::report {

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto repaint_every = Milliseconds{120};

class Live final : public Listener {
 public:
  Live(std::FILE* out, std::vector<MachineId> machines, bool colour, StepNames steps)
      : out_(out),
        colour_(colour),
        screen_(std::move(machines), std::move(steps)),
        painter_([this](const std::stop_token& stop) { paint_until(stop); }) {}
  Live(const Live&) = delete;
  Live& operator=(const Live&) = delete;
  ~Live() override {
    painter_.request_stop();
    painter_.join();
    rest();
  }

  void on(const model::Event& event) override {
    const std::lock_guard lock(mutex_);
    screen_.on(event, Clock::now());
    resting_ = false;
    const auto line = line_of(event, {.colour = colour_});
    // The block tells what is going on; only what ended, failed or was found is worth a line that stays.
    const bool stays = event.kind != model::Event::Kind::run_started && event.kind != model::Event::Kind::progress;
    if (stays && !line.empty()) scrolled_ += line + '\n';
  }

  void rest() override {
    const std::lock_guard lock(mutex_);
    if (resting_) return;
    paint();
    painted_ = 0;  // the block stays where it is; whatever comes next goes below
    resting_ = true;
  }

 private:
  void paint_until(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    std::condition_variable_any wake;
    while (!stop.stop_requested()) {
      wake.wait_for(lock, stop, repaint_every, [] { return false; });
      if (!resting_ && !stop.stop_requested()) paint();
    }
  }

  void paint() {
    winsize size{};
    if (::ioctl(::fileno(out_), TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
      size = {.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
    const std::size_t height = size.ws_row > 4 ? size.ws_row - 3U : 1U;
    auto frame = painted_ > 0 ? std::format("\x1b[{}A\r\x1b[J", painted_) : std::string{};
    frame += scrolled_;
    scrolled_.clear();
    const auto lines = screen_.lines(size.ws_col - 1U, height, colour_, Clock::now());
    for (const auto& line : lines) frame += line + '\n';
    painted_ = lines.size();
    if (frame == last_) return;
    last_ = frame;
    std::fwrite(frame.data(), 1, frame.size(), out_);
    std::fflush(out_);
  }

  std::FILE* out_;
  bool colour_;
  std::mutex mutex_;
  Screen screen_;
  std::string scrolled_, last_;
  std::size_t painted_ = 0;
  bool resting_ = true;
  std::jthread painter_;  // last: it uses all of the above
};

}  // namespace

std::unique_ptr<Listener> live(std::FILE* terminal, std::vector<MachineId> machines, bool colour, StepNames steps) {
  return std::make_unique<Live>(terminal, std::move(machines), colour, std::move(steps));
}

}  // namespace cloudos::report
