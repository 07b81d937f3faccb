#include "core/os/archive/archive.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cstring>
#include <format>
#include <functional>

#include "core/os/file/file.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace cloudos;
using Catch::Matchers::ContainsSubstring;
using cloudos::os::Entry;
using cloudos::test::TemporaryFolder;
namespace fs = std::filesystem;
using Kind = Entry::Kind;

namespace {

std::string tar_of(const std::function<void(os::TarWriter&)>& fill) {
  std::string out;
  os::TarWriter writer(into(out));
  fill(writer);
  REQUIRE(writer.finish());
  return out;
}

std::string tar_of(const std::vector<Entry>& entries) {
  return tar_of([&](os::TarWriter& writer) {
    for (const auto& entry : entries) REQUIRE(writer.add(entry, bytes_of(std::string(entry.size.count, 'x'))));
  });
}

// Changes the type of the first entry and puts its header's sum right again (POSIX.1, ustar: bytes 148 to 155).
std::string with_type(std::string tar, char type) {
  tar[156] = type;
  std::fill_n(tar.begin() + 148, 8, ' ');
  unsigned sum = 0;
  for (std::size_t i = 0; i < 512; ++i) sum += static_cast<unsigned char>(tar[i]);
  const auto text = std::format("{:06o}", sum);
  std::copy(text.begin(), text.end(), tar.begin() + 148);
  tar[154] = '\0';
  return tar;
}

std::string compressed(const std::string& plain, int (*filter)(archive*)) {
  std::string out(plain.size() + 65536, '\0');
  std::size_t used = 0;
  archive* a = archive_write_new();
  REQUIRE(filter(a) == ARCHIVE_OK);
  archive_write_set_format_raw(a);
  archive_write_set_bytes_in_last_block(a, 1);
  REQUIRE(archive_write_open_memory(a, out.data(), out.size(), &used) == ARCHIVE_OK);
  archive_entry* e = archive_entry_new();
  archive_entry_set_filetype(e, AE_IFREG);
  REQUIRE(archive_write_header(a, e) == ARCHIVE_OK);
  REQUIRE(archive_write_data(a, plain.data(), plain.size()) == static_cast<la_ssize_t>(plain.size()));
  archive_entry_free(e);
  REQUIRE(archive_write_free(a) == ARCHIVE_OK);
  out.resize(used);
  return out;
}

const os::Visit ignore = [](const Entry&, const ByteSource&) -> Status { return {}; };

std::string all_of(const ByteSource& content) {
  std::string out;
  std::array<std::byte, 100> buffer{};
  while (true) {
    const auto n = content(buffer);
    REQUIRE(n);
    if (*n == 0) return out;
    out.append(reinterpret_cast<const char*>(buffer.data()), *n);
  }
}

// "path kind target content" of each entry.
std::vector<std::string> listing(const std::string& tar) {
  std::vector<std::string> out;
  const auto status = os::read_tar(bytes_of(tar), [&](const Entry& entry, const ByteSource& content) -> Status {
    out.push_back(std::format("{} {} {} {}", entry.path, static_cast<int>(entry.kind), entry.target, all_of(content)));
    return {};
  });
  if (!status) out.push_back(status.error().text());
  return out;
}

mode_t mode_of(const fs::path& path) {
  struct stat info{};
  REQUIRE(::lstat(path.c_str(), &info) == 0);
  return info.st_mode & 07777;
}

}  // namespace

TEST_CASE("The same entries give the same bytes, without times, names or padding") {
  const auto fill = [](os::TarWriter& writer) {
    REQUIRE(writer.add(Entry{.path = "bin", .kind = Kind::folder, .mode = 0755}));
    REQUIRE(writer.add("bin/tool", "abc", 0755));
  };
  const auto tar = tar_of(fill);
  CHECK(tar == tar_of(fill));
  CHECK(tar.size() == 512 + 512 + 512 + 1024);
  const std::string_view header = std::string_view(tar).substr(512, 512);
  CHECK(header.substr(257, 5) == "ustar");
  CHECK(header.substr(136, 11) == "00000000000");          // mtime
  CHECK(header.substr(265, 64) == std::string(64, '\0'));  // user and group name
}

TEST_CASE("A writer's offset leads to each entry's content, also behind pax headers") {
  std::string out;
  os::TarWriter writer(into(out));
  const std::array paths{std::string("short"), std::string(90, 'a') + "/" + std::string(90, 'b'), std::string(300, 'c'),
                         std::string("größe")};
  std::vector<std::pair<std::size_t, std::string>> contents;
  for (const auto& path : paths) {
    CHECK(writer.offset().count % 512 == 0);
    const std::string content = "content of " + path;
    REQUIRE(writer.add(path, content));
    contents.emplace_back(writer.offset().count - (content.size() + 511) / 512 * 512, content);
  }
  REQUIRE(writer.finish());
  CHECK(writer.offset().count == out.size());
  for (const auto& [offset, content] : contents) CHECK(out.substr(offset, content.size()) == content);
}

