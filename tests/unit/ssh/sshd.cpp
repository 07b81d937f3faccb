#include "sshd.hpp"

#include <arpa/inet.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <csignal>
#include <format>
#include <fstream>
#include <map>
#include <thread>

#include "core/os/file/file.hpp"
#include "core/os/process/process.hpp"

namespace cloudos::ssh::test {

namespace {

// crypt(3) of "correct horse".
constexpr auto ops_password = "$6$cloudos$aGYdJVL4KSY1/6KDptfyaa2vAb.lP6vJ/egvuiBRONRLImVWXL908xpeTKxk1xZHdNulN8iJl6753.b8l63sP0";

bool answers(std::uint16_t port) {
  const os::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

}  // namespace

Folder::Folder() {
  std::string name = "/tmp/cloudos-ssh-XXXXXX";
  REQUIRE(::mkdtemp(name.data()) != nullptr);
  path_ = name;
  ::chmod(name.c_str(), 0755);
}

Folder::~Folder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void write(const fs::path& file, const std::string& text, int mode) {
  fs::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << text;
  REQUIRE(::chmod(file.c_str(), static_cast<mode_t>(mode)) == 0);
}

std::string read(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string must_run(const Argv& argv) {
  auto out = os::must(argv);
  INFO((out ? std::string() : out.error().text()));
  REQUIRE(out);
  return *out;
}

fs::path make_key(const fs::path& file, const std::string& type, const std::string& passphrase) {
  must_run({"ssh-keygen", "-q", "-t", type, "-N", passphrase, "-C", "test " + type, "-f", file.string()});
  return file;
}

std::uint16_t free_port() {
  const os::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  socklen_t size = sizeof address;
  REQUIRE(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  return ntohs(address.sin_port);
}

SshdOptions with_sudo(const std::string& password) {
  return {.sudo = std::format(R"sh(#!/bin/sh
[ "$1" = -S ] && [ "$2" = -p ] && [ "$4" = -- ] || {{ echo "usage: sudo $*" >&2; exit 1; }}
prompt=$3; shift 4
echo "We trust you have received the usual lecture from the local System Administrator." >&2
for try in 1 2 3; do
  printf %s "$prompt" >&2
  IFS= read -r given || {{ echo >&2; echo "sudo: no password was provided" >&2; exit 1; }}
  echo try >> "$HOME/tries"
  [ "$given" = '{}' ] && exec "$@"
  echo "Sorry, try again." >&2
done
echo "sudo: 3 incorrect password attempts" >&2
exit 1
)sh",
                              password)};
}

Sshd::Sshd(SshdOptions options) : port_(free_port()) {
  fs::create_directories("/run/sshd");
  make_key(user_key(), "ed25519");
  std::string keys = read(user_key().string() + ".pub");
  for (const auto& key : options.authorized_keys) keys += key + "\n";
  write(folder_ / "authorized_keys", keys, 0644);
  std::string known;
  for (const auto& type : options.host_key_types) {
    make_key(folder_ / ("host_" + type), type);
    known += std::format("[127.0.0.1]:{} {}\n", port_, host_key(type));
  }
  write(known_hosts(), known);
  write_users(options);
  write_config(options);
  start();
}

Sshd::~Sshd() { stop(); }

void Sshd::stop() {
  if (pid_ < 0) return;
  // Its sessions lead process groups of their own: those of this very sshd are found by descent.
  for (const int pid : family()) {
    ::kill(pid, SIGKILL);
    ::kill(pid, SIGCONT);
  }
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

std::vector<int> Sshd::family() const {
  std::multimap<int, int> children;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    // proc_pid_stat(5): "pid (name) state ppid"; the name may hold anything.
    // A process may end while it is looked at, which a stream would throw for.
    const auto content = os::read_if_any(entry.path() / "stat");
    if (!content || !*content) continue;
    const std::string& stat = **content;
    const auto at = stat.rfind(") ");
    if (at != std::string::npos) children.emplace(std::stoi(stat.substr(at + 4)), std::stoi(name));
  }
  std::vector<int> all{pid_};
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto [from, to] = children.equal_range(all[i]);
    for (auto it = from; it != to; ++it) all.push_back(it->second);
  }
  return all;
}

void Sshd::freeze() const {
  for (const int pid : family()) ::kill(pid, SIGSTOP);
}

void Sshd::thaw() const {
  for (const int pid : family()) ::kill(pid, SIGCONT);
}

std::string Sshd::host_key(const std::string& type) const {
  const std::string line = read(folder_ / ("host_" + type + ".pub"));
  return line.substr(0, line.find(' ', line.find(' ') + 1));
}

Options Sshd::options() const {
  Options o{.host = "127.0.0.1", .port = port_, .user = "root", .identity_file = user_key().string()};
  o.known_hosts_file = known_hosts().string();
  o.ssh_config_file = (folder_ / "ssh_config").string();
  o.connect_timeout = Milliseconds{10'000};
  return o;
}

void Sshd::write_config(const SshdOptions& options) {
  std::string text = std::format(
      "Port {}\nListenAddress 127.0.0.1\nPidFile none\nUsePAM yes\nPasswordAuthentication yes\nKbdInteractiveAuthentication no\n"
      "PermitRootLogin prohibit-password\nAuthorizedKeysFile {}/authorized_keys\nStrictModes no\nPrintMotd no\nLogLevel VERBOSE\n",
      port_, folder_.path().string());
  for (const auto& type : options.host_key_types) text += std::format("HostKey {}/host_{}\n", folder_.path().string(), type);
  if (!options.sudo.empty()) text += std::format("SetEnv PATH={}/bin:/usr/bin:/bin\n", folder_.path().string());
  if (options.without_sudo) text += std::format("SetEnv PATH={}/bin\n", folder_.path().string());
  // libssh2 1.11.1 loses 48 bytes for each direction of an AES-GCM session; without it leaks of our own stand out.
  text += "Ciphers chacha20-poly1305@openssh.com,aes128-ctr\n";
  // sshd takes the first value of a keyword.
  write(folder_ / "sshd_config", options.config + "\n" + text);
  write(folder_ / "ssh_config", "");
}

void Sshd::write_users(const SshdOptions& options) {
  write(folder_ / "passwd", read("/etc/passwd") + std::format("ops:x:4321:4321::{}:{}\n", home().string(), options.shell), 0644);
  write(folder_ / "shadow", read("/etc/shadow") + std::format("ops:{}:20000:0:99999:7:::\n", ops_password));
  fs::create_directories(home());
  REQUIRE(::chown(home().c_str(), 4321, 4321) == 0);
  if (!options.sudo.empty()) write(folder_ / "bin" / "sudo", options.sudo, 0755);
  if (options.without_sudo) {
    fs::create_directories(folder_ / "bin");
    for (const auto& entry : fs::directory_iterator("/usr/bin"))
      if (entry.path().filename() != "sudo") fs::create_symlink(entry.path(), folder_ / "bin" / entry.path().filename());
  }
  if (!options.sudoers.empty()) write(folder_ / "sudoers", options.sudoers, 0440);
}

void Sshd::start() {
  const auto config = folder_ / "sshd_config";
  const auto log = folder_ / "log";
  const auto passwd = folder_ / "passwd", shadow = folder_ / "shadow";
  const auto sudoers = folder_ / "sudoers";
  const bool with_sudoers = fs::exists(sudoers);
  const int parent = ::getpid();
  pid_ = ::fork();
  REQUIRE(pid_ >= 0);
  if (pid_ == 0) {
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent) ::_exit(1);
    if (::unshare(CLONE_NEWNS) != 0) ::_exit(1);
    // In a chroot "/" is no mount point; then ./dev has made everything private already.
    ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    const bool ready = ::mount(passwd.c_str(), "/etc/passwd", nullptr, MS_BIND, nullptr) == 0 &&
                       ::mount(shadow.c_str(), "/etc/shadow", nullptr, MS_BIND, nullptr) == 0 &&
                       (!with_sudoers || ::mount(sudoers.c_str(), "/etc/sudoers", nullptr, MS_BIND, nullptr) == 0);
    if (!ready) {
      ::perror("sshd's namespace");
      ::_exit(1);
    }
    ::execl("/usr/sbin/sshd", "/usr/sbin/sshd", "-D", "-f", config.c_str(), "-E", log.c_str(), nullptr);
    ::_exit(127);
  }
  ::setpgid(pid_, pid_);
  for (int i = 0; i < 250 && !answers(port_); ++i) {
    INFO(this->log());
    REQUIRE(::waitpid(pid_, nullptr, WNOHANG) == 0);
    std::this_thread::sleep_for(Milliseconds{20});
  }
}

Result<Ran> run(Transport& transport, const Argv& argv, std::string in, Milliseconds limit) {
  Ran ran;
  Streams streams{.in = bytes_of(std::move(in)), .out = into(ran.out), .err = into(ran.err)};
  CLOUDOS_ASSIGN(ran.exit, transport.run(argv, std::move(streams), cloudos::in(limit)));
  return ran;
}

}  // namespace cloudos::ssh::test
