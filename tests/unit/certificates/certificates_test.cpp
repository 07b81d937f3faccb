#include <sys/stat.h>

#include <catch2/catch_test_macros.hpp>

#include "agent/certificates/certificates.hpp"
#include "core/os/crypto/crypto.hpp"
#include "core/os/file/file.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace cloudos;
using namespace cloudos::certificates;

TEST_CASE("the agent's own key is made once, is root's alone, and stays the same") {
  const test::TemporaryFolder folder;
  const auto where = folder.path() / "identity";
  const auto first = keep_own("n1", "10.0.0.4", where);
  REQUIRE(first);
  CHECK(first->starts_with("sha256:"));
  struct stat s{};
  REQUIRE(::stat((where / "key.pem").c_str(), &s) == 0);
  CHECK((s.st_mode & 07777U) == 0600);
  CHECK(keep_own("n1", "10.0.0.4", where).value() == *first);
  // One without its key is of no use to anybody.
  std::filesystem::remove(where / "key.pem");
  const auto second = keep_own("n1", "10.0.0.4", where);
  REQUIRE(second);
  CHECK(*second != *first);
}

TEST_CASE("a file's own certificate tells its expiry, with a key before it or behind; what holds none is left out") {
  const test::TemporaryFolder folder;
  const auto made = os::make_identity("n1", {"10.0.0.4"}).value();
  const auto key = std::string(made.key.reveal());
  REQUIRE(os::make_folders(folder.path() / "etc", 0755));
  REQUIRE(os::write_atomic(folder.path() / "etc/a.pem", key + made.certificate, 0600));
  REQUIRE(os::write_atomic(folder.path() / "etc/b.pem", made.certificate + key, 0600));
  REQUIRE(os::write_atomic(folder.path() / "etc/c.pem", key, 0600));
  const auto found = expiries({"/etc/a.pem", "/etc/b.pem", "/etc/c.pem", "/etc/none.pem"}, folder.path());
  REQUIRE(found.size() == 2);
  CHECK(found[0].path == "/etc/a.pem");
  CHECK(found[1].path == "/etc/b.pem");
  for (const auto& each : found) CHECK(each.expires_s == os::expiry(made.certificate).value());
}
