#include "images/recipe.hpp"

#include <algorithm>
#include <format>
#include <ranges>

#include "core/base/text.hpp"
#include "images/check.hpp"
#include "images/fields.hpp"

namespace cloudos::images {

namespace {

class RecipeReader {
 public:
  RecipeReader(const std::filesystem::path& file, const std::map<std::string, std::string>& variables)
      : mistakes_(file), variables_(variables) {
    recipe_.file = file;
  }

  Result<Recipe> read(const toml::table& root) {
    Fields f(root, "", mistakes_);
    if (f.number("schema", 0, 1, 1) != 1) f.mistake("schema", "this program reads schema = 1");
    read_head(f);
    read_variables(f);
    for (const auto& [name, table] : f.named_tables("go")) recipe_.go.emplace(name, read_go(name, *table));
    for (const auto& [name, table] : f.named_tables("deb")) recipe_.deb.emplace(name, read_deb(name, *table));
    for (const auto& [name, table] : f.named_tables("layer")) {
      Fields layer(*table, "layer." + name, mistakes_);
      recipe_.layers.emplace(name, read_layer(layer));
      layer.done();
    }
    for (const auto* table : f.tables("component")) recipe_.components.push_back(read_component(*table));
    f.done();
    if (recipe_.components.empty()) f.mistake("component", "a recipe has at least one");
    CLOUDOS_TRY(mistakes_.status());
    return std::move(recipe_);
  }

 private:
  void read_head(Fields& f) {
    recipe_.name = f.text("name");
    recipe_.version = f.text("version");
    recipe_.platform = f.text("platform");
    if (recipe_.platform != "linux/amd64" && recipe_.platform != "linux/arm64")
      f.mistake("platform", "expected linux/amd64 or linux/arm64");
    recipe_.created = f.text("created");
    recipe_.min_installer = f.text("min_installer");
    recipe_.level = static_cast<int>(f.number("zstd_level", recipe_.level, 1, 19));
  }

  // What is given replaces what the recipe says; it may not be about something else.
  void read_variables(Fields& f) {
    const auto own = f.text_map("variables");
    for (const auto& name : std::views::keys(variables_))
      if (!own.contains(name)) unknown(f, "variables", "variable", name, std::views::keys(own));
    variables_.insert(own.begin(), own.end());
  }

  GoSource read_go(const std::string& name, const toml::table& table) {
    Fields f(table, "go." + name, mistakes_);
    GoSource go{.name = name, .module = f.text("module"), .version = f.text("version"), .programs = f.text_map("programs", Need::required)};
    go.tags = f.texts("tags");
    go.ldflags = join(f.texts("ldflags"), " ");
    go.cgo = f.flag("cgo", false);
    go.static_libraries = f.texts("static_libraries");
    go.local_replacements = f.text("local_replacements", Need::optional);
    go.remove = f.texts("remove");
    for (const auto* removal : f.tables("remove_lines")) {
      Fields r(*removal, std::format("go.{}.remove_lines", name), mistakes_);
      go.remove_lines.push_back({.file = r.text("file"), .line = r.text("containing")});
      r.done();
    }
    for (const auto& path : go.remove) check_path(f, "remove", path);
    for (const auto& [program, package] : go.programs) {
      check_path(f, "programs", program);
      if (package != "." && !package.starts_with("./"))
        f.mistake("programs", std::format("the package of {} is '.' or starts with './'", program));
    }
    f.done();
    return go;
  }

  DebSource read_deb(const std::string& name, const toml::table& table) {
    Fields f(table, "deb." + name, mistakes_);
    DebSource deb{.name = name, .packages = f.texts("packages", Need::required), .without = f.texts("without")};
    deb.omit = f.texts("omit");
    deb.keep = f.texts("keep");
    // Package names reach apt's command line (Debian policy, 5.6.1).
    const auto fits = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.'; };
    for (const auto& package : deb.packages)
      if (package.empty() || package.front() == '-' || !std::ranges::all_of(package, fits))
        f.mistake("packages", std::format("'{}' is not the name of a Debian package", sanitise(package)));
    f.done();
    return deb;
  }

  static void check_path(Fields& f, std::string_view key, const std::string& path) {
    if (!is_safe_path(path)) f.mistake(key, std::format("'{}' is not a relative path that stays in its folder", sanitise(path)));
  }

