// LoadImages: from the node's store into our containerd, by digest. `ctr images import` of a whole archive hashes all of it
// again and cannot skip what is there. So a thin archive (manifests and configs) goes first: it makes the image records,
// whose references keep the garbage collector away from layers that are not there yet (containerd's docs/garbage-collection.md,
// containerd.io/gc.ref.content.l.N); then the missing layers go in side by side; then what a starting kubelet needs at once is
// unpacked.

#include "agent/steps/images.hpp"

#include <sys/utsname.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <thread>

#include "agent/steps/actions.hpp"
#include "core/base/text.hpp"
#include "core/os/archive/archive.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::steps {
namespace {

using nlohmann::json;
using Image = model::LoadImages::Image;

constexpr auto pinned = "io.cri-containerd.pinned=pinned";
constexpr Milliseconds transfer_limit{900'000};

std::string platform() {
  utsname names{};
  ::uname(&names);
  const std::string_view machine = names.machine;
  return std::string("linux/") + (machine == "x86_64" ? "amd64" : machine == "aarch64" ? "arm64" : std::string(machine));
}

Result<const ImageList*> present_images(Session& session) {
  if (!session.images) {
    // Only pinned ones count: an image of ours that lost its label may be deleted by the kubelet when the disk is full.
    CLOUDOS_ASSIGN(auto table, session.command(session.ctr({"images", "check", "labels.\"io.cri-containerd.pinned\"==pinned"})));
    session.images = std::make_unique<ImageList>(parse_image_table(table));
  }
  return session.images.get();
}

// Why an image is not as wanted, or "".
std::string lacks(const Image& wanted, bool unpack, const ImageList& present) {
  const auto found = present.by_ref.find(wanted.ref);
  if (found == present.by_ref.end()) return wanted.ref + " is not there";
  if (found->second.digest != wanted.manifest.oci()) return wanted.ref + " is another build";
  if (!found->second.complete) return wanted.ref + " is not complete";
  if (unpack && !found->second.unpacked) return wanted.ref + " is not unpacked";
  return "";
}

Result<std::vector<const Image*>> wanting(const model::LoadImages& a, Session& session) {
  CLOUDOS_ASSIGN(const auto* present, present_images(session));
  std::vector<const Image*> out;
  for (const auto& image : a.images)
    if (!lacks(image, a.unpack, *present).empty()) out.push_back(&image);
  return out;
}

Result<std::string> small_blob(const Session& session, const Digest& digest) {
  auto text = os::read(session.store.path(digest));
  if (!text) return fail(std::move(text).error().advise("run the same command again: what this machine's store lacks is sent first"));
  return text;
}

// oci-layout, index.json, and each manifest and config once.
Result<std::string> thin_archive(const Session& session, const std::vector<const Image*>& images) {
  std::string bytes;
  os::TarWriter tar(into(bytes));
  std::map<std::string, std::string> blobs;
  auto manifests = json::array();
  for (const auto* image : images) {
    CLOUDOS_ASSIGN(auto manifest, small_blob(session, image->manifest));
    CLOUDOS_ASSIGN(auto config, small_blob(session, image->config));
    const auto j = json::parse(manifest, nullptr, false);
    const auto type = j.is_object() ? j.value("mediaType", "application/vnd.oci.image.manifest.v1+json") : "";
    if (type.empty()) return fail(ErrorKind::trust, "the manifest of " + image->ref + " is not JSON");
    manifests.push_back({{"mediaType", type},
                         {"digest", image->manifest.oci()},
                         {"size", manifest.size()},
                         {"annotations", {{"io.containerd.image.name", image->ref}}}});
    blobs[image->manifest.hex()] = std::move(manifest);
    blobs[image->config.hex()] = std::move(config);
  }
  CLOUDOS_TRY(tar.add("oci-layout", R"({"imageLayoutVersion":"1.0.0"})"));
  CLOUDOS_TRY(tar.add("index.json", json{{"schemaVersion", 2}, {"manifests", std::move(manifests)}}.dump()));
  for (const auto& [hex, content] : blobs) CLOUDOS_TRY(tar.add("blobs/sha256/" + hex, content));
  CLOUDOS_TRY(tar.finish());
  return bytes;
}

Argv import_command(const Session& session, bool unpack) {
  auto argv = session.ctr({"images", "import", "--local", "--platform", platform(), "--label", pinned});
  if (!unpack) argv += "--no-unpack";
  argv += "-";
  return argv;
}

// Runs `work` for each of n items on several threads; the first error ends the handing out and is given.
Status side_by_side(std::size_t n, const std::function<Status(std::size_t)>& work) {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  Status first;
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < std::min<std::size_t>(n, std::clamp(std::thread::hardware_concurrency(), 2U, 8U)); ++i)
      threads.emplace_back([&] {
        for (auto item = next++; item < n; item = next++) {
          auto status = work(item);
          if (status) continue;
          const std::lock_guard lock(mutex);
          if (first) first = std::move(status);
          next = n;
        }
      });
  }
  return first;
}

