#include <format>

#include "core/base/text.hpp"
#include "installer/driver/agent_folder.hpp"
#include "installer/driver/driver.hpp"
#include "installer/driver/speech.hpp"

namespace cloudos::driver {

namespace {

Status undo(Machine& machine, Undone& undone, const Setting& setting) {
  const auto take = [&](std::string_view line) -> Status {
    auto event = model::decode_event(line);
    if (!event) return {};
    event->machine = machine.id();
    if (event->kind == model::Event::Kind::finding) undone.residue.push_back(event->text);
    if (event->kind == model::Event::Kind::step_failed) undone.residue.push_back(event->failure.message);
    setting.emit(*event);
    return {};
  };
  std::string err;
  CLOUDOS_ASSIGN(const auto ended,
                 machine.run({machine.agent, "undo"}, {.out = by_line(take), .err = into(err)}, in(setting.timing.stage)));
  if (!ended.ok()) {
    if (undone.residue.empty()) return fail(ErrorKind::failed, std::format("the agent could not undo: {}", sanitise(trim(err))));
    return {};  // it stays, so that the residue can be looked at and `reset` run again
  }
  CLOUDOS_TRY(machine.must({"rm", "-rf", paths::agents}));
  return machine.run({"rmdir", paths::state}, {}, in(setting.timing.question)).transform([](const auto&) {});
}

}  // namespace

std::vector<Undone> undo_all(Survey& survey, const Setting& setting) {
  std::vector<Undone> out(survey.machines.size());
  side_by_side(survey.machines.size(), [&](std::size_t i) {
    out[i].machine = survey.machines[i]->id();
    if (auto status = undo(*survey.machines[i], out[i], setting); !status) out[i].error = std::move(status).error();
  });
  return out;
}

}  // namespace cloudos::driver
