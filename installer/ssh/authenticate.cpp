#include "installer/ssh/authenticate.hpp"

#include <openssl/crypto.h>
#include <sys/stat.h>

#include <algorithm>
#include <format>
#include <optional>

#include "core/base/text.hpp"
#include "core/os/file/file.hpp"
#include "installer/ssh/agent_keys.hpp"

namespace cloudos::ssh {

namespace {

// What the keyboard-interactive callback, a C function, reaches through libssh2's abstract pointer.
struct Questions {
  const Prompts* prompts;
  const std::optional<Secret>* password;
  std::string peer;
  int rounds = 0;
};

std::optional<Secret> answer(const Questions& questions, const std::string& text, bool echo) {
  // The password is for the first hidden question only: a one-time code asked for afterwards is another thing.
  if (!echo && *questions.password && questions.rounds == 1) return *questions.password;
  if (!questions.prompts->secret) return std::nullopt;
  return questions.prompts->secret(std::format("{}: {}", questions.peer, sanitise(text)));
}

// NOLINTNEXTLINE(bugprone-easily-swappable-parameters): libssh2's signature.
void answer_all(const char*, int, const char*, int, int count, const LIBSSH2_USERAUTH_KBDINT_PROMPT* prompts,
                LIBSSH2_USERAUTH_KBDINT_RESPONSE* responses, void** abstract) {
  auto* questions = static_cast<Questions*>(*abstract);
  if (count > 0) ++questions->rounds;
  for (int i = 0; i < count; ++i) {
    const std::string text(reinterpret_cast<const char*>(prompts[i].text), prompts[i].length);
    const auto given = answer(*questions, text, prompts[i].echo != 0);
    const std::string_view bytes = given ? given->reveal() : std::string_view{};
    responses[i].text = static_cast<char*>(std::malloc(bytes.size() + 1));  // NOLINT(*-no-malloc): libssh2 frees it
    if (responses[i].text == nullptr) continue;
    std::ranges::copy(bytes, responses[i].text);
    responses[i].length = static_cast<unsigned>(bytes.size());
  }
}

class Attempt {
 public:
  Attempt(Session& session, const Identity& identity, const Prompts& prompts, Milliseconds step_timeout, Log& log)
      : session_(session), identity_(identity), prompts_(prompts), step_timeout_(step_timeout), log_(log), password_(identity.password) {}

  Result<std::optional<Secret>> run() {
    CLOUDOS_TRY(ask_methods());
    if (done_) return std::optional<Secret>{};
    if (offered("publickey")) {
      CLOUDOS_TRY(try_keys());
      if (done_) return std::optional<Secret>{};
    }
    CLOUDOS_TRY(try_password());
    if (done_) return password_;
    return fail(
        ErrorKind::auth,
        std::format("{} accepts none of our credentials; tried: {}", session_.peer(), tried_.empty() ? "nothing" : join(tried_, ", ")),
        std::format("the machine takes {}; give a key with --key, load one into ssh-agent, or give a password with --ask-password or "
                    "--password-file",
                    sanitise(join(methods_, ", "))));
  }

 private:
  [[nodiscard]] Deadline step_end() const { return in(step_timeout_); }
  [[nodiscard]] bool offered(std::string_view method) const { return std::ranges::contains(methods_, method); }

  Status ask_methods() {
    char* list = nullptr;
    const auto& user = identity_.user;
    CLOUDOS_TRY(session_.finish(
        [&] {
          list = libssh2_userauth_list(session_.get(), user.data(), static_cast<unsigned>(user.size()));
          return list != nullptr ? 0 : libssh2_session_last_errno(session_.get());
        },
        step_end(), "asking how to log in"));
    // Null means that no credential was needed, or an error.
    if (list != nullptr) methods_ = split(list, ',');
    else if (libssh2_userauth_authenticated(session_.get()) != 0) done_ = true;
    else return std::unexpected(session_.error("asking how to log in"));
    return {};
  }