Status ingest(Session& session, const Digest& layer, std::uint64_t size, const std::function<void(std::uint64_t)>& moved) {
  CLOUDOS_ASSIGN(auto blob, session.store.open(layer));
  Session::Call call;
  call.limit = transfer_limit;
  call.input = [blob, moved](std::span<std::byte> out) -> Result<std::size_t> {
    auto got = blob(out);
    if (got) moved(*got);
    return got;
  };
  CLOUDOS_ASSIGN(auto output, session.ask(session.ctr({"content", "ingest", "--expected-digest", layer.oci(), "--expected-size",
                                                       std::to_string(size), "cloudos-" + layer.hex()}),
                                          std::move(call)));
  if (output.exit.ok() || output.err.contains("already exists")) return {};
  return fail(ErrorKind::failed,
              "ctr content ingest of layer " + layer.hex() + " ended with " + output.exit.text() + ": " + std::string(trim(output.err)));
}

Status ingest_missing(Session& session, const std::vector<const Image*>& images) {
  CLOUDOS_ASSIGN(auto listed, session.command(session.ctr({"content", "ls", "-q"})));
  std::set<Digest> missing;
  for (const auto* image : images)
    for (const auto& layer : image->layers)
      if (!listed.contains(layer.oci())) missing.insert(layer);
  const std::vector<Digest> layers(missing.begin(), missing.end());
  std::vector<std::uint64_t> sizes;
  std::uint64_t total = 0;
  for (const auto& layer : layers) {
    std::error_code error;
    sizes.push_back(fs::file_size(session.store.path(layer), error));
    if (error)
      return fail(ErrorKind::io, "layer " + layer.hex() + " is not in this machine's store",
                  "run the same command again: what is missing is sent first");
    total += sizes.back();
  }
  std::atomic<std::uint64_t> done{0};
  return side_by_side(layers.size(), [&](std::size_t i) {
    return ingest(session, layers[i], sizes[i], [&](std::uint64_t n) { session.progress(done += n, total); });
  });
}

Status unpack(Session& session, const std::vector<const Image*>& images) {
  return side_by_side(images.size(), [&](std::size_t i) -> Status {
    CLOUDOS_ASSIGN(auto archive, thin_archive(session, {images[i]}));
    CLOUDOS_ASSIGN(auto output,
                   session.ask(import_command(session, true), {.input = bytes_of(std::move(archive)), .limit = transfer_limit}));
    if (output.exit.ok()) return {};
    return fail(ErrorKind::failed,
                "unpacking " + images[i]->ref + " ended with " + output.exit.text() + ": " + std::string(trim(output.err)));
  });
}

}  // namespace

ImageList parse_image_table(std::string_view table) {
  ImageList list;
  for (const auto& line : split(table, '\n')) {
    std::istringstream in(line);
    std::vector<std::string> words;
    for (std::string word; in >> word;) words.push_back(word);
    if (words.size() < 5 || !words[2].starts_with("sha256:")) continue;
    list.by_ref[words[0]] = {.digest = words[2], .complete = words[3] == "complete", .unpacked = words.back() == "true"};
  }
  return list;
}

Result<Check> check(const model::LoadImages& a, Session& session) {
  CLOUDOS_ASSIGN(const auto* present, present_images(session));
  std::string first;
  std::size_t count = 0;
  for (const auto& image : a.images) {
    const auto reason = lacks(image, a.unpack, *present);
    if (reason.empty()) continue;
    if (count++ == 0) first = reason;
  }
  if (count == 0) return Check::satisfied();
  return Check::needed(count == 1 ? first : first + ", and " + std::to_string(count - 1) + " more");
}

// Images live in our containerd's own folder, which goes as a whole.
Result<Undo> before(const model::LoadImages&, Session&) { return Undo{}; }

Status apply(const model::LoadImages& a, Session& session) {
  CLOUDOS_ASSIGN(auto images, wanting(a, session));
  session.images.reset();
  CLOUDOS_ASSIGN(auto archive, thin_archive(session, images));
  CLOUDOS_TRY(session.command(import_command(session, false), {.input = bytes_of(std::move(archive))}));
  CLOUDOS_TRY(ingest_missing(session, images));
  return a.unpack ? unpack(session, images) : Status{};
}

}  // namespace cloudos::steps
