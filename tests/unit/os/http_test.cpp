#include "core/os/http/http.hpp"

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>

#include "core/os/crypto/crypto.hpp"
#include "core/os/file/file.hpp"
#include "core/os/process/process.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/unit/os/http_server.hpp"

using namespace cloudos;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using cloudos::test::HttpServer;
using cloudos::test::serve_range;
using cloudos::test::ServerAnswer;
using cloudos::test::ServerRequest;
using cloudos::test::TemporaryFolder;
namespace fs = std::filesystem;

namespace {

// A file large enough to come in many pieces.
const std::string& content() {
  static const std::string text = [] {
    std::string out;
    for (int i = 0; out.size() < 300'000; ++i) out += std::to_string(i) + ' ';
    return out;
  }();
  return text;
}

struct Got {
  Result<os::HttpResponse> answer;
  std::string body;
};
Got get(os::HttpRequest request) {
  ::setenv("no_proxy", "127.0.0.1", 1);  // the site's proxy does not know this machine's loopback
  Got got;
  got.answer = os::http(request, into(got.body));
  return got;
}

Status fetch(const std::vector<std::string>& urls, const fs::path& path) {
  ::setenv("no_proxy", "127.0.0.1", 1);
  return os::download(urls, path.string(), os::sha256(content()));
}

}  // namespace

TEST_CASE("An answer's status, headers and body are told, also of an error") {
  const HttpServer server([](const ServerRequest& request) {
    return request.path == "/there" ? ServerAnswer{.body = "hello", .headers = {{"X-Thing", "Value"}}}
                                    : ServerAnswer{.status = 404, .body = "no"};
  });
  const auto there = get({.url = server.url("/there")});
  REQUIRE(there.answer);
  CHECK(there.answer->status == 200);
  CHECK(there.answer->headers.at("x-thing") == "Value");
  CHECK(there.body == "hello");
  const auto missing = get({.url = server.url("/missing")});
  REQUIRE(missing.answer);
  CHECK(missing.answer->status == 404);
  CHECK(missing.body == "no");
}

TEST_CASE("A request's method, headers and body arrive") {
  const HttpServer server([](const ServerRequest& request) { return ServerAnswer{.status = 201, .body = request.body}; });
  const auto put = get({.url = server.url("/x"), .method = "PUT", .headers = {"X-Token: abc"}, .body = "payload"});
  REQUIRE(put.answer);
  CHECK(put.answer->status == 201);
  CHECK(put.body == "payload");
  CHECK(get({.url = server.url("/x"), .method = "HEAD"}).body.empty());
  const auto seen = server.requests();
  REQUIRE(seen.size() == 2);
  CHECK(seen[0].method == "PUT");
  CHECK(seen[0].headers.at("x-token") == "abc");
  CHECK(seen[1].method == "HEAD");
}

TEST_CASE("Redirects are followed as far as allowed") {
  const HttpServer server([](const ServerRequest& request) {
    if (request.path == "/end") return ServerAnswer{.body = "arrived"};
    return ServerAnswer{.status = 302, .body = "moved", .headers = {{"Location", request.path == "/start" ? "/end" : "/loop"}}};
  });
  const auto end = get({.url = server.url("/start")});
  REQUIRE(end.answer);
  CHECK(end.body == "arrived");
  CHECK(end.answer->headers.count("location") == 0);
  const auto loop = get({.url = server.url("/loop")});
  REQUIRE_FALSE(loop.answer);
  CHECK(loop.answer.error().kind == ErrorKind::network);
  CHECK_FALSE(loop.answer.error().retryable);
  CHECK(get({.url = server.url("/start"), .redirects = 0}).answer->status == 302);
}

TEST_CASE("A resumed request gets the rest, and a server that sends all again is an error") {
  const HttpServer ranges([](const ServerRequest& request) { return serve_range(request, content()); });
  const auto rest = get({.url = ranges.url("/f"), .resume_from = 1000});
  REQUIRE(rest.answer);
  CHECK(rest.answer->status == 206);
  CHECK(rest.body == content().substr(1000));
  const HttpServer whole([](const ServerRequest&) { return ServerAnswer{.body = content()}; });
  const auto all = get({.url = whole.url("/f"), .resume_from = 1000});
  REQUIRE_FALSE(all.answer);
  CHECK_THAT(all.answer.error().message, ContainsSubstring("does not resume from byte 1000"));
  CHECK(all.body.empty());
}

TEST_CASE("A server that goes silent is a timeout, one that is not there a network error, both worth a retry") {
  const HttpServer server([](const ServerRequest&) { return ServerAnswer{.body = content(), .stall_after = 5000}; });
  const auto start = std::chrono::steady_clock::now();
  const auto silent = get({.url = server.url("/f"), .stall = 1s});
  REQUIRE_FALSE(silent.answer);
  CHECK(std::chrono::steady_clock::now() - start < 30s);
  CHECK(silent.answer.error().kind == ErrorKind::timeout);
  CHECK(silent.answer.error().retryable);
  const auto nobody = get({.url = "http://127.0.0.1:1/"});
  REQUIRE_FALSE(nobody.answer);
  CHECK(nobody.answer.error().kind == ErrorKind::network);
  CHECK(nobody.answer.error().retryable);
}

TEST_CASE("A sink's error ends the request as it is") {
  const HttpServer server([](const ServerRequest&) { return ServerAnswer{.body = content()}; });
  ::setenv("no_proxy", "127.0.0.1", 1);
  const auto answer =
      os::http({.url = server.url("/f")}, [](std::span<const std::byte>) -> Status { return fail(ErrorKind::io, "disk full"); });
  REQUIRE_FALSE(answer);
  CHECK(answer.error().message == "disk full");
}

TEST_CASE("No error shows the credentials of a URL") {
  const auto got = get({.url = "http://user:hunter2@127.0.0.1:1/file?signature=hunter3"});
  REQUIRE_FALSE(got.answer);
  CHECK_THAT(got.answer.error().text(), ContainsSubstring("127.0.0.1:1/file") && !ContainsSubstring("hunter"));
  const auto odd = get({.url = "file:///etc/passwd"});
  REQUIRE_FALSE(odd.answer);
  CHECK(odd.answer.error().kind == ErrorKind::input);
  CHECK(odd.body.empty());
}

TEST_CASE("A certificate that nobody vouches for is refused, and accepted with its CA") {
  const TemporaryFolder folder;
  const auto certificate = (folder / "cert.pem").string();
  const auto key = (folder / "key.pem").string();
  REQUIRE(os::must({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=test",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2", "-keyout", key, "-out", certificate}));
  const HttpServer server(
      [](const ServerRequest& request) {
        if (request.path == "/down") return ServerAnswer{.status = 302, .headers = {{"Location", "http://127.0.0.1:1/"}}};
        return ServerAnswer{.body = "sealed"};
      },
      *os::read(certificate), *os::read(key));
  const auto unknown = get({.url = server.url("/")});
  REQUIRE_FALSE(unknown.answer);
  CHECK(unknown.answer.error().kind == ErrorKind::trust);
  CHECK_FALSE(unknown.answer.error().retryable);
  CHECK(server.requests().empty());
  const auto known = get({.url = server.url("/"), .ca_file = certificate});
  REQUIRE(known.answer);
  CHECK(known.body == "sealed");
  const auto down = get({.url = server.url("/down"), .ca_file = certificate});
  REQUIRE_FALSE(down.answer);
  CHECK(down.answer.error().kind == ErrorKind::input);  // from https only to https
}

TEST_CASE("A download has its name only when it is whole and what was expected") {
  const TemporaryFolder folder;
  const HttpServer server([](const ServerRequest& request) { return serve_range(request, content()); });
  Bytes last;
  Bytes total;
  ::setenv("no_proxy", "127.0.0.1", 1);
  REQUIRE(os::download({server.url("/f")}, (folder / "sub/file").string(), os::sha256(content()), [&](Bytes done, Bytes all) {
    CHECK_FALSE(fs::exists(folder / "sub/file"));
    last = done;
    total = all;
  }));
  CHECK(*os::read(folder / "sub/file") == content());
  CHECK(last.count == content().size());
  CHECK(total.count == content().size());
  CHECK_FALSE(fs::exists(folder / "sub/file.part"));
  REQUIRE(fetch({server.url("/f")}, folder / "sub/file"));
  CHECK(server.requests().size() == 1);  // it was there already
}

TEST_CASE("A broken download goes on where it broke") {
  const TemporaryFolder folder;
  std::atomic<int> count = 0;
  const HttpServer server([&](const ServerRequest& request) {
    auto answer = serve_range(request, content());
    if (count++ == 0) answer.cut_after = 100'000;
    return answer;
  });
  REQUIRE(fetch({server.url("/f")}, folder / "file"));
  CHECK(*os::read(folder / "file") == content());
  const auto seen = server.requests();
  REQUIRE(seen.size() == 2);
  CHECK(seen[1].headers.at("range") == "bytes=100000-");
}

TEST_CASE("A download of an earlier run is taken up, and started over where the server cannot resume") {
  const TemporaryFolder folder;
  const HttpServer ranges([](const ServerRequest& request) { return serve_range(request, content()); });
  REQUIRE(os::write_atomic(folder / "a.part", content().substr(0, 5000), 0644));
  REQUIRE(fetch({ranges.url("/f")}, folder / "a"));
  CHECK(*os::read(folder / "a") == content());
  CHECK(ranges.requests().at(0).headers.at("range") == "bytes=5000-");
  const HttpServer whole([](const ServerRequest&) { return ServerAnswer{.body = content()}; });
  REQUIRE(os::write_atomic(folder / "b.part", content().substr(0, 5000), 0644));
  REQUIRE(fetch({whole.url("/f")}, folder / "b"));
  CHECK(*os::read(folder / "b") == content());
}

TEST_CASE("A partial file of something else costs a second try and no more") {
  const TemporaryFolder folder;
  const HttpServer server([](const ServerRequest& request) { return serve_range(request, content()); });
  REQUIRE(os::write_atomic(folder / "short.part", "something else", 0644));
  REQUIRE(fetch({server.url("/f")}, folder / "short"));
  CHECK(*os::read(folder / "short") == content());
  REQUIRE(os::write_atomic(folder / "long.part", std::string(content().size() + 10, 'x'), 0644));
  REQUIRE(fetch({server.url("/f")}, folder / "long"));
  CHECK(*os::read(folder / "long") == content());
}

TEST_CASE("A file with the wrong digest is not kept, whatever the server calls it") {
  const TemporaryFolder folder;
  const HttpServer server([](const ServerRequest&) { return ServerAnswer{.body = content() + "!"}; });
  const auto status = fetch({server.url("/f?token=hunter2")}, folder / "file");
  REQUIRE_FALSE(status);
  CHECK(status.error().kind == ErrorKind::trust);
  CHECK_THAT(status.error().text(), ContainsSubstring(os::sha256(content()).hex()) && ContainsSubstring(os::sha256(content() + "!").hex()));
  CHECK_THAT(status.error().text(), !ContainsSubstring("hunter2"));
  CHECK(fs::is_empty(folder.path()));
  CHECK(server.requests().size() == 1);
}

TEST_CASE("The next mirror is asked when one is wrong, missing or failing") {
  const TemporaryFolder folder;
  const HttpServer wrong([](const ServerRequest&) { return ServerAnswer{.body = "wrong"}; });
  const HttpServer missing([](const ServerRequest&) { return ServerAnswer{.status = 404}; });
  std::atomic<int> count = 0;
  const HttpServer busy([&](const ServerRequest&) { return count++ == 0 ? ServerAnswer{.status = 503} : ServerAnswer{.body = content()}; });
  REQUIRE(fetch({wrong.url("/f"), missing.url("/f"), busy.url("/f")}, folder / "file"));
  CHECK(*os::read(folder / "file") == content());
  CHECK(wrong.requests().size() == 1);
  CHECK(missing.requests().size() == 1);
  CHECK(busy.requests().size() == 2);
}

TEST_CASE("A file that no mirror has is an error at once") {
  const TemporaryFolder folder;
  const HttpServer server([](const ServerRequest&) { return ServerAnswer{.status = 404, .body = "<html>"}; });
  const auto status = fetch({server.url("/f")}, folder / "file");
  REQUIRE_FALSE(status);
  CHECK_THAT(status.error().text(), ContainsSubstring("HTTP status 404") && ContainsSubstring("downloading file"));
  CHECK(server.requests().size() == 1);
  CHECK_FALSE(fs::exists(folder / "file"));
}

TEST_CASE("Retries come later and later, out of step, and never later than half a minute") {
  CHECK(os::retry_delay(0, 0.0) == 250ms);
  CHECK(os::retry_delay(0, 1.0) == 500ms);
  CHECK(os::retry_delay(3, 0.5) == 3000ms);
  CHECK(os::retry_delay(40, 1.0) == 30s);
}