  // The outcome of one try: done, refused (noted), or an error that ends it all.
  Status note(int status, std::string what) {
    if (status == 0) {
      log_.debug("{}: logged in with {}", session_.peer(), what);
      done_ = true;
      return {};
    }
    tried_.push_back(std::move(what));
    // libssh2 has no status of its own for a goodbye in the middle of a login: sshd's MaxAuthTries.
    if (status != LIBSSH2_ERROR_AUTHENTICATION_FAILED && session_.hung_up(Milliseconds{500}))
      return fail(ErrorKind::auth,
                  std::format("{} closed the connection while we logged in; tried: {}", session_.peer(), join(tried_, ", ")),
                  "it may allow only a few tries: give the right key with --key instead of offering all that the agent has");
    return {};
  }

  Status try_keys() {
    for (const auto& file : identity_.files) {
      CLOUDOS_TRY(try_file(file, true));
      if (done_) return {};
    }
    if (identity_.agent) CLOUDOS_TRY(try_agent(std::nullopt));
    if (done_) return {};
    for (const auto& file : identity_.maybe_files) {
      CLOUDOS_TRY(try_file(file, false));
      if (done_) return {};
    }
    return {};
  }

  // All of the agent's keys, or the one whose public half is `only`.
  Status try_agent(std::optional<std::string> only) {
    CLOUDOS_ASSIGN(auto agent, AgentKeys::open(session_, step_end(), log_));
    if (!agent) return {};
    for (auto* key : agent->keys()) {
      if (only && std::string_view(reinterpret_cast<const char*>(key->blob), key->blob_len) != *only) continue;
      CLOUDOS_ASSIGN(const int status,
                     session_.finish([&] { return agent->log_in(identity_.user, key); }, step_end(), "logging in with the agent's key"));
      CLOUDOS_TRY(note(status, std::format("the agent's key {}", sanitise(key->comment != nullptr ? key->comment : "without a name"))));
      if (done_) return {};
    }
    return {};
  }

  Status try_file(const std::string& file, bool named) {
    CLOUDOS_ASSIGN(const auto text, os::read_if_any(file, 1U << 20));
    if (!text) {
      if (!named) return {};
      return fail(ErrorKind::auth, std::format("there is no key file {}", file), "give the private key's path with --key");
    }
    const Secret key{*text};
    switch (protection_of(key.reveal())) {
      case KeyProtection::not_a_key:
        if (!named) return {};
        return fail(ErrorKind::auth, std::format("{} is not a private key", file),
                    file.ends_with(".pub") ? "give the file without .pub" : "give an OpenSSH or PEM private key");
      case KeyProtection::passphrase: return try_encrypted(file, key, named);
      case KeyProtection::none: break;
    }
    CLOUDOS_TRY(check_mode(file));
    return try_key(file, key, Secret{});
  }

  // ssh refuses keys that others can read, for the same reason.
  Status check_mode(const std::string& file) const {
    struct stat s{};
    if (::stat(file.c_str(), &s) == 0 && (s.st_mode & 077) == 0) return {};
    return fail(ErrorKind::auth, std::format("the private key {} can be read by others (mode {:04o})", file, s.st_mode & 07777),
                std::format("chmod 600 {}", file));
  }

  Status try_encrypted(const std::string& file, const Secret& key, bool named) {
    // The agent may hold it opened; its .pub says which one it is.
    if (const auto pub = os::read_if_any(file + ".pub", 1U << 16); pub && *pub) {
      if (auto blob = public_key_bytes(**pub)) CLOUDOS_TRY(try_agent(std::move(blob)));
      if (done_) return {};
    }
    std::optional<Secret> passphrase = identity_.passphrase;
    if (!passphrase && prompts_.secret) passphrase = prompts_.secret(std::format("passphrase of {}", file));
    if (passphrase) return try_key(file, key, *passphrase);
    if (!named) {
      tried_.push_back(std::format("{} (encrypted, no passphrase given)", file));
      return {};
    }
    return fail(ErrorKind::auth, std::format("the key {} is encrypted and no passphrase was given", file),
                std::format("run it on a terminal to be asked, or load the key first: ssh-add {}", file));
  }

