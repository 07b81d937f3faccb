// What a source that builds or fetches something has around it. Private to this room.
#pragma once

#include <functional>
#include <stop_token>

#include "images/cache.hpp"

namespace cloudos::images {

struct Work {
  const Cache& cache;
  std::stop_token stop = {};
  std::function<void()> begun = [] {};  // called when it was not in the cache and is begun with
};

}  // namespace cloudos::images
