#pragma once

#include <chrono>
#include <map>
#include <string>

namespace cloudos {

// Says whether something may be done (again) for a key: once in a span of time. It remembers so many keys at most; while all of
// them are fresh, no other key may: what strangers cause stays bounded whatever they make up.
class Throttle {
 public:
  using Time = std::chrono::steady_clock::time_point;
  Throttle(std::chrono::milliseconds span, std::size_t keys) : span_(span), keys_(keys) {}

  [[nodiscard]] bool allow(const std::string& key, Time now) {
    if (const auto seen = last_.find(key); seen != last_.end() && now - seen->second < span_) return false;
    std::erase_if(last_, [&](const auto& each) { return now - each.second >= span_; });
    if (last_.size() >= keys_) return false;
    last_.emplace(key, now);
    return true;
  }

 private:
  std::chrono::milliseconds span_;
  std::size_t keys_;
  std::map<std::string, Time> last_;
};

}  // namespace cloudos
