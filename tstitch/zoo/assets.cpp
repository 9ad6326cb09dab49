#include "tstitch/zoo/assets.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "tstitch/base/edit_distance.h"
#include "tstitch/base/error.h"
#include "tstitch/base/join.h"

namespace tstitch {
namespace fs = std::filesystem;

namespace {

constexpr char kProbe[] = "fashion-s.safetensors";

std::optional<fs::path> find_assets() {
  if (const char* folder = std::getenv("TSTITCH_ASSETS")) return folder;
  std::error_code ignored;
  const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
  for (const fs::path& folder :
       {program.parent_path().parent_path() / "share" / "tstitch", fs::path(TSTITCH_BUILD_ASSETS)})
    if (fs::exists(folder / kProbe, ignored)) return folder;
  return std::nullopt;
}

// All that the program knows, there or not; what is meant where nothing else is comes first.
const std::vector<DemoFamily>& known_families() {
  static const std::vector<DemoFamily> known = {
      {.models = {"fashion-s", "fashion-b", "fashion-l"}, .usual = {"fashion-s", "fashion-l"}},
      {.models = {"words-s", "words-l"}, .usual = {"words-s", "words-l"}, .reads_text = true}};
  return known;
}

// Models of texts are folders of pipelines, the others files.
fs::path path_of(const fs::path& assets, const DemoFamily& family, const std::string& model) {
  return family.reads_text ? assets / "words" / model : assets / (model + ".safetensors");
}

// What is there of a model that is whole.
fs::path probe_of(const DemoFamily& family, const fs::path& path) {
  return family.reads_text ? path / "model_index.json" : path;
}

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

bool is_there(const DemoFamily& family) {
  const auto assets = find_assets();
  return assets && std::ranges::all_of(family.models, [&](const std::string& model) {
           return is_file(probe_of(family, path_of(*assets, family, model)));
         });
}

[[noreturn]] void refuse_name(const std::string& name) {
  constexpr size_t kMostSlips = 2;
  const std::vector<std::string> names = demo_models();
  const auto slips = [&](const std::string& model) { return edit_distance(model, name); };
  const std::string& nearest = *std::ranges::min_element(names, {}, slips);
  fail(ErrorKind::input, "\"", printable(name), "\" is neither a file nor a demo model",
       slips(nearest) <= kMostSlips ? concat(": did you mean ", nearest, "?")
                                    : concat("; there are ", join(names)));
}

}  // namespace

std::string assets_folder() {
  const auto assets = find_assets();
  check(assets.has_value(), ErrorKind::input, "the demo models are not installed: no ", kProbe,
        " beside the program nor in ", TSTITCH_BUILD_ASSETS,
        "; name models with --model, or the folder in TSTITCH_ASSETS");
  return assets->string();
}

std::vector<DemoFamily> demo_families() {
  std::vector<DemoFamily> families = known_families();
  families.erase(std::remove_if(families.begin() + 1, families.end(),
                                [](const DemoFamily& family) { return !is_there(family); }),
                 families.end());
  return families;
}

std::vector<std::string> demo_models() {
  std::vector<std::string> names;
  for (const DemoFamily& family : demo_families())
    names.insert(names.end(), family.models.begin(), family.models.end());
  return names;
}

std::string resolve_model(const std::string& name) {
  const bool looks_like_a_path = name.find('/') != std::string::npos || name.find('.') != std::string::npos;
  std::error_code error;
  const bool is_there = fs::exists(fs::symlink_status(name, error));
  // A link that leads nowhere, or a name that is too long, is for those who open it to report.
  if (looks_like_a_path || is_there || (error && error != std::errc::no_such_file_or_directory)) return name;
  for (const DemoFamily& family : known_families()) {
    if (!std::ranges::count(family.models, name)) continue;
    const fs::path path = path_of(assets_folder(), family, name);
    const fs::path probe = probe_of(family, path);
    check(is_file(probe), ErrorKind::input, "the demo model ", name, " is not installed: there is no ",
          probe.string());
    return path.string();
  }
  refuse_name(name);
}

std::vector<std::string> builtin_names(bool of_text) {
  const std::vector<DemoFamily> families = demo_families();
  const auto family = std::ranges::find(families, of_text, &DemoFamily::reads_text);
  return family == families.end() ? families.front().usual : family->usual;
}

std::vector<std::string> builtin_models() {
  std::vector<std::string> paths;
  for (const std::string& name : builtin_names()) paths.push_back(resolve_model(name));
  return paths;
}

}  // namespace tstitch
