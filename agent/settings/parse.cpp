#include <algorithm>
#include <array>
#include <format>

#include "agent/settings/duration.hpp"
#include "agent/settings/keys.hpp"
#include "core/base/text.hpp"
#include "core/os/file/file.hpp"
#include "core/toml_reader/reader.hpp"

namespace cloudos::settings {
namespace {

using toml_reader::Located;
using toml_reader::TableReader;

constexpr std::size_t longest_file = 1U << 20;
constexpr std::array<std::string_view, 3> strategies = {"none", "single", "mixed"};
constexpr unsigned most_shares = 64;  // as agent/devices offers

// The keys of one section; what does not fit is a finding, and the default stays.
class Section {
 public:
  explicit Section(TableReader& table) : table_(table) {}

  void flag(std::string_view key, bool& value) {
    asked_.push_back(key);
    if (const auto given = table_.flag(key)) value = given->value;
  }
  template <class T>
  void number(std::string_view key, T& value, std::int64_t min, std::int64_t max) {
    asked_.push_back(key);
    if (const auto given = table_.integer(key, min, max)) value = static_cast<T>(given->value);
    else if (table_.has(key)) refused_.push_back(key);
  }
  void count(std::string_view key, std::int64_t& value, Microseconds unit, Microseconds min, Microseconds max) {
    asked_.push_back(key);
    if (const auto span = read_span(key, unit, min, max)) value = *span / unit;
  }
  void time(std::string_view key, Milliseconds& value, Microseconds min, Microseconds max) {
    asked_.push_back(key);
    if (const auto span = read_span(key, 1ms, min, max)) value = std::chrono::duration_cast<Milliseconds>(*span);
  }
  void time_or_never(std::string_view key, Milliseconds& value, Microseconds min, Microseconds max) {
    asked_.push_back(key);
    const auto span = read_span(key, 1ms, 0s, max);
    if (!span) return;
    if (*span != 0s && *span < min) out_of_range(key, *span, std::format("0 (never), or {} to {}", duration_text(min), duration_text(max)));
    else value = std::chrono::duration_cast<Milliseconds>(*span);
  }
  void mig(std::string_view key, devices::MigStrategy& value);
  void shares(std::string_view key, std::map<std::string, unsigned>& value);
  void file(std::string_view key, std::string& value);
  // Of two values with a default each, one may have been written and clash with the other's default.
  template <class T>
  void ordered(std::string_view low_key, T low, std::string_view high_key, T high, bool may_be_equal = false) {
    if (low < high || (may_be_equal && low == high)) return;
    if (refused(low_key) || refused(high_key)) return;
    const auto key = table_.has(low_key) ? low_key : high_key;
    table_.refuse(key, "out-of-order", std::format("'{}' must be below '{}'{}", low_key, high_key, default_note(low_key, high_key)),
                  "what is left out has its default: `cloudos-agent settings --defaults` shows it");
  }
  void differing(std::string_view key, std::uint16_t value, std::string_view other, std::uint16_t taken) {
    if (value == taken)
      table_.refuse(key, "port-twice", std::format("port {} is that of {}, too", value, other), "give each a port of its own");
  }
  [[nodiscard]] const std::vector<std::string_view>& asked() const { return asked_; }

 private:
  [[nodiscard]] std::optional<Microseconds> read_span(std::string_view key, Microseconds unit, Microseconds min, Microseconds max);
  void out_of_range(std::string_view key, Microseconds found, const std::string& allowed) {
    refused_.push_back(key);
    table_.refuse(key, "out-of-range", std::format("found {}, expected {}", duration_text(found), allowed), "correct the value");
  }
  [[nodiscard]] bool refused(std::string_view key) const { return std::ranges::contains(refused_, key); }
  [[nodiscard]] std::string default_note(std::string_view a, std::string_view b) const {
    if (table_.has(a) && table_.has(b)) return "";
    return std::format("; '{}' is not set", table_.has(a) ? b : a);
  }

