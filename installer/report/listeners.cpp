#include <unistd.h>

#include <cstdlib>
#include <string>

#include "installer/report/report.hpp"

namespace cloudos::report {

void Listeners::add(std::unique_ptr<Listener> listener) {
  const std::lock_guard lock(mutex_);
  all_.push_back(std::move(listener));
}

void Listeners::on(const model::Event& event) {
  const std::lock_guard lock(mutex_);
  for (const auto& listener : all_) listener->on(event);
}

void Listeners::rest() {
  const std::lock_guard lock(mutex_);
  for (const auto& listener : all_) listener->rest();
}

bool is_terminal(std::FILE* stream) { return ::isatty(::fileno(stream)) == 1; }

bool wants_colour(std::FILE* stream) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  const bool refused = no_color != nullptr && *no_color != '\0';
  return !refused && term != nullptr && std::string_view(term) != "dumb" && is_terminal(stream);
}

namespace {

class JsonLines final : public Listener {
 public:
  explicit JsonLines(std::FILE* out) : out_(out) {}
  void on(const model::Event& event) override {
    const auto line = model::encode_event(event) + '\n';
    std::fwrite(line.data(), 1, line.size(), out_);
    std::fflush(out_);
  }

 private:
  std::FILE* out_;
};

class Plain final : public Listener {
 public:
  Plain(std::FILE* out, PlainOptions options) : out_(out), options_(options) {}
  void on(const model::Event& event) override {
    auto line = line_of(event, options_);
    if (line.empty()) return;
    line += '\n';
    std::fwrite(line.data(), 1, line.size(), out_);
    std::fflush(out_);
  }

 private:
  std::FILE* out_;
  PlainOptions options_;
};

}  // namespace

std::unique_ptr<Listener> json_lines(std::FILE* out) { return std::make_unique<JsonLines>(out); }
std::unique_ptr<Listener> plain(std::FILE* out, PlainOptions options) { return std::make_unique<Plain>(out, options); }

}  // namespace cloudos::report
