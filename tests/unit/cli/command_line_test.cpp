#include <catch2/catch_test_macros.hpp>

#include <filesystem>
#include <format>

#include "core/base/text.hpp"
#include "core/os/file/file.hpp"
#include "core/os/process/process.hpp"
#include "installer/cli/program.hpp"
#include "installer/cli/tree.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace cloudos;

namespace {

// The program's own main in a child of its own: exit status and both streams as a user gets them.
os::Output cloudos_says(Argv words, const std::string& home = "/nonexistent") {
  Argv argv{CLOUDOS_PROGRAM};
  for (auto& word : words.words) argv += std::move(word);
  auto said = os::capture(argv, {.environment = {{"HOME", home}, {"XDG_CONFIG_HOME", ""}, {"XDG_STATE_HOME", ""}}});
  REQUIRE(said);
  return *said;
}

void each_command(const cli::CommandEntry& entry, const std::function<void(const cli::CommandEntry&)>& visit) {
  visit(entry);
  for (const auto& command : entry.commands) each_command(command, visit);
}

cli::CommandEntry whole_tree() {
  cli::Context context;
  return cli::tree_of(*cli::make_app(context));
}

}  // namespace

TEST_CASE("an unknown flag exits 2 and names the nearest one") {
  const auto said = cloudos_says({"install", "--mastrs", "10.0.0.1"});
  CHECK(said.exit.code == 2);
  CHECK(said.err.contains("unknown flag '--mastrs'"));
  CHECK(said.err.contains("did you mean '--masters'?"));
}

TEST_CASE("an unknown command exits 2 and names the nearest one") {
  const auto said = cloudos_says({"instal"});
  CHECK(said.exit.code == 2);
  CHECK(said.err.contains("did you mean 'install'?"));
}

TEST_CASE("an error is one JSON record with --json") {
  const auto said = cloudos_says({"--json", "install", "--mastrs"});
  CHECK(said.exit.code == 2);
  CHECK(said.err.starts_with(R"({"error":{)"));
  CHECK(std::count(said.err.begin(), said.err.end(), '\n') == 1);
}

TEST_CASE("all that is wrong with the machines given is told at once, exit 2, and nothing is contacted") {
  const test::TemporaryFolder home;
  const auto said = cloudos_says({"install", "--masters", "10.0.0.1,10.0.0.1", "--nodes", "Bad_Host"}, home.path());
  CHECK(said.exit.code == 2);
  CHECK(said.err.contains("10.0.0.1"));
  CHECK(said.err.contains("Bad_Host"));
}

TEST_CASE("a bundle that is not there exits 2 before any machine is contacted") {
  const test::TemporaryFolder home;
  const auto said = cloudos_says({"install", "--masters", "192.0.2.1", "--bundle", "/nonexistent.bundle"}, home.path());
  CHECK(said.exit.code == 2);
  CHECK(said.err.contains("/nonexistent.bundle"));
  CHECK(said.err.contains("--bundle"));
}

TEST_CASE("a password file that others may read is refused, exit 2") {
  const test::TemporaryFolder home;
  REQUIRE(os::write_atomic(home / "password", "geheim\n", 0644));
  const auto said = cloudos_says({"install", "--masters", "192.0.2.1", "--password-file", (home / "password").string()}, home.path());
  CHECK(said.exit.code == 2);
  CHECK(said.err.contains("password"));
  CHECK_FALSE(said.err.contains("geheim"));
}

TEST_CASE("status without a cluster says how to name one, exit 2") {
  const test::TemporaryFolder home;
  const auto said = cloudos_says({"status"}, home.path());
  CHECK(said.exit.code == 2);
  CHECK(said.err.contains("--masters"));
}

TEST_CASE("reset without a terminal asks for --yes instead of going ahead") {
  const test::TemporaryFolder home;
  const auto said = cloudos_says({"reset", "--masters", "127.0.0.1", "--port", "1"}, home.path());
  CHECK(said.exit.code == 2);
  CHECK(said.err.contains("--yes"));
}

