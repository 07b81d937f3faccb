// One command over one channel: pumps the three streams, answers sudo, reports the end.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "installer/ssh/command.hpp"
#include "installer/ssh/session.hpp"
#include "installer/ssh/transport.hpp"

namespace cloudos::ssh {

struct ChannelFree {
  void operator()(LIBSSH2_CHANNEL* channel) const { libssh2_channel_free(channel); }
};
using Channel = std::unique_ptr<LIBSSH2_CHANNEL, ChannelFree>;

// Gives the password for sudo, or the error that says how to give one.
using SudoPassword = std::function<Result<Secret>()>;

class Exec {
 public:
  Exec(Session& session, Wrapped wrapped, Streams& streams, SudoPassword sudo_password, Deadline deadline);
  Result<RemoteExit> run();
  // After a failed run(): sudo stopped before it read anything, for want of a terminal. The session is still good.
  [[nodiscard]] bool wants_tty() const { return wants_tty_; }

 private:
  enum class Moved { nothing, something, stuck };  // stuck: in the middle of a packet, see Session::sending

  Status open();
  Status pump();
  Result<bool> step();
  Result<Moved> read(int stream);
  Result<Moved> write();
  Result<bool> refill();
  Status answer_sudo();
  Status started_or_why();
  Result<RemoteExit> ending();

  Session& session_;
  Wrapped wrapped_;
  Streams& streams_;
  SudoPassword sudo_password_;
  Deadline deadline_;
  Channel channel_;
  Noise out_noise_, err_noise_;
  std::vector<std::byte> in_buffer_;   // what the channel reads into
  std::vector<std::byte> out_buffer_;  // what is being sent: [sent_, filled_)
  std::size_t sent_ = 0, filled_ = 0;
  std::size_t passwords_ = 0;  // how many sudo was given
  bool wants_tty_ = false;
  bool source_ended_ = false, eof_sent_ = false;
  bool reading_stuck_ = false, writing_stuck_ = false;
};

}  // namespace cloudos::ssh
