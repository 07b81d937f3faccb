#pragma once
// Certificates as tests need them: of a CA of their own, for any name, at any time.

#include <string>

#include "agent/http/http.hpp"

namespace cloudos::test {

struct Certified {
  std::string subject_alt_name = "IP:127.0.0.1,DNS:localhost";
  long from_days = -1, to_days = 30;
};
// A CA; `name` is its common name.
http::Identity make_ca(const std::string& name);
// A certificate of that CA.
http::Identity issue(const http::Identity& ca, const std::string& common_name, const Certified& how = {});
// Its key, as Trust::spki has it.
std::string pin_of(const http::Identity& identity);

}  // namespace cloudos::test