  TableReader& table_;
  std::vector<std::string_view> asked_ = {}, refused_ = {};
};

std::optional<Microseconds> Section::read_span(std::string_view key, Microseconds unit, Microseconds min, Microseconds max) {
  const auto* node = table_.node().get(key);
  if (node == nullptr) return std::nullopt;
  Microseconds span{};
  if (const auto* number = node->as_integer()) {
    // Far beyond any limit, so that the product below cannot overflow.
    span = Microseconds(1s) * std::clamp<std::int64_t>(number->get(), -1, 1'000'000'000'000);
  } else if (const auto* text = node->as_string()) {
    const auto parsed = parse_duration(text->get());
    if (!parsed) {
      refused_.push_back(key);
      table_.refuse(key, "bad-duration", parsed.error().message, parsed.error().hint);
      return std::nullopt;
    }
    span = *parsed;
  } else {
    refused_.push_back(key);
    table_.wrong_type(key, *node, "a duration", "write \"10s\", or a whole number of seconds");
    return std::nullopt;
  }
  if (span < min || span > max || span % unit != 0us) {
    const auto finer = span >= min && span <= max ? std::format(" in steps of {}", duration_text(unit)) : "";
    out_of_range(key, span, std::format("{} to {}{}", duration_text(min), duration_text(max), finer));
    return std::nullopt;
  }
  return span;
}

void Section::mig(std::string_view key, devices::MigStrategy& value) {
  asked_.push_back(key);
  const auto given = table_.text(key);
  if (!given) return;
  if (const auto strategy = devices::parse_mig_strategy(given->value)) {
    value = *strategy;
    return;
  }
  const auto close = nearest(given->value, strategies);
  table_.refuse(key, "bad-mig-strategy",
                std::format("found '{}'{}", sanitise(given->value), close.empty() ? "" : std::format("; did you mean '{}'?", close)),
                "write \"none\", \"single\" or \"mixed\"");
}

void Section::shares(std::string_view key, std::map<std::string, unsigned>& value) {
  asked_.push_back(key);
  const auto* given = table_.table(key);
  if (given == nullptr) return;
  TableReader each(*given, table_.name(key), table_.findings());
  for (auto&& [name, node] : *given) {
    const auto resource = name.str();
    if (resource.find('/') == 0 || resource.find('/') >= resource.size() - 1)
      each.refuse(resource, "bad-resource", std::format("'{}' is not the name of a resource", sanitise(resource)),
                  "write { \"nvidia.com/gpu\" = 4 }, with the name in quotes");
    else if (const auto count = each.integer(resource, 2, most_shares)) value[std::string(resource)] = static_cast<unsigned>(count->value);
  }
}

void Section::file(std::string_view key, std::string& value) {
  asked_.push_back(key);
  const auto given = table_.text(key, true);
  if (!given) return;
  if (given->value.empty() || given->value.starts_with('/')) value = given->value;
  else
    table_.refuse(key, "not-absolute", std::format("found '{}', expected a path from /", sanitise(given->value)),
                  "write the whole path, or \"\" for where drivers have it");
}

// The document's tables by the sections' names; "health.restarts" lies within "health".
class Document {
 public:
  explicit Document(TableReader& root) : root_(root) {}

  void section(std::string_view name, const auto& keys_of) {
    const auto dot = name.find('.');
    if (dot == std::string_view::npos) known_[""].push_back(name);
    else known_[name.substr(0, dot)].push_back(name.substr(dot + 1));
    const toml::table nothing;
    const auto* table = find(name);
    TableReader reader(table != nullptr ? *table : nothing, std::string(name), root_.findings());
    Section section(reader);
    keys_of(section);
    auto& known = known_[name];
    known.insert(known.end(), section.asked().begin(), section.asked().end());
    sections_.push_back(name);
  }
  // What is there and not known, and what should be a section and is none.
  void done() {
    root_.only(known_[""]);
    for (const auto name : sections_) {
      const auto dot = name.find('.');
      const auto* above = dot == std::string_view::npos ? &root_.node() : find(name.substr(0, dot));
      if (above == nullptr) continue;
      TableReader outer(*above, dot == std::string_view::npos ? "" : std::string(name.substr(0, dot)), root_.findings());
      if (const auto* table = outer.table(dot == std::string_view::npos ? name : name.substr(dot + 1)))
        TableReader(*table, std::string(name), root_.findings()).only(known_[name]);
    }
  }

 private:
  [[nodiscard]] const toml::table* find(std::string_view name) const {
    const auto dot = name.find('.');
    const auto* node = root_.node().get(name.substr(0, dot));
    const auto* table = node != nullptr ? node->as_table() : nullptr;
    if (table == nullptr || dot == std::string_view::npos) return table;
    const auto* inner = table->get(name.substr(dot + 1));
    return inner != nullptr ? inner->as_table() : nullptr;
  }

  TableReader& root_;
  std::map<std::string_view, std::vector<std::string_view>> known_ = {};
  std::vector<std::string_view> sections_ = {};
};

}  // namespace

Result<Settings> parse(std::string_view text, std::string_view name) {
  Settings settings;
  Located located{std::string(name)};
  toml_reader::read_document(text, name, located, [&](TableReader& root) {
    Document document(root);
    keys(document, settings);
    document.done();
  });
  toml_reader::Findings findings;
  located.drain_into(findings);
  if (findings.empty()) return settings;
  return fail(toml_reader::as_error(findings, name).advise("`cloudos-agent settings --defaults` shows every key with its default"));
}

Result<Settings> read(const std::filesystem::path& file) {
  CLOUDOS_ASSIGN(const auto text, os::read_if_any(file, longest_file));
  return text ? parse(*text, file.native()) : Settings{};
}

devices::Options offer_of(const Settings::Gpus& gpus) {
  devices::Options out{.nvml = gpus.nvml, .mig = gpus.mig, .replicas = gpus.replicas, .rename_shared = gpus.rename_shared};
  out.timing.probe = gpus.probe;
  out.timing.recover = gpus.recover;
  return out;
}

}  // namespace cloudos::settings
