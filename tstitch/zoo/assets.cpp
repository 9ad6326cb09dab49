#include "tstitch/zoo/assets.h"

#include <cstdlib>
#include <filesystem>

#include "tstitch/base/error.h"

namespace tstitch {
namespace fs = std::filesystem;

namespace {

constexpr char kProbe[] = "fashion-s.safetensors";

}  // namespace

std::string assets_folder() {
  if (const char* folder = std::getenv("TSTITCH_ASSETS")) return folder;
  std::error_code ignored;
  const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
  for (const fs::path& folder :
       {program.parent_path().parent_path() / "share" / "tstitch", fs::path(TSTITCH_BUILD_ASSETS)})
    if (fs::exists(folder / kProbe, ignored)) return folder.string();
  fail(ErrorKind::input, "the demo models are not installed: no ", kProbe, " beside the program nor in ",
       TSTITCH_BUILD_ASSETS, "; name models with --model, or the folder in TSTITCH_ASSETS");
}

std::string resolve_model(const std::string& name) {
  std::error_code ignored;
  const bool looks_like_a_path = name.find('/') != std::string::npos || name.find('.') != std::string::npos;
  if (looks_like_a_path || fs::exists(name, ignored)) return name;
  const fs::path builtin = fs::path(assets_folder()) / (name + ".safetensors");
  return fs::exists(builtin, ignored) ? builtin.string() : name;
}

std::vector<std::string> builtin_names() { return {"fashion-s", "fashion-l"}; }

std::vector<std::string> builtin_models() {
  std::vector<std::string> paths;
  for (const std::string& name : builtin_names()) paths.push_back(resolve_model(name));
  return paths;
}

}  // namespace tstitch