TEST_CASE("What is written is read back: names of every length and script, links, folders, empty files") {
  const std::string deep = std::string(90, 'a') + "/" + std::string(90, 'b');
  const std::string longest = std::string(200, 'c') + "/" + std::string(200, 'd');
  const auto tar = tar_of([&](os::TarWriter& writer) {
    REQUIRE(writer.add(Entry{.path = "folder/", .kind = Kind::folder, .mode = 0755}));
    REQUIRE(writer.add("folder/empty", ""));
    for (const auto& path : {deep, longest, std::string("größe/名前")}) REQUIRE(writer.add(path, "x"));
    REQUIRE(writer.add(Entry{.path = "folder/link", .kind = Kind::symlink, .target = "../" + deep}));
    REQUIRE(writer.add(Entry{.path = "hard", .kind = Kind::hardlink, .target = "folder/empty"}));
  });
  CHECK(listing(tar) == std::vector<std::string>{"folder/ 1  ", "folder/empty 0  ", deep + " 0  x", longest + " 0  x", "größe/名前 0  x",
                                                 "folder/link 2 ../" + deep + " ", "hard 3 folder/empty "});
}

TEST_CASE("Plain, gzip, xz and zstd streams are read, by their content") {
  const auto tar = tar_of([](os::TarWriter& writer) { REQUIRE(writer.add("file", std::string(100'000, 'z'))); });
  const std::vector<std::string> expected{"file 0  " + std::string(100'000, 'z')};
  CHECK(listing(tar) == expected);
  CHECK(listing(compressed(tar, &archive_write_add_filter_gzip)) == expected);
  CHECK(listing(compressed(tar, &archive_write_add_filter_xz)) == expected);
  CHECK(listing(compressed(tar, &archive_write_add_filter_zstd)) == expected);
}

TEST_CASE("Other formats and filters are no tar") {
  const auto tar = tar_of({Entry{.path = "file"}});
  for (const auto& other : {compressed(tar, &archive_write_add_filter_bzip2), std::string("PK\x03\x04zip"), std::string("<html>404</html>"),
                            std::string(5000, 'x'), std::string()}) {
    const auto status = os::read_tar(bytes_of(other), ignore);
    REQUIRE_FALSE(status);
    CHECK(status.error().kind == ErrorKind::input);
    CHECK_THAT(status.error().message, ContainsSubstring("not a tar archive"));
  }
}

TEST_CASE("A hostile archive is refused with the entry's name, and nothing of it is left") {
  struct Case {
    const char* what;
    std::string tar;
    std::string entry, why;
  };
  const Entry link_up{.path = "d/up", .kind = Kind::symlink, .target = ".."};
  const std::vector<Case> cases{
      {"an absolute path", tar_of({{.path = "/etc/passwd"}}), "/etc/passwd", "is absolute"},
      {"a path with ..", tar_of({{.path = "ok"}, {.path = "a/../../b"}}), "a/../../b", "'..'"},
      {"a path of only ..", tar_of({{.path = "..", .kind = Kind::folder}}), "..", "'..'"},
      {"an absolute symlink", tar_of({{.path = "l", .kind = Kind::symlink, .target = "/etc"}}), "l", "outside"},
      {"a symlink out", tar_of({{.path = "d/l", .kind = Kind::symlink, .target = "../../x"}}), "d/l", "outside"},
      {"a symlink out of the root", tar_of({{.path = "l", .kind = Kind::symlink, .target = ".."}}), "l", "outside"},
      {"a symlink by way of a link",
       tar_of({{.path = "x", .kind = Kind::symlink, .target = "."}, {.path = "y", .kind = Kind::symlink, .target = "x/.."}}), "y",
       "outside"},
      {"a file below a link",
       tar_of({{.path = "s", .kind = Kind::folder}, {.path = "l", .kind = Kind::symlink, .target = "s"}, {.path = "l/f"}}), "l/f",
       "below a link"},
      {"a link below a link", tar_of({{.path = "d", .kind = Kind::symlink, .target = "."}, link_up}), "d/up", "below a link"},
      {"a file in a link's place", tar_of({{.path = "l", .kind = Kind::symlink, .target = "x"}, {.path = "./l"}}), "./l",
       "replaces a link"},
      {"an absolute hard link", tar_of({{.path = "h", .kind = Kind::hardlink, .target = "/etc/shadow"}}), "h", "outside"},
      {"a hard link out", tar_of({{.path = "h", .kind = Kind::hardlink, .target = "../x"}}), "h", "outside"},
      {"a character device", with_type(tar_of({{.path = "n"}}), '3'), "n", "device"},
      {"a block device", with_type(tar_of({{.path = "n"}}), '4'), "n", "device"},
      {"a FIFO", with_type(tar_of({{.path = "n"}}), '6'), "n", "FIFO"},
      {"a setuid file", tar_of({{.path = "su", .mode = 04755}}), "su", "setuid"},
      {"a setgid file", tar_of({{.path = "sg", .mode = 02755}}), "sg", "setgid"},
      {"a file for the root", tar_of({{.path = "."}}), ".", "root"},
      {"a long name", tar_of({{.path = std::string(300, 'n')}}), "nnn", "too long"},
      {"a deep path",
       tar_of({{.path =
                    [] {
                      std::string p;
                      for (int i = 0; i < 100; ++i) p += "d/";
                      return p + "f";
                    }()}}),
       "d/d/", "too deeply"},
  };
  for (const auto& c : cases) {
    INFO(c.what);
    const auto walked = os::read_tar(bytes_of(c.tar), ignore);
    REQUIRE_FALSE(walked);
    CHECK(walked.error().kind == ErrorKind::trust);
    CHECK_THAT(walked.error().message, ContainsSubstring("'" + c.entry) && ContainsSubstring(c.why));
    const TemporaryFolder folder;
    CHECK_FALSE(os::extract(bytes_of(c.tar), folder / "in/to"));
    CHECK_FALSE(fs::exists(folder / "in/to"));
  }
}

TEST_CASE("Control characters of an archive's names never reach the terminal") {
  const auto status = os::read_tar(bytes_of(tar_of({{.path = "/\033[2Jx"}})), ignore);
  REQUIRE_FALSE(status);
  CHECK_THAT(status.error().message, !ContainsSubstring("\033") && ContainsSubstring("\\x1b"));
}

TEST_CASE("An archive with more bytes or entries than allowed is refused before they are unpacked") {
  const auto tar = tar_of({{.path = "a", .size = 60_KiB}, {.path = "b", .size = 60_KiB}});
  CHECK(os::read_tar(bytes_of(tar), ignore, {.bytes = 120_KiB, .entries = 2}));
  const auto heavy = os::read_tar(bytes_of(tar), ignore, {.bytes = {120 * 1024 - 1}});
  REQUIRE_FALSE(heavy);
  CHECK(heavy.error().kind == ErrorKind::trust);
  CHECK_THAT(heavy.error().message, ContainsSubstring("'b'") && ContainsSubstring("120 KiB"));
  const auto many = os::read_tar(bytes_of(tar), ignore, {.entries = 1});
  REQUIRE_FALSE(many);
  CHECK_THAT(many.error().message, ContainsSubstring("'b'") && ContainsSubstring("1 entries"));

  const auto bomb = compressed(tar_of({{.path = "zeros", .size = 32_MiB}}), &archive_write_add_filter_gzip);
  CHECK(bomb.size() < 100'000);
  CHECK(os::read_tar(bytes_of(bomb), ignore, {.bytes = 1_MiB}).error().kind == ErrorKind::trust);
}

TEST_CASE("A stream cut off anywhere is an error, and extraction leaves nothing of it") {
  const auto tar = tar_of({{.path = "first", .size = 1_KiB}, {.path = "second", .size = 100_KiB}});
  for (const std::size_t length : {100UL, 600UL, 1700UL, 50'000UL}) {
    INFO(length);
    const TemporaryFolder folder;
    const auto status = os::extract(bytes_of(tar.substr(0, length)), folder / "to");
    REQUIRE_FALSE(status);
    CHECK(status.error().kind == ErrorKind::input);
    CHECK_FALSE(fs::exists(folder / "to"));
  }
}

TEST_CASE("A sparse file whose map does not cover its size is an error, not a shorter file") {
  const auto tar = os::read(CLOUDOS_SOURCE_DIR "/tests/fuzz/corpus/tar/pax-sparse.tar");
  REQUIRE(tar);
  const TemporaryFolder folder;
  const auto status = os::extract(bytes_of(*tar), folder / "to");
  REQUIRE_FALSE(status);
  CHECK_THAT(status.error().message, ContainsSubstring("does not have the 4096 bytes"));
}

TEST_CASE("Errors of the stream and of the visitor come through as they are") {
  const auto tar = tar_of({{.path = "file", .size = 300_KiB}});
  const ByteSource broken = [source = bytes_of(tar.substr(0, 200'000))](std::span<std::byte> room) mutable -> Result<std::size_t> {
    const auto n = source(room);
    return *n > 0 ? n : fail(ErrorKind::network, "the line broke");
  };
  const auto cut = os::read_tar(broken, [](const Entry&, const ByteSource& content) -> Status {
    std::array<std::byte, 4096> buffer{};
    while (true) {
      CLOUDOS_ASSIGN(const auto n, content(buffer));
      if (n == 0) return {};
    }
  });
  REQUIRE_FALSE(cut);
  CHECK(cut.error().message == "the line broke");
  CHECK(cut.error().kind == ErrorKind::network);
  const auto stopped =
      os::read_tar(bytes_of(tar), [](const Entry&, const ByteSource&) -> Status { return fail(ErrorKind::cancelled, "enough"); });
  REQUIRE_FALSE(stopped);
  CHECK(stopped.error().message == "enough");
}

TEST_CASE("A stream is read to its very end, so that a digest over it is over all of it") {
  const auto tar = tar_of({{.path = "file"}}) + std::string(1U << 20, '\0');
  std::size_t read = 0;
  const ByteSource counted = [&, source = bytes_of(tar)](std::span<std::byte> room) mutable {
    auto n = source(room);
    read += *n;
    return n;
  };
  REQUIRE(os::read_tar(counted, ignore));
  CHECK(read == tar.size());
}

TEST_CASE("An extracted folder has the archive's files, modes and links, whatever the umask") {
  const TemporaryFolder folder;
  const auto tar = tar_of([](os::TarWriter& writer) {
    REQUIRE(writer.add(Entry{.path = "./", .kind = Kind::folder, .mode = 0755}));
    REQUIRE(writer.add(Entry{.path = "./locked", .kind = Kind::folder, .mode = 0555}));
    REQUIRE(writer.add("./locked/tool", "#!", 0755));
    REQUIRE(writer.add("made/up/file", "content", 0640));
    REQUIRE(writer.add(Entry{.path = "made/link", .kind = Kind::symlink, .target = "../locked/tool"}));
    REQUIRE(writer.add(Entry{.path = "again", .kind = Kind::hardlink, .target = "made/up/file"}));
  });
  const mode_t before = ::umask(077);
  const auto status = os::extract(bytes_of(tar), folder / "to");
  ::umask(before);
  REQUIRE(status);
  CHECK(mode_of(folder / "to/locked") == 0555);
  CHECK(mode_of(folder / "to/locked/tool") == 0755);
  CHECK(mode_of(folder / "to/made/up") == 0755);
  CHECK(mode_of(folder / "to/made/up/file") == 0640);
  CHECK(*os::read(folder / "to/made/link") == "#!");
  CHECK(*os::read(folder / "to/again") == "content");
  CHECK(fs::hard_link_count(folder / "to/again") == 2);
}

TEST_CASE("Nothing is extracted over what is already there") {
  const TemporaryFolder folder;
  REQUIRE(os::write_atomic(folder / "to/mine", "mine", 0644));
  const auto status = os::extract(bytes_of(tar_of({{.path = "mine"}})), folder / "to");
  REQUIRE_FALSE(status);
  CHECK(status.error().kind == ErrorKind::conflict);
  CHECK(*os::read(folder / "to/mine") == "mine");
  const auto twice = os::extract(bytes_of(tar_of({{.path = "a"}, {.path = "./a"}})), folder / "fresh");
  REQUIRE_FALSE(twice);
  CHECK_THAT(twice.error().message, ContainsSubstring("'./a' is there twice"));
}

TEST_CASE("Archives of our own build are read as stored") {
  std::vector<Entry> seen;
  const auto tar = tar_of({{.path = "./bin/su", .size = 1_KiB, .mode = 04755}, {.path = "./l", .kind = Kind::symlink, .target = "/etc"}});
  REQUIRE(os::read_tar_trusted(bytes_of(tar), [&](const Entry& entry, const ByteSource&) -> Status {
    seen.push_back(entry);
    return {};
  }));
  REQUIRE(seen.size() == 2);
  CHECK(seen[0].path == "./bin/su");
  CHECK(seen[0].mode == 04755);
  CHECK(seen[0].size == 1_KiB);
  CHECK(seen[1].target == "/etc");
}

TEST_CASE("A file that changes its size while it is archived is an error, and the archive never looks whole") {
  for (const auto* content : {"1234", "123456"}) {
    std::string out;
    {
      os::TarWriter writer(into(out));
      REQUIRE(writer.add("before", "x"));
      const auto status = writer.add(Entry{.path = "file", .size = {5}}, bytes_of(content));
      REQUIRE_FALSE(status);
      CHECK_THAT(status.error().message, ContainsSubstring("file changed") && ContainsSubstring("5 bytes"));
    }
    CHECK(out.size() < 2048);
  }
}

TEST_CASE("A sink that fails fails the writer with its own error") {
  os::TarWriter writer([](std::span<const std::byte>) -> Status { return fail(ErrorKind::io, "disk full"); });
  const auto status = writer.add("file", "content");
  REQUIRE_FALSE(status);
  CHECK(status.error().message == "disk full");
}
