#include "agent/wire/wire.hpp"

#include <format>

#include "agent/wire/fields.hpp"

namespace cloudos::wire {
namespace {

constexpr std::size_t most_elements = 16'384;

enum class Type : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

class Writer {
 public:
  std::string out;

  void operator()(int number, const std::string& text) {
    if (!text.empty()) block(number, text);
  }
  void operator()(int number, bool value) { integer(number, value ? 1 : 0); }
  // Negative numbers go sign-extended to 64 bits, for int32, too.
  void operator()(int number, std::int32_t value) { integer(number, static_cast<std::uint64_t>(std::int64_t{value})); }
  void operator()(int number, std::int64_t value) { integer(number, static_cast<std::uint64_t>(value)); }
  void operator()(int number, const std::vector<std::string>& texts) {
    for (const auto& text : texts) block(number, text);
  }
  void operator()(int number, const std::map<std::string, std::string>& entries) {
    for (const auto& [key, value] : entries) block(number, encode_fields(std::pair(key, value)));
  }
  template <class M>
  void operator()(int number, const std::vector<M>& messages) {
    for (const auto& message : messages) block(number, encode_fields(message));
  }
  template <class M>
  void operator()(int number, const std::optional<M>& message) {
    if (message) block(number, encode_fields(*message));
  }

  template <class M>
  static std::string encode_fields(const M& message) {
    Writer inner;
    fields(inner, message);
    return std::move(inner.out);
  }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7U) out += static_cast<char>(static_cast<unsigned char>(value | 0x80U));
    out += static_cast<char>(static_cast<unsigned char>(value));
  }
  void integer(int number, std::uint64_t value) {
    if (value == 0) return;
    tag(number, Type::varint);
    varint(value);
  }
  void tag(int number, Type type) { varint((static_cast<std::uint64_t>(number) << 3U) | static_cast<std::uint64_t>(type)); }
  void block(int number, std::string_view bytes) {
    tag(number, Type::bytes);
    varint(bytes.size());
    out += bytes;
  }
};

struct Bound {
  std::size_t elements = 0;
};

template <class M>
Status decode_fields(std::string_view bytes, M& message, Bound& bound);

// One field off the wire, offered to each member of a message; the one with its number takes it.
class Taker {
 public:
  Taker(std::uint64_t number, Type type, std::uint64_t value, std::string_view bytes, Bound& bound)
      : number_(number), type_(type), value_(value), bytes_(bytes), bound_(bound) {}
  Status status;

  void operator()(int number, std::string& text) {
    if (wanted(number, Type::bytes)) text = bytes_;
  }
  void operator()(int number, bool& value) {
    if (wanted(number, Type::varint)) value = value_ != 0;
  }
  void operator()(int number, std::int32_t& value) {
    if (wanted(number, Type::varint)) value = static_cast<std::int32_t>(static_cast<std::uint32_t>(value_));
  }
  void operator()(int number, std::int64_t& value) {
    if (wanted(number, Type::varint)) value = static_cast<std::int64_t>(value_);
  }
  void operator()(int number, std::vector<std::string>& texts) {
    if (wanted(number, Type::bytes) && one_more()) texts.emplace_back(bytes_);
  }
  void operator()(int number, std::map<std::string, std::string>& entries) {
    if (!wanted(number, Type::bytes) || !one_more()) return;
    std::pair<std::string, std::string> entry;
    status = decode_fields(bytes_, entry, bound_);
    entries[std::move(entry.first)] = std::move(entry.second);
  }
  template <class M>
  void operator()(int number, std::vector<M>& messages) {
    if (wanted(number, Type::bytes) && one_more()) status = decode_fields(bytes_, messages.emplace_back(), bound_);
  }
  template <class M>
  void operator()(int number, std::optional<M>& message) {
    if (!wanted(number, Type::bytes)) return;
    if (!message) message.emplace();
    status = decode_fields(bytes_, *message, bound_);
  }

 private:
  bool wanted(int number, Type type) {
    if (number_ != static_cast<std::uint64_t>(number) || !status) return false;
    if (type_ != type) status = fail(ErrorKind::input, std::format("field {} has wire type {}", number, static_cast<int>(type_)));
    return status.has_value();
  }
  bool one_more() {
    if (++bound_.elements > most_elements) status = fail(ErrorKind::input, "the message has too many elements");
    return status.has_value();
  }

  std::uint64_t number_;
  Type type_;
  std::uint64_t value_;
  std::string_view bytes_;
  Bound& bound_;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  [[nodiscard]] bool done() const { return rest_.empty(); }

  Result<std::uint64_t> varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) return fail(ErrorKind::input, "the message ends within a number");
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      // The tenth byte has one bit left.
      if (shift == 63 && byte > 1) return fail(ErrorKind::input, "a number is wider than 64 bits");
      value |= static_cast<std::uint64_t>(byte & 0x7fU) << shift;
      if ((byte & 0x80U) == 0) return value;
    }
    return fail(ErrorKind::input, "a number is wider than 64 bits");
  }
  Result<std::string_view> take(std::uint64_t size) {
    if (size > rest_.size()) return fail(ErrorKind::input, "the message ends within a field");
    const auto taken = rest_.substr(0, static_cast<std::size_t>(size));
    rest_.remove_prefix(taken.size());
    return taken;
  }

 private:
  std::string_view rest_;
};

template <class M>
Status decode_fields(std::string_view bytes, M& message, Bound& bound) {
  for (Reader reader(bytes); !reader.done();) {
    CLOUDOS_ASSIGN(const auto key, reader.varint());
    const auto number = key >> 3U;
    if (number == 0 || number > 0x1fff'ffff) return fail(ErrorKind::input, std::format("no field can have the number {}", number));
    const auto type = static_cast<Type>(key & 7U);
    std::uint64_t value = 0;
    std::string_view block;
    switch (type) {
      case Type::varint: {
        CLOUDOS_ASSIGN(value, reader.varint());
        break;
      }
      case Type::bytes: {
        CLOUDOS_ASSIGN(const auto size, reader.varint());
        CLOUDOS_ASSIGN(block, reader.take(size));
        break;
      }
      case Type::fixed64:
      case Type::fixed32: CLOUDOS_TRY(reader.take(type == Type::fixed64 ? 8 : 4)); break;
      default: return fail(ErrorKind::input, std::format("field {} has wire type {}", number, key & 7U));
    }
    Taker taker(number, type, value, block, bound);
    fields(taker, message);
    CLOUDOS_TRY(taker.status);
  }
  return {};
}

}  // namespace

template <class Message>
std::string encode(const Message& message) {
  return Writer::encode_fields(message);
}

template <class Message>
Result<Message> decode(std::string_view bytes) {
  Message message;
  Bound bound;
  CLOUDOS_TRY(decode_fields(bytes, message, bound));
  return message;
}

#define CLOUDOS_WIRE(Message)                  \
  template std::string encode(const Message&); \
  template Result<Message> decode(std::string_view)
CLOUDOS_WIRE(Empty);
CLOUDOS_WIRE(DevicePluginOptions);
CLOUDOS_WIRE(RegisterRequest);
CLOUDOS_WIRE(ListAndWatchResponse);
CLOUDOS_WIRE(PreferredRequest);
CLOUDOS_WIRE(PreferredResponse);
CLOUDOS_WIRE(AllocateRequest);
CLOUDOS_WIRE(AllocateResponse);
CLOUDOS_WIRE(PreStartRequest);
#undef CLOUDOS_WIRE

}  // namespace cloudos::wire
