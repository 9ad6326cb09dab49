#include "tstitch/engine/command_files.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "tstitch/base/error.h"
#include "tstitch/io/atomic_file.h"
#include "tstitch/io/file.h"
#include "tstitch/io/sharded_checkpoint.h"

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

void CommandFiles::reads(const std::string& what, const std::string& path,
                         const std::vector<std::string>& endings) {
  if (path.empty()) return;
  std::error_code ignored;
  const bool folder = fs::is_directory(path, ignored);
  for (const std::string& one : folder ? list_folder(path) : std::vector{path}) {
    const auto ends_so = [&](const std::string& ending) { return one.ends_with(ending); };
    if (folder && std::ranges::none_of(endings, ends_so)) continue;
    if (const auto file = identify(one)) inputs_.emplace(*file, what);
    if (const auto around = identify(parent_folder(one))) input_folders_.emplace(*around, what);
  }
}

void CommandFiles::reads(const std::string& what, const ModelFiles& model) {
  const std::vector<std::string> parts = {".safetensors", ".bin", "config.json"};
  for (const std::string* path : {&model.weights, &model.config, &model.scheduler, &model.vae})
    reads(what, *path, parts);
  for (const std::string& path : model.text_encoders) reads(what, path, parts);
  reads(what, (fs::path(model.path) / "model_index.json").string());
  if (is_shard_index(model.weights)) reads(what, parent_folder(model.weights), parts);  // its shards
}

void CommandFiles::writes(const std::string& what, const std::string& path) {
  check(!is_folder(path), ErrorKind::usage, what, " is \"", printable(path),
        "\", a folder: expected a file name");
  check_writable(path);
  const FileIdentity file = identify(path).value();
  const auto input = inputs_.find(file);
  if (input != inputs_.end())
    fail(ErrorKind::usage, what, " is \"", printable(path), "\", an input (", input->second,
         "): expected another output");
  const auto [output, is_new] = outputs_.emplace(file, what);
  check(is_new, ErrorKind::usage, what, " and ", output->second, " are both \"", printable(path), "\"");
}

void CommandFiles::works_in(const std::string& what, const std::string& folder) {
  const auto identity = identify(folder);
  const auto input = identity ? input_folders_.find(*identity) : input_folders_.end();
  if (input != input_folders_.end())
    fail(ErrorKind::usage, what, " would work in \"", printable(folder), "\", where an input lies (",
         input->second, "): expected another output");
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
  if (path.ends_with(".npz")) works_in(what, path + ".parts");
}

bool is_folder(const std::string& path) {
  std::error_code ignored;
  return path.ends_with('/') || fs::is_directory(path, ignored);
}

}  // namespace tstitch
