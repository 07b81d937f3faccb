#include <fcntl.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdlib>
#include <format>

#include "core/base/text.hpp"
#include "core/os/file/file.hpp"
#include "installer/report/report.hpp"

namespace cloudos::report {

namespace {

spdlog::level::level_enum level_of(Log::Level level) {
  switch (level) {
    case Log::Level::trace: return spdlog::level::trace;
    case Log::Level::debug: return spdlog::level::debug;
    case Log::Level::info: return spdlog::level::info;
    case Log::Level::warning: return spdlog::level::warn;
    case Log::Level::error: return spdlog::level::err;
  }
  return spdlog::level::info;
}

class SpdlogFile final : public LogFile {
 public:
  SpdlogFile(std::filesystem::path path, std::shared_ptr<spdlog::logger> logger) : path_(std::move(path)), logger_(std::move(logger)) {}

  void on(const model::Event& event) override {
    const bool failure = event.kind == model::Event::Kind::step_failed || event.kind == model::Event::Kind::run_failed;
    logger_->log(failure ? spdlog::level::err : spdlog::level::info, "{}", model::encode_event(event));
  }
  void write(Level level, std::string_view line) override { logger_->log(level_of(level), "{}", sanitise(line)); }
  void rest() override { flush(); }
  [[nodiscard]] const std::filesystem::path& path() const override { return path_; }
  void flush() override { logger_->flush(); }

 private:
  std::filesystem::path path_;
  std::shared_ptr<spdlog::logger> logger_;
};

}  // namespace

std::filesystem::path LogFile::default_path(std::string_view command) {
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  const std::filesystem::path base = state != nullptr && *state == '/'
                                         ? std::filesystem::path{state}
                                         : std::filesystem::path{home != nullptr ? home : "/root"} / ".local/state";
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  return base / "cloudos/logs" / std::format("{:%Y%m%dT%H%M%SZ}-{}.log", now, command);
}

Result<std::unique_ptr<LogFile>> LogFile::open(const std::filesystem::path& path) {
  if (path.has_parent_path()) CLOUDOS_TRY_WITH(os::make_folders(path.parent_path(), 0700), "making the log file's folder");
  // Made with its mode before spdlog opens it to append: never readable by others, not even for a moment.
  CLOUDOS_ASSIGN(const os::Fd made, os::open(path, O_WRONLY | O_CREAT | O_APPEND, 0600));
  if (::fchmod(made.get(), 0600) != 0) return fail_errno(std::format("chmod {}", path.string()), errno);
  try {
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path.string());
    auto logger = std::make_shared<spdlog::logger>("cloudos", std::move(sink));
    logger->set_level(spdlog::level::trace);
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l [%t] %v");
    logger->flush_on(spdlog::level::warn);
    return std::make_unique<SpdlogFile>(path, std::move(logger));
  } catch (const spdlog::spdlog_ex& error) {
    return fail(ErrorKind::io, std::format("cannot write the log file {}: {}", path.string(), error.what()),
                "choose another with --log-file");
  }
}

}  // namespace cloudos::report
