#include "installer/driver/agent_folder.hpp"

#include <format>

#include "core/base/text.hpp"

namespace cloudos::driver {

namespace {

constexpr auto agent_path = "agent/agent.tar.gz";
constexpr std::size_t name_digits = 12;

}  // namespace

Result<AgentFile> agent_of(const model::BundleIndex& index) {
  const auto* file = index.file(agent_path);
  if (file == nullptr || file->content_digest.empty())
    return fail(ErrorKind::input, std::format("the bundle {} {} holds no {}", index.name, index.version, agent_path),
                "build it from a recipe with the component \"agent\"");
  const auto name = file->content_digest.hex().substr(0, name_digits);
  return AgentFile{.blob = file->digest, .stored = file->stored, .name = name, .folder = std::format("{}/{}", paths::agents, name)};
}

Result<ByteSource> agent_archive(const AgentFile& agent, const images::Bundle& bundle) {
  if (agent.stored != "zstd") return bundle.blob(agent.blob);
  CLOUDOS_ASSIGN(const auto packed, bundle.blob(agent.blob));
  std::string plain;
  CLOUDOS_TRY(os::zstd_expand(packed, into(plain, 512U << 20), 512_MiB));
  return bytes_of(std::move(plain));
}

Status upload_agent(Machine& machine, const AgentFile& agent, const images::Bundle& bundle, const Setting& setting) {
  const auto where = std::format("uploading the agent to {}", machine.id().value);
  const auto part = agent.folder + ".part";
  CLOUDOS_TRY_WITH(machine.must({"rm", "-rf", part, agent.folder}), where);
  CLOUDOS_TRY_WITH(machine.must({"mkdir", "-p", part}), where);
  machine.uploaded = true;
  auto bytes = agent_archive(agent, bundle);
  if (!bytes) return fail(std::move(bytes).error().with(where));
  std::string err;
  auto ended = machine.run({"tar", "-xzf", "-", "-C", part}, {.in = std::move(*bytes), .err = into(err)}, in(setting.timing.upload));
  if (!ended) return fail(std::move(ended).error().with(where));
  if (!ended->ok())
    return fail(Error{.kind = ErrorKind::failed,
                      .message = std::format("tar failed: {}", sanitise(trim(err))),
                      .context = {where},
                      .hint = std::format("is there space under {} and are tar and gzip installed there?", paths::state)});
  CLOUDOS_TRY_WITH(machine.must({"mv", part, agent.folder}), where);
  return {};
}

Status adopt_agent(Machine& machine, const std::string& name) {
  const auto link = std::format("{}/current", paths::agents);
  const auto part = link + ".part";
  CLOUDOS_TRY(machine.must({"ln", "-sfn", name, part}));
  CLOUDOS_TRY(machine.must({"mv", "-fT", part, link}));
  return {};
}

Status remove_agent(Machine& machine, const std::string& folder) {
  CLOUDOS_TRY(machine.must({"rm", "-rf", folder, folder + ".part"}));
  // Only when nothing else is in them; rmdir(1) says no otherwise, which is fine.
  CLOUDOS_ASSIGN(const auto agents, machine.run({"rmdir", paths::agents}, {}, in(Milliseconds{30'000})));
  if (agents.ok()) CLOUDOS_TRY(machine.run({"rmdir", paths::state}, {}, in(Milliseconds{30'000})));
  return {};
}

}  // namespace cloudos::driver
