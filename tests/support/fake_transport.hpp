// tests/support: what tests of several rooms share. A machine that answers commands from a script, for tests of what the
// installer says to machines; it keeps Transport's promises (tests/unit/ssh/contract_test.cpp holds it to them).
#pragma once

#include <array>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "installer/ssh/transport.hpp"

namespace cloudos::test {

// One command under way on the fake machine.
class FakeCall {
 public:
  FakeCall(const Argv& words, ssh::Streams streams, Deadline until) : argv(words), deadline(until), streams_(std::move(streams)) {}
  const Argv& argv;
  const Deadline deadline;
  // All that is left of the command's stdin.
  Result<std::string> input() {
    std::string all;
    std::array<std::byte, 4096> room{};
    for (;;) {
      CLOUDOS_ASSIGN(const std::size_t n, streams_.in(room));
      if (n == 0) return all;
      all.append(reinterpret_cast<const char*>(room.data()), n);
    }
  }
  Status print(std::string_view text) { return streams_.out(std::as_bytes(std::span(text))); }
  Status complain(std::string_view text) { return streams_.err(std::as_bytes(std::span(text))); }

 private:
  ssh::Streams streams_;
};

class FakeTransport final : public ssh::Transport {
 public:
  using Handler = std::function<Result<ssh::RemoteExit>(FakeCall&)>;
  explicit FakeTransport(std::string peer = "root@fake:22") : peer_(std::move(peer)) {}

  // Commands that begin with these words are answered by `handler`. Of several the one with the most words wins, then the
  // one named last. A command that nobody answers is an error, so that a test notices it.
  FakeTransport& on(Argv first_words, Handler handler) {
    scripts_.push_back({std::move(first_words), std::move(handler)});
    return *this;
  }
  // The common case: reads all of stdin, prints, ends.
  FakeTransport& answer(Argv first_words, std::string out, int code = 0, std::string err = {}) {
    return on(std::move(first_words), [out = std::move(out), code, err = std::move(err)](FakeCall& call) -> Result<ssh::RemoteExit> {
      CLOUDOS_TRY(call.input());
      CLOUDOS_TRY(call.print(out));
      CLOUDOS_TRY(call.complain(err));
      return ssh::RemoteExit{.code = code, .signal = {}};
    });
  }
  // The connection is lost once this many more commands have run.
  FakeTransport& cut_after(std::size_t commands) {
    left_ = commands;
    return *this;
  }
  // What was run, in order.
  std::vector<Argv> calls;

  Result<ssh::RemoteExit> run(const Argv& argv, ssh::Streams streams, Deadline deadline) override {
    if (closed_ || left_ == 0)
      return fail(Error{.kind = ErrorKind::network, .message = "the connection to " + peer_ + " is closed", .retryable = true});
    --left_;
    calls.push_back(argv);
    const Script* best = nullptr;
    for (const auto& script : scripts_)
      if (begins(argv, script.first_words) && (best == nullptr || script.first_words.words.size() >= best->first_words.words.size()))
        best = &script;
    if (best == nullptr) return fail(ErrorKind::failed, peer_ + ": nobody scripted the command " + quote(argv));
    FakeCall call(argv, std::move(streams), deadline);
    auto exit = best->handler(call);
    if (!exit) closed_ = true;
    return exit;
  }
  [[nodiscard]] std::string peer() const override { return peer_; }
  void close() override { closed_ = true; }

 private:
  struct Script {
    Argv first_words;
    Handler handler;
  };
  static bool begins(const Argv& argv, const Argv& first) {
    return first.words.size() <= argv.words.size() && std::equal(first.words.begin(), first.words.end(), argv.words.begin());
  }
  std::string peer_;
  std::vector<Script> scripts_;
  std::size_t left_ = static_cast<std::size_t>(-1);
  bool closed_ = false;
};

}  // namespace cloudos::test
