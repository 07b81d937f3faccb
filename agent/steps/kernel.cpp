// Sysctl and KernelModule: now, and for the next boot.

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "agent/steps/actions.hpp"
#include "agent/steps/files.hpp"
#include "core/base/text.hpp"
#include "core/os/crypto/crypto.hpp"

namespace cloudos::steps {
namespace {

std::string with(std::string text, char from, char to) {
  std::ranges::replace(text, from, to);
  return text;
}

std::string sysctl_file(const std::string& key) { return "/etc/sysctl.d/90-cloudos-" + key + ".conf"; }
std::string sysctl_content(const model::Sysctl& a) {
  return "# Kubernetes needs it; written by cloudos.\n" + a.key + " = " + a.value + "\n";
}
std::string proc_path(const std::string& key) { return "/proc/sys/" + with(key, '.', '/'); }

// The kernel shows several values with tabs between them (Documentation/admin-guide/sysctl).
std::string normal(std::string_view value) { return with(std::string(trim(value)), '\t', ' '); }

std::string module_file(const std::string& name) { return "/etc/modules-load.d/cloudos-" + name + ".conf"; }

// Whether the thing that the module brings works, which it also does when it is built in: the kernel's own list says it for
// file systems, and these sysctl folders are there exactly when the code is.
Result<bool> feature_there(const Session& session, const std::string& name) {
  if (fs::exists(session.at("/sys/module/" + with(name, '-', '_')))) return true;
  if (name == "br_netfilter") return fs::exists(session.at("/proc/sys/net/bridge"));
  if (name == "nf_conntrack") return fs::exists(session.at("/proc/sys/net/netfilter/nf_conntrack_max"));
  if (name == "overlay") {
    CLOUDOS_ASSIGN(auto systems, os::read(session.at("/proc/filesystems")));
    return systems.contains("\toverlay\n");
  }
  CLOUDOS_ASSIGN(auto release, os::read_if_any(session.at("/proc/sys/kernel/osrelease")));
  CLOUDOS_ASSIGN(auto builtin, os::read_if_any(session.at("/lib/modules/" + std::string(trim(release.value_or(""))) + "/modules.builtin")));
  return builtin && builtin->contains("/" + name + ".ko");
}

}  // namespace

Result<Check> check(const model::Sysctl& a, Session& session) {
  CLOUDOS_ASSIGN(auto present, os::read_if_any(session.at(proc_path(a.key))));
  if (!present) return Check::conflict("this kernel has no " + a.key);
  if (normal(*present) != normal(a.value)) return Check::needed("is " + normal(*present) + ", becomes " + a.value);
  return check_file(session, sysctl_file(a.key), sysctl_content(a), 0644);
}
Result<Undo> before(const model::Sysctl& a, Session& session) {
  CLOUDOS_ASSIGN(auto undo, keep_before(session, sysctl_file(a.key), os::sha256(sysctl_content(a))));
  CLOUDOS_ASSIGN(auto present, os::read(session.at(proc_path(a.key))));
  undo["key"] = a.key;
  undo["value-before"] = normal(present);
  undo["value-after"] = a.value;
  return undo;
}
Status apply(const model::Sysctl& a, Session& session) {
  // procfs takes the value in one write(2) and refuses a temp file beside it.
  CLOUDOS_ASSIGN(auto fd, os::open(session.at(proc_path(a.key)), O_WRONLY));
  CLOUDOS_ASSIGN(auto present, os::read(session.at(proc_path(a.key))));
  if (normal(present) != normal(a.value))
    CLOUDOS_TRY_WITH(os::write_all(fd.get(), std::as_bytes(std::span(a.value))), "setting " + a.key + " to " + a.value);
  return write_file(session, sysctl_file(a.key), sysctl_content(a), 0644);
}

Result<Check> check(const model::KernelModule& a, Session& session) {
  CLOUDOS_ASSIGN(auto there, feature_there(session, a.name));
  if (!there) return Check::needed("is not loaded");
  return check_file(session, module_file(a.name), a.name + "\n", 0644);
}
Result<Undo> before(const model::KernelModule& a, Session& session) {
  return keep_before(session, module_file(a.name), os::sha256(a.name + "\n"));
}
Status apply(const model::KernelModule& a, Session& session) {
  CLOUDOS_ASSIGN(auto there, feature_there(session, a.name));
  if (!there) {
    auto loaded = session.command({"modprobe", "--", a.name});
    if (!loaded) return fail(std::move(loaded).error().advise("install the kernel's modules package, or boot a kernel that has " + a.name));
  }
  return write_file(session, module_file(a.name), a.name + "\n", 0644);
}

}  // namespace cloudos::steps
