// Looking for secrets where none may be: what an install makes and what it is given, on both sides.
#pragma once

#include <string>
#include <thread>
#include <vector>

#include "tests/machines/machines.hpp"

namespace cloudos::machines {

// While it lives, notes the command lines and environments of all processes of the machines several times a second, and on
// masters the join tokens that the cluster knows.
class Watch {
 public:
  explicit Watch(const Sandbox& sandbox);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

 private:
  const Sandbox& sandbox_;
  std::vector<std::jthread> threads_;
};

// The secret halves of the join tokens that were seen, a line from the middle of every private key, in the forms that they
// may be written in.
std::vector<std::string> secrets_of(const Sandbox& sandbox);

// Where on the machine one of the secrets stands outside the places that must have it, a line each: a file's path, "journal"
// or "processes".
std::vector<std::string> leaks_on(const Sandbox& sandbox, const Machine& machine, const std::vector<std::string>& secrets);
// The same for the files at or below a path of this computer.
std::vector<std::string> leaks_below(const std::string& path, const std::vector<std::string>& secrets);

}  // namespace cloudos::machines
