#include "tstitch/engine/command_files.h"

#include <unistd.h>

#include <filesystem>

#include "tstitch/base/error.h"
#include "tstitch/io/atomic_file.h"
#include "tstitch/io/file.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;

void check_writable_folder(const std::string& folder, const std::string& path) {
  std::error_code ignored;
  check(fs::is_directory(folder, ignored), ErrorKind::device, "cannot write \"", printable(path),
        "\": there is no folder \"", printable(folder), "\"");
  check(access(folder.c_str(), W_OK | X_OK) == 0, ErrorKind::device, "cannot write \"", printable(path),
        "\": the folder \"", printable(folder), "\" is not writable");
}

}  // namespace

void CommandFiles::reads(const std::string& what, const std::string& path, const std::string& ending) {
  if (path.empty()) return;
  std::error_code ignored;
  const bool folder = fs::is_directory(path, ignored);
  for (const std::string& one : folder ? list_folder(path) : std::vector{path})
    if (const auto file = identify(one); file && (!folder || one.ends_with(ending)))
      inputs_.emplace(*file, what);
}

void CommandFiles::reads(const std::string& what, const ModelFiles& model) {
  for (const std::string* path :
       {&model.weights, &model.config, &model.scheduler, &model.text_encoder, &model.vae})
    reads(what, *path);
  reads(what, (fs::path(model.path) / "model_index.json").string());
  if (model.weights.ends_with(".index.json")) reads(what, parent_folder(model.weights));  // its shards
}

void CommandFiles::writes(const std::string& what, const std::string& path) {
  check(!is_folder(path), ErrorKind::usage, what, " is \"", printable(path),
        "\", a folder: expected a file name");
  check_writable_folder(parent_folder(path), path);
  const auto file = identify(path);
  check(file.has_value(), ErrorKind::device, "cannot write \"", printable(path), "\"");
  const auto input = inputs_.find(*file);
  check(input == inputs_.end(), ErrorKind::usage, what, " is \"", printable(path), "\", which ",
        input == inputs_.end() ? "" : input->second, " reads: expected another output");
  const auto [output, is_new] = outputs_.emplace(*file, what);
  check(is_new, ErrorKind::usage, what, " and ", output->second, " are both \"", printable(path), "\"");
  check_writable(path);
}

void CommandFiles::writes_pictures(const std::string& what, const std::string& path) {
  if (is_folder(path)) {
    // What is missing is made later; what is there must be a folder to write to.
    fs::path existing = path;
    std::error_code ignored;
    while (!existing.empty() && !fs::exists(existing, ignored)) existing = existing.parent_path();
    return check_writable_folder(existing.empty() ? "." : existing.string(), path);
  }
  check(path.ends_with(".png") || path.ends_with(".npz"), ErrorKind::usage, what, " is \"", printable(path),
        "\", expected a name that ends in .png or .npz, or a folder/");
  writes(what, path);
}

bool is_folder(const std::string& path) {
  std::error_code ignored;
  return path.ends_with('/') || fs::is_directory(path, ignored);
}

}  // namespace tstitch
