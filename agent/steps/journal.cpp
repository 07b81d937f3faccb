#include "agent/steps/journal.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ranges>

#include "agent/steps/environment.hpp"
#include "core/base/clock.hpp"

namespace cloudos::steps {
namespace {

// The records of the whole lines of `text`; `whole` becomes the bytes that they take.
Result<std::vector<model::JournalRecord>> decode_lines(std::string_view text, std::size_t& whole) {
  std::vector<model::JournalRecord> records;
  whole = 0;
  for (std::size_t end = 0; (end = text.find('\n', whole)) != std::string_view::npos; whole = end + 1) {
    const auto line = text.substr(whole, end - whole);
    if (line.empty()) continue;
    CLOUDOS_ASSIGN(auto record, model::decode_journal(line));
    records.push_back(std::move(record));
  }
  return records;
}

}  // namespace

Result<Journal> Journal::read(const std::filesystem::path& path) {
  Journal journal;
  CLOUDOS_ASSIGN(auto text, os::read_if_any(path));
  std::size_t whole = 0;
  auto records = decode_lines(text.value_or(""), whole);
  if (!records) return fail(std::move(records).error().with("reading the journal " + path.string()));
  journal.records_ = std::move(*records);
  return journal;
}

Result<Journal> Journal::open(const std::filesystem::path& path) {
  CLOUDOS_ASSIGN(auto journal, read(path));
  CLOUDOS_TRY(os::make_folders(path.parent_path(), 0755));
  CLOUDOS_ASSIGN(journal.fd_, os::open(path, O_RDWR | O_CREAT | O_APPEND, 0600));
  CLOUDOS_ASSIGN(auto text, os::read_if_any(path));
  std::size_t whole = 0;
  CLOUDOS_TRY(decode_lines(text.value_or(""), whole));
  if (text && whole < text->size() && ::ftruncate(journal.fd_.get(), static_cast<off_t>(whole)) != 0)
    return fail_errno("cut the torn end off " + path.string(), errno);
  return journal;
}

Status Journal::write(model::JournalRecord record) {
  record.sequence = records_.empty() ? 1 : records_.back().sequence + 1;
  record.at_ms = wall_ms();
  CLOUDOS_TRY_WITH(os::append_synced(fd_.get(), model::encode_journal(record) + "\n"), "writing the journal");
  records_.push_back(std::move(record));
  return {};
}

std::string Journal::state_of(const StepId& step) const {
  for (const auto& record : records_ | std::views::reverse)
    if (record.step == step) return record.state == "undone" ? "" : record.state;
  return "";
}

const model::JournalRecord* Journal::last_of(std::string_view kind) const {
  for (const auto& record : records_ | std::views::reverse)
    if (record.kind == kind) return record.state == "undone" ? nullptr : &record;
  return nullptr;
}

}  // namespace cloudos::steps
