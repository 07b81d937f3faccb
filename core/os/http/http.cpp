#include "core/os/http/http.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <format>
#include <optional>
#include <random>
#include <thread>

#include "core/base/text.hpp"
#include "core/os/crypto/crypto.hpp"
#include "core/os/file/file.hpp"
#include "core/os/http/transfer.hpp"

namespace cloudos::os {
namespace {

constexpr unsigned tries_per_download = 6;  // the first and five retries

std::unexpected<Error> unexpected_status(const std::string& url, int status) {
  // RFC 9110 and RFC 6585: these may pass by themselves.
  const bool passing = status >= 500 || status == 408 || status == 425 || status == 429;
  return fail(
      Error{.kind = ErrorKind::network, .message = std::format("GET {}: HTTP status {}", shown(url), status), .retryable = passing});
}

// A file that grows under the name PATH.part while its digest is kept up to date.
class Partial {
 public:
  static Result<Partial> open_at(const std::string& path) {
    Partial partial;
    partial.path_ = path + ".part";
    CLOUDOS_TRY(make_folders(fs::absolute(path).parent_path()));
    CLOUDOS_ASSIGN(partial.fd_, open(partial.path_, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW));
    std::vector<std::byte> buffer(256U << 10);
    while (true) {
      const ssize_t n = ::pread(partial.fd_.get(), buffer.data(), buffer.size(), static_cast<off_t>(partial.size_.count));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail_errno("read " + partial.path_, errno);
      if (n == 0) return partial;
      partial.count(std::span(buffer).first(static_cast<std::size_t>(n)));
    }
  }

  [[nodiscard]] Bytes size() const { return size_; }

  Status append(std::span<const std::byte> bytes) {
    CLOUDOS_TRY_WITH(write_all(fd_.get(), bytes), "writing " + path_);
    count(bytes);
    return {};
  }

  Status start_over() {
    if (::ftruncate(fd_.get(), 0) != 0) return fail_errno("truncate " + path_, errno);
    size_ = {};
    digest_ = Sha256();
    return {};
  }

  // Gives the file its name when it is the expected one; removes it when it is not.
  Status finish(const std::string& path, const Digest& expected, const std::string& url) {
    if (const auto actual = digest_.finish(); actual != expected) {
      ::unlink(path_.c_str());
      return fail(ErrorKind::trust, std::format("{} has SHA-256 {}, not the expected {}", shown(url), actual.hex(), expected.hex()),
                  "it was changed or damaged where it is published, or on the way; nothing of it was kept");
    }
    if (::fsync(fd_.get()) != 0) return fail_errno("fsync " + path_, errno);
    if (::rename(path_.c_str(), path.c_str()) != 0) return fail_errno("rename to " + path, errno);
    return fsync_folder(fs::absolute(path).parent_path());
  }

 private:
  Partial() = default;
  void count(std::span<const std::byte> bytes) {
    digest_.update(bytes);
    size_.count += bytes.size();
  }

  std::string path_;
  Fd fd_;
  Bytes size_;
  Sha256 digest_;
};

using Progress = std::function<void(Bytes done, Bytes total)>;

// One request for what is still missing. Sets `resumed` when bytes of an earlier one were built upon.
Status fetch(const std::string& url, Partial& partial, const Progress& progress, bool& resumed) {
  Bytes total;
  resumed = partial.size().count > 0;
  const OnAnswer on_answer = [&](const HttpResponse& answer) -> Status {
    if (answer.status == 200 || answer.status == 416) {  // 416: there is no such range, so what is here is of something else
      if (resumed) CLOUDOS_TRY(partial.start_over());
      resumed = false;
      if (answer.status == 416) return fail(Error{.kind = ErrorKind::network, .message = shown(url) + " has changed", .retryable = true});
    } else if (!resumed || !starts_at(answer, partial.size().count)) {
      return unexpected_status(url, answer.status);
    }
    const auto length = answer.headers.find("content-length");
    if (length == answer.headers.end()) return {};
    if (const auto n = parse_number(length->second, 0, UINT64_MAX / 2)) total = partial.size() + Bytes{*n};
    return {};
  };
  const ByteSink body = [&](std::span<const std::byte> bytes) -> Status {
    CLOUDOS_TRY(partial.append(bytes));
    if (progress) progress(partial.size(), total);
    return {};
  };
  const auto answer = transfer({.url = url, .resume_from = partial.size().count}, on_answer, body);
  return answer ? Status{} : fail(answer.error());
}

// One try, from the partial file to the named one. A wrong digest of a file in pieces may come from an older piece: then
// the whole is worth another try.
Status try_once(const std::string& url, const std::string& path, const Digest& expected, const Progress& progress) {
  CLOUDOS_ASSIGN(auto partial, Partial::open_at(path));
  bool resumed = false;
  CLOUDOS_TRY(fetch(url, partial, progress, resumed));
  auto finished = partial.finish(path, expected, url);
  if (!finished) finished.error().retryable = resumed && finished.error().kind == ErrorKind::trust;
  return finished;
}

}  // namespace

Result<HttpResponse> http(const HttpRequest& request, const ByteSink& body) {
  return transfer(
      request,
      [&](const HttpResponse& answer) -> Status {
        const bool whole = answer.status == 200 || (answer.status == 206 && !starts_at(answer, request.resume_from));
        if (request.resume_from > 0 && whole)
          return fail(ErrorKind::network, std::format("{} does not resume from byte {}", shown(request.url), request.resume_from));
        return {};
      },
      body);
}

Milliseconds retry_delay(unsigned attempt, double random) {
  constexpr std::int64_t first = 500;
  constexpr std::int64_t longest = 30'000;
  const std::int64_t half = std::min(first << std::min(attempt, 10U), longest) / 2;
  return Milliseconds{half + static_cast<std::int64_t>(static_cast<double>(half) * std::clamp(random, 0.0, 1.0))};
}

Status download(const std::vector<std::string>& mirrors, const std::string& path, const Digest& expected, const Progress& progress) {
  if (mirrors.empty()) return fail(ErrorKind::usage, "no address to download " + path + " from");
  if (const auto there = sha256_file(path); there && there->digest == expected) return {};
  std::mt19937 generator{std::random_device{}()};
  std::uniform_real_distribution<double> jitter(0.0, 1.0);
  auto left = mirrors;  // without those that are not worth another try
  std::optional<Error> worst;
  for (unsigned attempt = 0; attempt < tries_per_download && !left.empty(); ++attempt) {
    const std::size_t turn = attempt % left.size();
    auto status = try_once(left[turn], path, expected, progress);
    if (status) return {};
    auto error = std::move(status).error();
    const bool again = error.retryable;
    if (error.kind == ErrorKind::io) return fail(std::move(error));  // this machine's disk: no mirror helps
    if (!worst || worst->kind != ErrorKind::trust) worst = std::move(error);
    if (!again) left.erase(left.begin() + static_cast<std::ptrdiff_t>(turn));
    else if (attempt + 1 < tries_per_download) std::this_thread::sleep_for(retry_delay(attempt, jitter(generator)));
  }
  return fail(std::move(*worst).with("downloading " + fs::path(path).filename().string()));
}

}  // namespace cloudos::os
