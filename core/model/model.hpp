// core/model: the shared speech of installer, agent and bundle, as plain data with a versioned JSON form. What is wanted
// (config), what is (facts) and what it uses (usage), what to do (plan, steps), what happened (events, journal), what there is
// to lay down (bundle index), who may join (join tokens). No I/O and no decisions: parsing checks the shape, the rooms that use it check
// the sense.
//
// encode_*() gives one line of JSON without a final newline, keys sorted: equal values give equal bytes. decode_*() takes
// text from outside: any text at all gives a value or ErrorKind::input, never a crash; unknown keys are ignored, so that
// an older program reads a newer one's records; a higher "schema" is refused.
#pragma once

#include "core/model/bundle_index.hpp"
#include "core/model/config.hpp"
#include "core/model/event.hpp"
#include "core/model/facts.hpp"
#include "core/model/join_token.hpp"
#include "core/model/paths.hpp"
#include "core/model/plan.hpp"
#include "core/model/usage.hpp"
