#include <algorithm>
#include <chrono>
#include <data.hpp>
#include <filesystem>
#include <format>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "core/base/clock.hpp"
#include "core/base/text.hpp"
#include "core/join_file/join_file.hpp"
#include "core/os/crypto/crypto.hpp"
#include "core/os/file/file.hpp"
#include "core/plan/fill.hpp"
#include "installer/cli/bundle_choice.hpp"
#include "installer/cli/command.hpp"
#include "installer/driver/agent_folder.hpp"

namespace cloudos::cli {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr auto unit_name = "cloudos-join.service";
constexpr std::size_t longest_join_file = 1U << 20;

struct MediaFlags {
  fs::path output;
  std::string join_file;
  BundleFlags bundle;
};

struct MediaFile {
  std::string name;
  std::string content;
  unsigned mode = 0644;
};

// The agent's archive, once more against the digest that the signed index gives it.
Result<std::string> agent_archive(const images::Bundle& bundle, const driver::AgentFile& agent) {
  CLOUDOS_ASSIGN(const auto source, driver::agent_archive(agent, bundle));
  std::string bytes;
  const auto sink = into(bytes, 512U << 20);
  std::vector<std::byte> buffer(1U << 20);
  for (;;) {
    CLOUDOS_ASSIGN(const auto got, source(buffer));
    if (got == 0) break;
    CLOUDOS_TRY(sink(std::span(buffer).first(got)));
  }
  if (!os::sha256(bytes).hex().starts_with(agent.name))
    return fail(ErrorKind::trust, std::format("the agent in {} is not what its index says", bundle.file().string()),
                "take another copy of the bundle: `cloudos bundle verify` checks it");
  return bytes;
}

// The whole of the join file, checked for its form: a machine that nobody sees is the wrong place to find a typing error.
Result<std::string> read_join_file(const std::string& name) {
  auto text = os::read(name, longest_join_file);
  if (!text)
    return fail(Error{.kind = ErrorKind::input, .message = text.error().message, .hint = "`cloudos token create > join.toml` makes one"});
  CLOUDOS_ASSIGN(const auto file, join_file::parse(*text, name));
  if (file.expires_s <= wall_s())
    return fail(ErrorKind::input,
                std::format("{} expired at {:%F %T} UTC", name, std::chrono::sys_seconds(std::chrono::seconds(file.expires_s))),
                "make a new one: `cloudos token create > join.toml`");
  return *text;
}

// A JSON document is YAML; cloud-init wants only its first line to be this one.
std::string user_data(const std::string& agent, const std::string& join_file) {
  const auto folder = std::format("{}/{}", paths::agents, agent);
  const auto file = [](const std::string& path, const char* mode, std::string_view content) {
    return Json{{"path", path}, {"permissions", mode}, {"owner", "root:root"}, {"encoding", "b64"}, {"content", os::base64(content)}};
  };
  auto files = Json::array({file(std::string("/etc/systemd/system/") + unit_name, "0644", data::cloudos_join_service)});
  if (!join_file.empty()) files.push_back(file(paths::join_file, "0600", join_file));
  constexpr auto seed = "/run/cloudos-seed";
  const auto commands = Json::array({{"mkdir", "-p", folder, seed},
                                     {"mount", "-o", "ro", "LABEL=cidata", seed},
                                     {"tar", "-xzf", std::string(seed) + "/cloudos-agent.tar.gz", "-C", folder},
                                     {"umount", seed},
                                     {"ln", "-sfn", agent, std::string(paths::agents) + "/current"},
                                     {"systemctl", "daemon-reload"},
                                     {"systemctl", "enable", "--now", "--no-block", unit_name}});
  return "#cloud-config\n" + Json{{"write_files", files}, {"runcmd", commands}}.dump(2) + "\n";
}

std::vector<MediaFile> files_of(std::string archive, const std::string& agent, const std::string& join_file) {
  std::vector<MediaFile> files = {{"cloudos-agent.tar.gz", std::move(archive)},
                                  {unit_name, std::string(data::cloudos_join_service)},
                                  {"README", plan::fill(data::join_media_txt, {{"agent", agent}})}};
  auto user = user_data(agent, join_file);
  // Once for each seed: a stick with another join file is another instance.
  files.push_back({"meta-data", std::format("instance-id: cloudos-{}\n", os::sha256(user).hex().substr(0, 12))});
  files.push_back({"user-data", std::move(user), join_file.empty() ? 0644U : 0600U});
  if (!join_file.empty()) files.push_back({"join.toml", join_file, 0600});
  return files;
}

Result<int> join_media(const Context& context, const MediaFlags& flags) {
  std::string join_file;
  if (!flags.join_file.empty()) { CLOUDOS_ASSIGN(join_file, read_join_file(flags.join_file)); }
  CLOUDOS_ASSIGN(const auto bundle, open_bundle(flags.bundle));
  CLOUDOS_ASSIGN(const auto agent, driver::agent_of(bundle.index()));
  CLOUDOS_ASSIGN(auto archive, agent_archive(bundle, agent));
  CLOUDOS_TRY_WITH(os::make_folders(flags.output, 0755), "making " + flags.output.string());
  auto names = Json::array();
  for (const auto& file : files_of(std::move(archive), agent.name, join_file)) {
    CLOUDOS_TRY_WITH(os::write_atomic(flags.output / file.name, file.content, static_cast<mode_t>(file.mode)), "writing the join media");
    names.push_back(file.name);
  }
  if (context.json) std::cout << Json{{"folder", flags.output.string()}, {"agent", agent.name}, {"files", names}}.dump() << std::endl;
  else if (!context.quiet)
    std::cout << std::format("{}: agent {}, its unit, a cloud-init seed{}\nnext: {} tells how to use them{}\n", flags.output.string(),
                             agent.name, join_file.empty() ? "" : ", the join file (a secret)", (flags.output / "README").string(),
                             join_file.empty() ? "; `cloudos token create` makes the join file" : "");
  return 0;
}

}  // namespace

void add_join_media(CLI::App& app, Context& context) {
  auto* command =
      app.add_subcommand("join-media", "What an image, a USB stick or a PXE seed needs so that its machines join by themselves");
  const auto flags = std::make_shared<MediaFlags>();
  command->add_option("-o,--output", flags->output, "The folder to write to")->required()->type_name("DIR");
  command->add_option("--join-file", flags->join_file, "The join file to put in, from `cloudos token create`: a secret then, as it is")
      ->type_name("FILE");
  flags->bundle.add_to(*command);
  command->footer(
      "Examples:\n"
      "  cloudos join-media -o media                              for a golden image; the join file comes later\n"
      "  cloudos token create > join.toml && cloudos join-media -o media --join-file join.toml\n"
      "The README among the files tells what goes where.");
  command->callback([&context, flags] { context.work = [&context, flags] { return join_media(context, *flags); }; });
}

}  // namespace cloudos::cli