TEST_CASE("output that cannot be written is a failure, and one that nobody reads to its end is none") {
  const auto sh = [](const std::string& script) {
    auto said = os::capture({"bash", "-c", script, CLOUDOS_PROGRAM});
    REQUIRE(said);
    return *said;
  };
  const auto full = sh(R"("$0" install --help > /dev/full)");
  CHECK(full.exit.code == 1);
  CHECK(full.err.contains("cannot write to standard output: No space left on device"));
  const auto read_in_part = sh(R"("$0" man | head -c 1 > /dev/null; echo "${PIPESTATUS[0]}")");
  CHECK(read_in_part.out == "0\n");
  CHECK(read_in_part.err.empty());
  // Without a standard output its number must not become a file's, where the output would land.
  CHECK(sh(R"("$0" --version >&-)").exit.code == 0);
}

TEST_CASE("a home folder that cannot be written stops no command: the log is elsewhere, and it is said where") {
  const auto said = cloudos_says({"status", "--masters", "127.0.0.1", "--port", "1"}, "/proc");
  CHECK(said.exit.code == 1);
  CHECK(said.err.contains("no master answers"));
  const auto at = said.err.find("it is in /tmp/cloudos-");
  REQUIRE(at != std::string::npos);
  const auto folder = said.err.substr(at + 9, said.err.find('\n', at) - at - 9);
  CHECK(std::filesystem::status(folder).permissions() == std::filesystem::perms::owner_all);
  std::filesystem::remove_all(folder);
}

TEST_CASE("every command has a description, and every flag of it too") {
  each_command(whole_tree(), [](const cli::CommandEntry& entry) {
    CAPTURE(join(entry.path, " "));
    CHECK_FALSE(entry.description.empty());
    for (const auto& flag : entry.flags) {
      CAPTURE(flag.long_name);
      CHECK_FALSE(flag.description.empty());
    }
  });
}

TEST_CASE("every command without subcommands shows examples in its help") {
  each_command(whole_tree(), [](const cli::CommandEntry& entry) {
    if (!entry.commands.empty() || entry.path.size() != 2) return;
    CAPTURE(join(entry.path, " "));
    CHECK(entry.footer.contains("Example"));
  });
}

TEST_CASE("the shells' completions are scripts that the shells accept and that know every flag") {
  const auto root = whole_tree();
  const test::TemporaryFolder folder;
  for (const auto* shell : {"bash", "zsh", "fish"}) {
    CAPTURE(shell);
    const auto script = cli::completion_script(root, shell);
    each_command(root, [&](const cli::CommandEntry& entry) {
      for (const auto& flag : entry.flags)
        if (!flag.long_name.empty()) CHECK(script.contains(flag.long_name));
    });
    REQUIRE(os::write_atomic(folder / shell, script, 0644));
  }
  for (const auto& argv : {Argv{"bash", "-n", (folder / "bash").string()}, Argv{"zsh", "-n", (folder / "zsh").string()},
                           Argv{"fish", "--no-execute", (folder / "fish").string()}}) {
    const auto checked = os::capture(argv);
    REQUIRE(checked);
    INFO(checked->err);
    CHECK(checked->exit.ok());
    CHECK(checked->err.empty());
  }
}

TEST_CASE("bash completes a command's own flags, after its arguments too") {
  const test::TemporaryFolder folder;
  REQUIRE(os::write_atomic(folder / "c", cli::completion_script(whole_tree(), "bash"), 0644));
  const auto completed = [&](const std::string& words, int current) {
    const auto said = os::capture({"bash", "-c",
                                   std::format("source {}; COMP_WORDS=({}); COMP_CWORD={}; _cloudos; echo \"${{COMPREPLY[@]}}\"",
                                               (folder / "c").string(), words, current)});
    REQUIRE(said);
    return said->out;
  };
  CHECK(completed("cloudos install --mas", 2) == "--masters\n");
  CHECK(completed("cloudos status node-1 --wa", 3) == "--watch\n");
}

TEST_CASE("the manual page is one that man can format without a complaint") {
  const test::TemporaryFolder folder;
  const auto page = cli::man_page(whole_tree(), "0.1.0");
  CHECK(page.contains(".SS cloudos install"));
  CHECK(page.contains(".SS cloudos status [node]\n"));
  CHECK(page.contains("\\fB\\-\\-watch\\fR\n"));
  REQUIRE(os::write_atomic(folder / "cloudos.1", page, 0644));
  const auto said = os::capture({"man", "--warnings", "-l", (folder / "cloudos.1").string()},
                                {.environment = {{"MAN_KEEP_FORMATTING", ""}, {"LC_ALL", "C.UTF-8"}}});
  REQUIRE(said);
  CHECK(said->exit.ok());
  CHECK(said->err.empty());
}
