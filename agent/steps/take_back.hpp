// Undo of single steps, each from its own record in the journal alone.
#pragma once

#include <optional>
#include <string>

#include "agent/steps/environment.hpp"
#include "core/model/event.hpp"

namespace cloudos::steps {

// Takes back what one record says, if it is still what was written. Gives a sentence when something was left as it is.
// `oldest`: no earlier record of this step is left, so what it says was there before us. Folders are not taken back here: they go last,
// when they are empty.
[[nodiscard]] Result<std::optional<std::string>> take_back(Environment& env, const model::JournalRecord& record, bool oldest);
// Removes a folder that was made here, when nothing is in it, or gives it its mode back.
void take_back_folder(Environment& env, const model::JournalRecord& record);

}  // namespace cloudos::steps
