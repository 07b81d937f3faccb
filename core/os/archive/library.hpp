// What reading and writing share of libarchive. Private to this room.
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/os/archive/archive.hpp"

namespace cloudos::os {

// libarchive converts names through the thread's character set, and in the C locale it drops every name that is not
// ASCII. C.UTF-8 is built into glibc since 2.35, so it needs no file on the machine.
class Utf8Names {
 public:
  Utf8Names() : locale_(::newlocale(LC_CTYPE_MASK, "C.UTF-8", locale_t{})), before_(::uselocale(locale_)) {}
  ~Utf8Names() {
    ::uselocale(before_);
    if (locale_ != locale_t{}) ::freelocale(locale_);
  }
  Utf8Names(const Utf8Names&) = delete;
  Utf8Names& operator=(const Utf8Names&) = delete;

 private:
  locale_t locale_;
  locale_t before_;
};

using EntryHandle = std::unique_ptr<archive_entry, decltype(&archive_entry_free)>;

// What libarchive has to say about its last failure.
[[nodiscard]] inline std::string complaint(archive* a) {
  const char* text = archive_error_string(a);
  return text != nullptr ? text : "unknown error";
}

// The components of a path without "." and empty ones.
[[nodiscard]] std::vector<std::string> components(std::string_view path);

// Refuses what could reach outside of the folder that an archive is for, or could do harm there. It remembers the links of
// the archive: nothing may lie below one, so that every name means the same before and after extraction.
class Inspector {
 public:
  explicit Inspector(const ReadLimits& limits);
  ~Inspector();
  Inspector(const Inspector&) = delete;
  Inspector& operator=(const Inspector&) = delete;
  // Errors: trust, with the entry's name.
  [[nodiscard]] Status inspect(const Entry& entry);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cloudos::os
