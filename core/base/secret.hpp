#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace cloudos {

// A password, passphrase, token or key. It has no operator<<, no formatter and no JSON conversion, so it cannot reach a
// log or a file by accident; the bytes are wiped when it goes. `reveal()` is the one, greppable way to the value.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}
  Secret(const Secret&) = default;
  Secret& operator=(const Secret& other) {
    if (this != &other) {
      wipe();
      value_ = other.value_;
    }
    return *this;
  }
  // Copies and wipes: a moved-from std::string may keep its bytes.
  Secret(Secret&& other) noexcept : value_(other.value_) { other.wipe(); }  // NOLINT(performance-move-constructor-init)
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      wipe();
      value_ = other.value_;
      other.wipe();
    }
    return *this;
  }
  ~Secret() { wipe(); }

  [[nodiscard]] std::string_view reveal() const { return value_; }
  [[nodiscard]] bool empty() const { return value_.empty(); }

 private:
  void wipe() noexcept;
  std::string value_;
};

}  // namespace cloudos
