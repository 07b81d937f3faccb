#include "agent/metrics/spaces.hpp"

#include <condition_variable>
#include <mutex>
#include <optional>
#include <set>
#include <system_error>
#include <thread>

namespace cloudos::metrics {
namespace {

using Clock = std::chrono::steady_clock;

// One call of Spaces::ask.
struct Round {
  std::vector<Spaces::Question> questions;
  std::vector<Spaces::Answer> answers;
  std::size_t next = 0;                    // the first question that nobody has taken
  int worker = 0;                          // who works on it: a thread that finds another number here has been given up
  bool over = false;                       // nothing is left to be asked
  std::optional<Clock::time_point> since;  // of the call that is under way
};

}  // namespace

// What threads share with whom they work for, and with each other. It goes with the last of them.
struct Spaces::Shared {
  explicit Shared(Ask a) : ask(std::move(a)) {}
  const Ask ask;
  std::mutex mutex;
  std::condition_variable over;
  std::multiset<std::string> stuck;  // the path of each thread that is in a call which was given up

  [[nodiscard]] bool refuses(const Question& question) const {
    return stuck.contains(question.path) || stuck.size() > most_stuck || (question.network && stuck.size() >= most_stuck);
  }

  void work(Round& round, int number) {
    std::unique_lock lock(mutex);
    while (round.worker == number) {
      while (round.next < round.questions.size() && refuses(round.questions[round.next])) ++round.next;
      if (round.next == round.questions.size()) {
        round.over = true;
        over.notify_all();
        return;
      }
      const auto at = round.next++;
      const auto path = round.questions[at].path;
      round.since = Clock::now();
      lock.unlock();
      Answer answer{.answered = true};
      answer.error = ask(path, answer.space);
      lock.lock();
      if (round.worker != number) {
        stuck.erase(stuck.find(path));
        return;
      }
      round.answers[at] = answer;
      round.since.reset();
    }
  }

  // Needs the lock. The thread in a call is given up; the next begins where it was.
  void give_up(Round& round) {
    if (round.since) stuck.insert(round.questions[round.next - 1].path);
    round.since.reset();
    ++round.worker;
  }
};

Spaces::Spaces(Ask ask, Milliseconds patience) : shared_(std::make_shared<Shared>(std::move(ask))), patience_(patience) {}

std::vector<Spaces::Answer> Spaces::ask(std::vector<Question> questions) {
  const auto round = std::make_shared<Round>();
  round->answers.resize(questions.size());
  round->questions = std::move(questions);
  const auto start = [&] {
    try {
      std::thread([shared = shared_, round, number = round->worker] { shared->work(*round, number); }).detach();
    } catch (const std::system_error&) { round->over = true; }  // no more threads: what is left is not asked
  };
  const auto end = Clock::now() + patience_;
  std::unique_lock lock(shared_->mutex);
  start();
  while (!round->over && Clock::now() < end) {
    const auto call = patience_ / 5;
    const auto until = std::min(end, round->since.value_or(Clock::now()) + call);
    shared_->over.wait_until(lock, until, [&] { return round->over; });
    if (round->over || !round->since || Clock::now() < *round->since + call) continue;
    shared_->give_up(*round);
    start();
  }
  if (!round->over) shared_->give_up(*round);
  return round->answers;
}

}  // namespace cloudos::metrics
