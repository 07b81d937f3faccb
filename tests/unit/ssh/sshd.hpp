// A real sshd on a free port of 127.0.0.1, with keys, users and files of its own, gone when the object goes.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "installer/ssh/transport.hpp"

namespace cloudos::ssh::test {

namespace fs = std::filesystem;

// A folder under /tmp that is removed at the end.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] const fs::path& path() const { return path_; }
  [[nodiscard]] fs::path operator/(const std::string& name) const { return path_ / name; }

 private:
  fs::path path_;
};

void write(const fs::path& file, const std::string& text, int mode = 0600);
std::string read(const fs::path& file);
// Runs a program of the build root and fails the test when that fails.
std::string must_run(const Argv& argv);
// ssh-keygen: gives the private key's path; its public half stands beside it.
fs::path make_key(const fs::path& file, const std::string& type, const std::string& passphrase = "");

struct SshdOptions {
  std::vector<std::string> host_key_types = {"ed25519", "ecdsa", "rsa"};
  std::string config;                             // appended to sshd_config
  std::string shell = "/bin/sh";                  // login shell of the user "ops"
  std::vector<std::string> authorized_keys = {};  // public key lines, for root and ops
  std::string sudo;                               // a script: stands as `sudo` in ops' PATH; "": none
  std::string sudoers;                            // for the real sudo: stands as /etc/sudoers
  bool without_sudo = false;                      // ops' PATH has all of /usr/bin but sudo
};

// The options of a machine whose user ops becomes "root" by a sudo that behaves as sudo -S does: the prompt on stderr, a lecture
// before it, one line of stdin read byte by byte, three tries: what the real one does, without its delays after a wrong password.
SshdOptions with_sudo(const std::string& password);

// Knows the users root (keys only) and ops (uid 4321, password "correct horse"); sshd and all below it see a passwd, a
// shadow and /home of their own, in a mount namespace of their own.
class Sshd {
 public:
  explicit Sshd(SshdOptions options = {});
  ~Sshd();
  Sshd(const Sshd&) = delete;
  Sshd& operator=(const Sshd&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] const Folder& folder() const { return folder_; }
  [[nodiscard]] fs::path user_key() const { return folder_ / "user"; }  // an ed25519 key that both users accept
  [[nodiscard]] fs::path known_hosts() const { return folder_ / "known_hosts"; }
  [[nodiscard]] fs::path home() const { return folder_ / "home"; }    // of ops
  [[nodiscard]] std::string host_key(const std::string& type) const;  // "ssh-ed25519 AAAA…"
  [[nodiscard]] std::string log() const { return read(folder_ / "log"); }
  // For root with the key, all host keys known.
  [[nodiscard]] Options options() const;
  void stop();
  // Stops and continues it and all its sessions, as a machine that hangs does.
  void freeze() const;
  void thaw() const;

 private:
  void write_config(const SshdOptions& options);
  void write_users(const SshdOptions& options);
  void start();
  [[nodiscard]] std::vector<int> family() const;  // its process and all below it

  Folder folder_;
  std::uint16_t port_ = 0;
  int pid_ = -1;
};

std::uint16_t free_port();

struct Ran {
  RemoteExit exit;
  std::string out, err;
};
// Runs and collects; in: what the command reads.
Result<Ran> run(Transport& transport, const Argv& argv, std::string in = {}, Milliseconds limit = Milliseconds{20'000});

}  // namespace cloudos::ssh::test
