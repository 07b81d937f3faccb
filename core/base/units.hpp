#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace cloudos {

// A count of bytes. Never negative; additions do not wrap in practice (2^64 bytes).
struct Bytes {
  std::uint64_t count = 0;
  auto operator<=>(const Bytes&) const = default;
  Bytes& operator+=(Bytes o) {
    count += o.count;
    return *this;
  }
  friend Bytes operator+(Bytes a, Bytes b) { return {a.count + b.count}; }
};
constexpr Bytes operator""_KiB(unsigned long long n) { return {n << 10}; }
constexpr Bytes operator""_MiB(unsigned long long n) { return {n << 20}; }
constexpr Bytes operator""_GiB(unsigned long long n) { return {n << 30}; }

using Milliseconds = std::chrono::milliseconds;
// A point on the monotonic clock by which something must have happened.
using Deadline = std::chrono::steady_clock::time_point;
inline Deadline in(Milliseconds span) { return std::chrono::steady_clock::now() + span; }

// A string that is one kind of thing, so that a machine's id cannot be passed where a step's is wanted.
template <class Tag>
struct Id {
  std::string value;
  auto operator<=>(const Id&) const = default;
};
using MachineId = Id<struct MachineTag>;  // the address as the operator wrote it, e.g. "10.0.0.4" or "10.0.0.4:2222"
using StageId = Id<struct StageTag>;      // "join@10.0.0.4"
using StepId = Id<struct StepTag>;        // "unit:cloudos-containerd.service", unique within its machine
using RunId = Id<struct RunTag>;          // one apply on one machine; [0-9a-f]{16}

// A SHA-256 digest: 64 lower-case hexadecimal digits, without the "sha256:" prefix of the OCI image specification.
class Digest {
 public:
  Digest() = default;
  // Accepts 64 lower-case hex digits with or without "sha256:" before them; anything else is ErrorKind::input.
  static Result<Digest> parse(std::string_view text);
  [[nodiscard]] const std::string& hex() const { return hex_; }
  [[nodiscard]] std::string oci() const { return "sha256:" + hex_; }
  [[nodiscard]] bool empty() const { return hex_.empty(); }
  auto operator<=>(const Digest&) const = default;

 private:
  explicit Digest(std::string hex) : hex_(std::move(hex)) {}
  std::string hex_;
};

}  // namespace cloudos

template <class Tag>
struct std::hash<cloudos::Id<Tag>> {
  std::size_t operator()(const cloudos::Id<Tag>& id) const { return std::hash<std::string>{}(id.value); }
};
template <>
struct std::hash<cloudos::Digest> {
  std::size_t operator()(const cloudos::Digest& d) const { return std::hash<std::string>{}(d.hex()); }
};
