#include "tstitch/serve/catalog.h"

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/serve/refusal.h"
#include "tstitch/zoo/assets.h"

namespace tstitch::serve {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEndings[] = {".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf"};

bool is_weights(const fs::path& path) { return std::ranges::count(kEndings, path.extension().string()) > 0; }

// A folder of diffusers: a pipeline, or a network with its configuration.
bool is_model_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path / "model_index.json", ignored) || fs::exists(path / "config.json", ignored);
}

void add(std::map<std::string, std::string>& paths, std::string name, const std::string& path) {
  const std::string ending = fs::path(path).extension().string();
  if (const auto other = paths.find(name); other != paths.end() && other->second != path) {
    const std::string full = name + fs::path(other->second).extension().string();
    paths[full] = other->second;
    paths.erase(other);
    name += ending;
  }
  paths[name] = path;
}

std::map<std::string, std::string> found_in(const std::string& folder, bool folders_too) {
  std::map<std::string, std::string> paths;
  if (folder.empty()) return paths;
  std::error_code error;
  const auto options = fs::directory_options::follow_directory_symlink;
  for (fs::recursive_directory_iterator at(folder, options, error), end; !error && at != end;
       at.increment(error)) {
    const fs::path relative = at->path().lexically_relative(folder);
    std::error_code ignored;
    if (folders_too && at->is_directory(ignored) && is_model_folder(at->path())) {
      at.disable_recursion_pending();
      add(paths, relative.string(), at->path().string());
    } else if (at->is_regular_file(ignored) && is_weights(at->path())) {
      add(paths, fs::path(relative).replace_extension().string(), at->path().string());
    }
  }
  check(!error, ErrorKind::usage, "\"", printable(folder), "\" cannot be read: ", error.message());
  return paths;
}

// "b" of "a/b" and of "a/b/".
fs::path last_of(const std::string& path) {
  const fs::path clean = fs::path(path).lexically_normal();
  return clean.has_filename() ? clean.filename() : clean.parent_path().filename();
}

std::string usual_name(const std::string& path) {
  const fs::path last = last_of(path);
  return is_weights(last) ? last.stem().string() : last.string();
}

}  // namespace

Catalog::Catalog(CatalogOptions options) : options_(std::move(options)) { refresh(); }

void Catalog::refresh() {
  Paths models = found_in(options_.models_dir, true), loras = found_in(options_.lora_dir, false);
  std::vector<std::string> usual;
  for (const std::string& path : options_.models) {
    const std::string name = usual_name(path);
    check(!models.contains(name) || models[name] == path, ErrorKind::usage, "\"", printable(path),
          "\" and another model are both called \"", printable(name), "\": give one another name");
    models[name] = path;
    usual.push_back(name);
  }
  if (options_.models.empty() && options_.models_dir.empty()) {
    for (const std::string name : {"fashion-s", "fashion-b", "fashion-l"}) models[name] = name;
    usual = builtin_names();
  }
  if (usual.empty() && !models.empty()) usual = {models.begin()->first};
  const std::lock_guard lock(mutex_);
  models_ = std::move(models);
  loras_ = std::move(loras);
  usual_ = std::move(usual);
}

std::vector<std::string> Catalog::models() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, path] : models_) names.push_back(name);
  return names;
}

std::vector<std::string> Catalog::loras() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, path] : loras_) names.push_back(name);
  return names;
}

std::vector<std::string> Catalog::usual() const {
  const std::lock_guard lock(mutex_);
  return usual_;
}

std::vector<std::string> Catalog::choices() const {
  std::vector<std::string> names = models();
  if (const auto together = usual(); together.size() > 1) names.insert(names.begin(), join(together, "+"));
  return names;
}

std::vector<std::string> Catalog::split(const std::string& name) const {
  {
    const std::lock_guard lock(mutex_);
    if (models_.contains(name)) return {name};
  }
  std::vector<std::string> names;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('+', begin), name.size());
    names.push_back(name.substr(begin, end - begin));
    model_path(names.back());
    begin = end + 1;
  }
  return names;
}

std::string Catalog::model_path(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = models_.find(name);
  if (found == models_.end()) {
    std::vector<std::string> names;
    for (const auto& [known, path] : models_) names.push_back(known);
    throw Refusal(404, "model_not_found",
                  concat("there is no model \"", printable(name), "\", expected ",
                         printable(join(names), 400), ", or two of them as small+large"),
                  "model");
  }
  return found->second;
}

std::string Catalog::lora_path(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  if (const auto found = loras_.find(name); found != loras_.end()) return found->second;
  std::string path;  // of the only file of that name in any folder
  for (const auto& [known, file] : loras_)
    if (fs::path(known).filename() == name) {
      if (!path.empty()) refuse_field("lora", "there are several LoRAs \"", printable(name), "\"");
      path = file;
    }
  if (path.empty())
    throw Refusal(404, "lora_not_found", concat("there is no LoRA \"", printable(name), "\""), "lora");
  return path;
}

std::string Catalog::with_names(std::string message) const {
  const std::lock_guard lock(mutex_);
  for (const Paths* paths : {&models_, &loras_})
    for (const auto& [name, path] : *paths)
      for (size_t at = 0; path != name && (at = message.find(path, at)) != message.npos; at += name.size())
        message.replace(at, path.size(), name);
  return message;
}

std::string Catalog::name_of(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  for (const Paths* paths : {&models_, &loras_})
    for (const auto& [name, known] : *paths)
      if (known == path) return name;
  return last_of(path).string();
}

}  // namespace tstitch::serve