  Status try_key(const std::string& file, const Secret& key, const Secret& passphrase) {
    const std::string phrase(passphrase.reveal());
    const std::string text(key.reveal());
    const auto& user = identity_.user;
    auto status = session_.finish(
        [&] {
          return libssh2_userauth_publickey_frommemory(session_.get(), user.data(), user.size(), nullptr, 0, text.data(), text.size(),
                                                       phrase.c_str());
        },
        step_end(), "logging in with a key");
    OPENSSL_cleanse(const_cast<char*>(phrase.data()), phrase.size());
    OPENSSL_cleanse(const_cast<char*>(text.data()), text.size());
    if (!status) return std::unexpected(std::move(status).error());
    // Everything but the server's refusal means that the key itself could not be opened.
    if (*status == LIBSSH2_ERROR_FILE || *status == LIBSSH2_ERROR_KEYFILE_AUTH_FAILED || *status == LIBSSH2_ERROR_METHOD_NONE) {
      if (!passphrase.empty())
        return fail(ErrorKind::auth, std::format("the passphrase does not open the key {}", file), "try again with the right passphrase");
      return fail(ErrorKind::auth, std::format("the key {} cannot be used: {}", file, session_.error("reading it").message),
                  "use an ed25519, ecdsa or rsa key");
    }
    return note(*status, file);
  }

  Status try_password() {
    const bool plain = offered("password"), interactive = offered("keyboard-interactive");
    if (!plain && !interactive) return {};
    if (!password_ && prompts_.secret) password_ = prompts_.secret(std::format("password of {}", session_.peer()));
    if (!password_ && !interactive) return {};
    const auto& user = identity_.user;
    if (plain && password_) {
      const auto secret = password_->reveal();
      CLOUDOS_ASSIGN(const int status, session_.finish(
                                           [&] {
                                             return libssh2_userauth_password_ex(session_.get(), user.data(),
                                                                                 static_cast<unsigned>(user.size()), secret.data(),
                                                                                 static_cast<unsigned>(secret.size()), nullptr);
                                           },
                                           step_end(), "logging in with a password"));
      CLOUDOS_TRY(note(status, "the password"));
      if (done_) return {};
    }
    if (!interactive || (!password_ && !prompts_.secret)) return {};
    return try_interactive();
  }

  Status try_interactive() {
    Questions questions{.prompts = &prompts_, .password = &password_, .peer = session_.peer()};
    void** abstract = libssh2_session_abstract(session_.get());
    *abstract = &questions;
    const auto& user = identity_.user;
    auto status = session_.finish(
        [&] {
          return libssh2_userauth_keyboard_interactive_ex(session_.get(), user.data(), static_cast<unsigned>(user.size()), answer_all);
        },
        step_end() + std::chrono::minutes(prompts_.secret ? 2 : 0), "answering the machine's questions");
    *abstract = nullptr;
    if (!status) return std::unexpected(std::move(status).error());
    return note(*status, "keyboard-interactive");
  }

  Session& session_;
  const Identity& identity_;
  const Prompts& prompts_;
  Milliseconds step_timeout_;
  Log& log_;
  std::optional<Secret> password_;
  std::vector<std::string> methods_, tried_;
  bool done_ = false;
};

}  // namespace

KeyProtection protection_of(std::string_view key_file) {
  const auto begin = key_file.find("-----BEGIN ");
  if (begin == std::string_view::npos || !key_file.substr(begin, 80).contains("PRIVATE KEY-----")) return KeyProtection::not_a_key;
  if (key_file.contains("BEGIN ENCRYPTED PRIVATE KEY") || key_file.contains("Proc-Type: 4,ENCRYPTED")) return KeyProtection::passphrase;
  if (!key_file.contains("BEGIN OPENSSH PRIVATE KEY")) return KeyProtection::none;
  // base64 of "openssh-key-v1\0" and of the cipher's name, which is "none".
  return key_file.contains("b3BlbnNzaC1rZXktdjEAAAAABG5vbmU") ? KeyProtection::none : KeyProtection::passphrase;
}

Result<std::optional<Secret>> authenticate(Session& session, const Identity& identity, const Prompts& prompts, Milliseconds step_timeout,
                                           Log& log) {
  return Attempt(session, identity, prompts, step_timeout, log).run();
}

}  // namespace cloudos::ssh
