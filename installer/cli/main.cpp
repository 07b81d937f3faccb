#include <span>

#include "installer/cli/program.hpp"

int main(int argc, char** argv) { return cloudos::cli::run({argv, static_cast<std::size_t>(argc)}); }
