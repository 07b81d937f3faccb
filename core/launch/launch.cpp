// core/launch: the program that stands in bin/ under another's name and starts lib/NAME.bin through the dynamic loader and
// the libraries beside it. So both programs run on machines whose own glibc is older or missing. It is linked statically
// and knows nothing but its own place: /proc/self/exe (proc(5)), so it works through symlinks and after a move.

#include <cerrno>
#include <climits>
#include <cstring>
#include <initializer_list>

#include <dirent.h>
#include <unistd.h>

namespace {

struct Path {
  char text[PATH_MAX];
};

// "a" + "b" + "c"; false when it does not fit.
bool join(Path& out, const char* a, const char* b, const char* c) {
  const char* const parts[] = {a, b, c};
  std::size_t used = 0;
  for (const char* part : parts) {
    const std::size_t n = std::strlen(part);
    if (used + n >= sizeof out.text) return false;
    std::memcpy(out.text + used, part, n);
    used += n;
  }
  out.text[used] = '\0';
  return true;
}

int give_up(const char* what, const char* path, int error) {
  const char* const parts[] = {"cannot start: ", what, " ", path, ": ", std::strerror(error), "\n"};
  for (const char* part : parts) {
    if (write(STDERR_FILENO, part, std::strlen(part)) < 0) break;
  }
  return 127;
}

// The loader's file name differs by architecture: ld-linux-x86-64.so.2, ld-linux-aarch64.so.1.
bool find_loader(Path& loader, const Path& lib) {
  DIR* folder = opendir(lib.text);
  if (folder == nullptr) return false;
  bool found = false;
  while (const dirent* entry = readdir(folder)) {
    if (std::strncmp(entry->d_name, "ld-linux", 8) != 0) continue;
    found = join(loader, lib.text, "/", entry->d_name);
    break;
  }
  closedir(folder);
  return found;
}

}  // namespace

int main(int argc, char** argv) {
  static Path self, home, lib, loader, program;
  static char* words[4096];
  const ssize_t length = readlink("/proc/self/exe", self.text, sizeof self.text - 1);
  if (length < 0) return give_up("reading", "/proc/self/exe", errno);
  self.text[length] = '\0';

  home = self;
  char* const slash = std::strrchr(home.text, '/');
  if (slash == nullptr) return give_up("the place of", self.text, ENOENT);
  const char* const name = self.text + (slash - home.text) + 1;
  *slash = '\0';
  if (char* const above = std::strrchr(home.text, '/')) *above = '\0';  // bin/

  if (!join(lib, home.text, "/lib", "") || !join(program, lib.text, "/", name) || !join(program, Path{program}.text, ".bin", "")) {
    return give_up("the path of", self.text, ENAMETOOLONG);
  }
  if (!find_loader(loader, lib)) return give_up("no loader (ld-linux*) in", lib.text, ENOENT);

  const int fixed = 6;
  if (argc + fixed >= static_cast<int>(sizeof words / sizeof *words)) return give_up("the arguments of", self.text, E2BIG);
  static char library_path[] = "--library-path", argv0[] = "--argv0";
  int n = 0;
  for (char* word : {loader.text, library_path, lib.text, argv0, self.text, program.text}) words[n++] = word;
  for (int i = 1; i < argc; ++i) words[n++] = argv[i];
  execv(loader.text, words);
  return give_up("running", loader.text, errno);
}