  // "go:etcd/etcdctl" or "file:../build/x", with ${variables}; files are relative to the recipe.
  Origin read_origin(Fields& f) {
    auto text = f.text("from");
    for (const auto& [name, value] : variables_)
      for (std::size_t at = 0; (at = text.find("${" + name + "}", at)) != std::string::npos; at += value.size())
        text.replace(at, name.size() + 3, value);
    if (text.starts_with("file:"))
      return {.kind = Origin::Kind::file, .file = (recipe_.file.parent_path() / text.substr(5)).lexically_normal()};
    const auto slash = text.find('/');
    if (!text.starts_with("go:") || slash == std::string::npos) {
      if (!text.empty()) f.mistake("from", "expected 'go:SOURCE/PROGRAM' or 'file:PATH'");
      return {};
    }
    Origin origin{.kind = Origin::Kind::go, .source = text.substr(3, slash - 3), .program = text.substr(slash + 1)};
    const auto go = recipe_.go.find(origin.source);
    if (go == recipe_.go.end()) {
      unknown(f, "from", "go source", origin.source, std::views::keys(recipe_.go));
    } else if (!go->second.programs.contains(origin.program)) {
      unknown(f, "from", "program of go." + origin.source, origin.program, std::views::keys(go->second.programs));
    }
    return origin;
  }

  static void unknown(Fields& f, std::string_view key, const std::string& what, const std::string& name, auto&& known) {
    const std::vector<std::string_view> names(known.begin(), known.end());
    const auto meant = nearest(name, names);
    f.mistake(key,
              std::format("there is no {} '{}'{}", what, sanitise(name), meant.empty() ? "" : std::format("; did you mean '{}'?", meant)));
  }

  std::vector<FilePart> read_files(Fields& f, std::string_view key, unsigned mode) {
    std::vector<FilePart> out;
    for (const auto* table : f.tables(key)) {
      Fields file(*table, std::string(key), mistakes_);
      out.push_back(read_file(file, mode));
      file.done();
    }
    return out;
  }
  FilePart read_file(Fields& f, unsigned mode) {
    FilePart part{.path = f.text("path"), .from = read_origin(f), .mode = static_cast<unsigned>(f.number("mode", mode, 0, 0777))};
    check_path(f, "path", part.path);
    return part;
  }

  LayerPart read_layer(Fields& f) {
    LayerPart layer{.deb = f.text("deb", Need::optional), .files = read_files(f, "files", 0755), .links = f.text_map("links")};
    layer.folders = f.mode_map("folders");
    layer.combine = f.text_map("combine");
    if (!layer.deb.empty() && !recipe_.deb.contains(layer.deb)) unknown(f, "deb", "deb source", layer.deb, std::views::keys(recipe_.deb));
    for (const auto& path : std::views::keys(layer.links)) check_path(f, "links", path);
    for (const auto& path : std::views::keys(layer.folders)) check_path(f, "folders", path);
    for (const auto& path : std::views::keys(layer.combine)) check_path(f, "combine", path);
    return layer;
  }

  ImagePart read_image(const toml::table& table) {
    Fields f(table, "component.image", mistakes_);
    ImagePart image{.ref = f.text("ref"), .phase = f.text("phase"), .layers = f.texts("layers"), .own = read_layer(f)};
    image.entrypoint = f.texts("entrypoint");
    image.environment = f.texts("environment");
    image.user = f.text("user", Need::optional);
    if (image.phase != "control-plane" && image.phase != "node" && image.phase != "addon")
      f.mistake("phase", "expected control-plane, node or addon");
    for (const auto& layer : image.layers)
      if (!recipe_.layers.contains(layer)) unknown(f, "layers", "layer", layer, std::views::keys(recipe_.layers));
    f.done();
    return image;
  }

  ComponentPart read_component(const toml::table& table) {
    Fields f(table, "component", mistakes_);
    ComponentPart part{.name = f.text("name"), .version = f.text("version"), .licence = f.text("licence"), .source = f.text("source")};
    part.required = f.flag("required", true);
    part.enabled = f.flag("default", true);
    part.requires_ = f.texts("requires");
    for (const auto* file : f.tables("files")) {
      Fields g(*file, "component.files", mistakes_);
      part.files.push_back({.file = read_file(g, 0755), .compress = g.flag("compress", true)});
      g.done();
    }
    for (auto& manifest : read_files(f, "manifests", 0644)) part.manifests.push_back({.file = std::move(manifest), .compress = false});
    for (const auto* image : f.tables("image")) part.images.push_back(read_image(*image));
    f.done();
    return part;
  }

  Mistakes mistakes_;
  std::map<std::string, std::string> variables_;
  Recipe recipe_;
};

}  // namespace

Result<Recipe> read_recipe(const std::filesystem::path& file, const std::map<std::string, std::string>& variables) {
  CLOUDOS_ASSIGN(const auto table, parse_toml(file));
  return RecipeReader(file, variables).read(table);
}

}  // namespace cloudos::images
