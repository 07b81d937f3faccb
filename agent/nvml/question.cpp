#include "agent/nvml/question.hpp"

#include <condition_variable>
#include <mutex>

#include "agent/nvml/apart.hpp"

namespace cloudos::nvml {

struct Question::Shared {
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Result<Answer>> answer;
};

namespace {

Result<Answer> answer_from(const std::filesystem::path& path) {
  CLOUDOS_ASSIGN(auto library, Library::open(path));
  Answer out;
  CLOUDOS_ASSIGN(out.inventory, library.inventory(&out.skipped));
  out.readings = library.readings();
  return out;
}

}  // namespace

Question::Question(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
Question::~Question() = default;
Question::Question(Question&&) noexcept = default;
Question& Question::operator=(Question&&) noexcept = default;

Result<Question> Question::ask(const std::filesystem::path& path) {
  auto shared = std::make_shared<Shared>();
  CLOUDOS_TRY(run_apart([shared, path] {
    // The library is closed when the answer is told: nobody ends the program while its code runs.
    auto answer = answer_from(path);
    const std::scoped_lock lock(shared->mutex);
    shared->answer.emplace(std::move(answer));
    shared->changed.notify_all();
  }));
  return Question(std::move(shared));
}

Result<Answer> Question::wait(Deadline until) {
  std::unique_lock lock(shared_->mutex);
  if (!shared_->changed.wait_until(lock, until, [this] { return shared_->answer.has_value(); }))
    return fail(ErrorKind::timeout, "the driver does not answer");
  return std::move(*shared_->answer);
}

}  // namespace cloudos::nvml
