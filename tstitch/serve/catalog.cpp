#include "tstitch/serve/catalog.h"

#include <algorithm>
#include <filesystem>
#include <new>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/engine/run_spec.h"
#include "tstitch/io/checkpoint.h"
#include "tstitch/io/json.h"
#include "tstitch/io/refuse.h"
#include "tstitch/serve/refusal.h"
#include "tstitch/zoo/assets.h"
#include "tstitch/zoo/control_net.h"
#include "tstitch/zoo/lora_file.h"

namespace tstitch::serve {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEndings[] = {".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf"};

bool is_weights(const fs::path& path) { return std::ranges::count(kEndings, path.extension().string()) > 0; }

// A folder of diffusers: a pipeline, or a network with its configuration.
bool is_whole_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path / "model_index.json", ignored) || fs::exists(path / "config.json", ignored);
}

// "model-00002-of-00005": a part of a checkpoint that has an index.
bool is_shard(const fs::path& path) {
  const std::string stem = path.stem().string();
  const size_t of = stem.rfind("-of-");
  const auto is_number = [](std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == text.npos;
  };
  const size_t dash = of == stem.npos || of == 0 ? stem.npos : stem.rfind('-', of - 1);
  return dash != stem.npos && is_number(std::string_view(stem).substr(dash + 1, of - dash - 1)) &&
         is_number(std::string_view(stem).substr(of + 4));
}

// What the configuration of diffusers is of: "ControlNetModel", "SparseControlNetModel", "T2IAdapter".
bool is_class_of_controls(const std::string& name) {
  return name.find("ControlNet") != name.npos || name.ends_with("Adapter");
}

// Whether it stands beside a model, as a ControlNet, an autoencoder or a text encoder does.
bool is_companion(const fs::path& path) try {
  if (fs::is_directory(path)) {
    if (fs::exists(path / "model_index.json")) return false;
    const std::string text = parse_json_file((path / "config.json").string()).value("_class_name", "");
    return text.starts_with("Autoencoder") || is_class_of_controls(text);
  }
  const TensorFile file = open_checkpoint(path.string());
  const auto is_of_vae = [](const auto& tensor) {
    const std::string_view name = tensor.first;
    return std::ranges::any_of(std::initializer_list<std::string_view>{"encoder.", "decoder.", "quant_conv.",
                                                                       "post_quant_conv.", "loss."},
                               [&](std::string_view part) { return name.starts_with(part); });
  };
  return is_control_net(file) || (!file.tensors().empty() && std::ranges::all_of(file.tensors(), is_of_vae));
} catch (const std::bad_alloc&) {
  throw;
} catch (const std::exception&) {
  return false;
}

// Whether its names are those of a LoRA, also of a form that is not known.
bool is_like_lora(const TensorFile& file) {
  constexpr std::string_view kParts[] = {"lora_", "lora.", "hada_w", "lokr_w"};
  return std::ranges::any_of(file.tensors(), [&](const auto& tensor) {
    const std::string_view name = tensor.first;
    return std::ranges::any_of(kParts, [&](std::string_view part) { return name.find(part) != name.npos; });
  });
}

// Whether what cannot be read as one of a kind is plainly something else: people have all kinds in one
// folder, and need not be warned of it. What cannot be opened may be one that is broken.
template <class F>
bool is_known(F is_something_else) try {
  return is_something_else();
} catch (const std::bad_alloc&) {
  throw;
} catch (const std::exception&) {
  return false;
}

bool is_no_model(const std::string& path) {
  return is_known([&] { return !fs::is_directory(path) && is_like_lora(open_checkpoint(path)); });
}

bool is_no_lora(const std::string& path) {
  return is_known([&] {
    const TensorFile file = open_checkpoint(path);
    return is_control_net(file) || !is_like_lora(file);
  });
}

bool is_no_control_net(const std::string& path) {
  return is_known([&] {
    if (!fs::is_directory(path)) return !is_control_net(open_checkpoint(path));
    if (fs::exists(fs::path(path) / "model_index.json")) return true;
    const auto config = parse_json_file((fs::path(path) / "config.json").string());
    // Of diffusers, or of transformers, which has text encoders and the like.
    return config.contains("_class_name") ? !is_class_of_controls(config.value("_class_name", ""))
                                          : config.contains("architectures");
  });
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

enum class Kind { models, loras, controls };

// Of a folder whatever lies in it and below it, once: links may lead round in circles.
void look_into(const fs::path& folder, const fs::path& name, Kind kind,
               std::map<std::string, std::string>& paths, std::set<fs::path>& seen, std::error_code& error) {
  const fs::path real = fs::canonical(folder, error);
  if (error || !seen.insert(real).second) return;
  std::vector<fs::path> entries;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    entries.push_back(at->path());
  std::ranges::sort(entries);
  for (const fs::path& path : entries) {
    std::error_code ignored;
    const fs::path here = name / path.filename();
    if (fs::is_directory(path, ignored)) {
      if (kind == Kind::loras || !is_whole_folder(path))
        look_into(path, here, kind, paths, seen, ignored);
      else if (kind == Kind::controls || !is_companion(path))
        add(paths, here.string(), path.string());
    } else if (fs::is_regular_file(path, ignored) && is_weights(path)) {
      if (kind != Kind::models || !(is_shard(path) || is_companion(path)))
        add(paths, fs::path(here).replace_extension().string(), path.string());
    }
  }
}

std::map<std::string, std::string> found_in(const char* option, const std::string& folder, Kind kind) {
  std::map<std::string, std::string> paths;
  if (folder.empty()) return paths;
  std::set<fs::path> seen;
  std::error_code error;
  look_into(folder, {}, kind, paths, seen, error);
  check(!error, ErrorKind::usage, option, " cannot be read: ", error.message());
  return paths;
}

// "b" of "a/b" and of "a/b/".
fs::path last_of(const std::string& path) {
  const fs::path clean = fs::path(path).lexically_normal();
  return clean.has_filename() ? clean.filename() : clean.parent_path().filename();
}

std::vector<std::string> keys_of(const std::map<std::string, std::string>& paths) {
  std::vector<std::string> names;
  for (const auto& [name, path] : paths) names.push_back(name);
  return names;
}

std::string usual_name(const std::string& path) {
  const fs::path last = last_of(path);
  return is_weights(last) ? last.stem().string() : last.string();
}

// "a/b" for "a/b/", which the paths of what lies in it begin with.
CatalogOptions with_clean_folders(CatalogOptions options) {
  for (std::string* folder : {&options.models_dir, &options.lora_dir, &options.control_dir})
    while (folder->size() > 1 && folder->ends_with('/')) folder->pop_back();
  return options;
}

// What is called so, or else whatever the last part of whose name it is: names with what stands behind them.
std::map<std::string, std::string> called(const std::map<std::string, std::string>& all,
                                          const std::string& name) {
  if (const auto found = all.find(name); found != all.end()) return {*found};
  std::map<std::string, std::string> several;
  for (const auto& one : all)
    if (fs::path(one.first).filename() == name) several.insert(one);
  return several;
}

}  // namespace

std::string name_without_folder(const std::string& path) { return last_of(path).string(); }

std::string with_names(std::string message, PathNames names) {
  // "/a/b/c" before "/a/b", which it begins with.
  std::ranges::sort(names, std::ranges::greater(), [](const auto& one) { return one.first.size(); });
  for (const auto& [path, name] : names)
    for (const std::string& there : {path, shown_path(path)})
      for (size_t at = 0; !there.empty() && there != name && (at = message.find(there, at)) != message.npos;
           at += name.size())
        message.replace(at, there.size(), name);
  return message;
}

void read_as_model(const std::string& path) { read_models({.models = {path}}); }
void read_as_lora(const std::string& path) { LoraFile{path}; }
void read_as_control_net(const std::string& path) { read_control_net_info(path); }

Catalog::Catalog(CatalogOptions options) : options_(with_clean_folders(std::move(options))) { look(); }

Catalog::Shelf Catalog::readable(const char* option, Paths found,
                                 const std::function<void(const std::string&)>& read,
                                 bool (*is_other)(const std::string&), const Shelf& before) const {
  Shelf shelf{.paths = std::move(found), .left_out = {}};
  for (auto one = shelf.paths.begin(); one != shelf.paths.end();) try {
      read(one->second);
      ++one;
    } catch (const std::bad_alloc&) {  // which says nothing of the file: what was known before stays
      throw;
    } catch (const std::exception& error) {
      const auto said = before.left_out.find(one->first);
      if ((said == before.left_out.end() || said->second != error.what()) && !is_other(one->second))
        options_.say(concat(option, ": \"", printable(one->first), "\" is left out: ", error.what()));
      shelf.left_out[one->first] = error.what();
      one = shelf.paths.erase(one);
    }
  return shelf;
}

void Catalog::refresh() {
  try {
    look();
  } catch (const Error& error) {
    options_.say(concat("looking again failed: ", error.what()));
    // A folder may come back; two models of one name stay two until somebody acts.
    const int retry_after = error.kind() == ErrorKind::input ? 0 : 10;
    throw Refusal(503, "refresh_failed", error.what(), "", retry_after);
  }
}

void Catalog::look() {
  const std::lock_guard one_at_a_time(refreshing_);
  Shelf found = readable("--models-dir", found_in("--models-dir", options_.models_dir, Kind::models),
                         options_.read_model, is_no_model, models_),
        loras = readable("--lora-dir", found_in("--lora-dir", options_.lora_dir, Kind::loras),
                         options_.read_lora, is_no_lora, loras_),
        controls = readable("--control-dir", found_in("--control-dir", options_.control_dir, Kind::controls),
                            options_.read_control, is_no_control_net, controls_);
  Paths& models = found.paths;
  if (!options_.models_dir.empty() && models.empty()) options_.say("--models-dir holds no model");
  if (!options_.control_dir.empty() && controls.paths.empty())
    options_.say("--control-dir holds no ControlNet");
  std::vector<std::string> usual, usual_of_text;
  for (const std::string& path : options_.models) {
    const std::string name = usual_name(path);
    check(!models.contains(name) || models[name] == path, ErrorKind::input, "\"",
          printable(name_without_folder(path)), "\" and another model are both called \"", printable(name),
          "\": give one another name");
    models[name] = path;
    usual.push_back(name);
  }
  if (options_.models.empty() && options_.models_dir.empty()) {
    for (const DemoFamily& family : demo_families())
      for (const std::string& name : family.models) models[name] = name;
    usual = builtin_names();
    usual_of_text = builtin_names(true);
  }
  if (usual.empty() && !models.empty()) usual = {models.begin()->first};
  if (usual_of_text.empty()) usual_of_text = usual;
  const std::lock_guard lock(mutex_);
  models_ = std::move(found);
  loras_ = std::move(loras);
  controls_ = std::move(controls);
  usual_ = std::move(usual);
  usual_of_text_ = std::move(usual_of_text);
}

std::vector<std::string> Catalog::models() const {
  const std::lock_guard lock(mutex_);
  return keys_of(models_.paths);
}

std::vector<std::string> Catalog::loras() const {
  const std::lock_guard lock(mutex_);
  return keys_of(loras_.paths);
}

std::vector<std::string> Catalog::controls() const {
  const std::lock_guard lock(mutex_);
  return keys_of(controls_.paths);
}

std::vector<std::string> Catalog::usual(bool of_text) const {
  const std::lock_guard lock(mutex_);
  return of_text ? usual_of_text_ : usual_;
}

std::vector<std::string> Catalog::choices() const {
  std::vector<std::string> names;
  for (const bool of_text : {false, true})
    if (const auto together = usual(of_text); together.size() > 1)
      if (const std::string name = join(together, "+"); !std::ranges::count(names, name))
        names.push_back(name);
  for (const std::string& name : models()) names.push_back(name);
  return names;
}

std::vector<std::string> Catalog::split(const std::string& name) const {
  {
    const std::lock_guard lock(mutex_);
    if (models_.paths.contains(name)) return {name};
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
  if (const auto found = models_.paths.find(name); found != models_.paths.end()) return found->second;
  if (const auto why = models_.left_out.find(name); why != models_.left_out.end())
    refuse_left_out(*why, "model", "model");
  throw Refusal(404, "model_not_found",
                models_.paths.empty()
                    ? std::string("there is no model here")
                    : concat("there is no model \"", printable(name), "\", expected ",
                             printable(join(keys_of(models_.paths)), 400), ", or two of them as small+large"),
                "model");
}

void Catalog::refuse_left_out(const Paths::value_type& one, const char* kind, const char* field) const {
  throw Refusal(404, concat(field, "_not_found"),
                concat("the ", kind, " \"", printable(one.first),
                       "\" cannot be read: ", with_names(one.second, names_of_folders())),
                field);
}

std::string Catalog::path_of(const Shelf& shelf, const std::string& name, const char* kind,
                             const char* field) const {
  const Paths found = called(shelf.paths, name), left_out = called(shelf.left_out, name);
  if (found.size() > 1) refuse_field(field, "there are several ", kind, "s \"", printable(name), "\"");
  if (!found.empty()) return found.begin()->second;
  if (!left_out.empty()) refuse_left_out(*left_out.begin(), kind, field);
  throw Refusal(404, concat(field, "_not_found"),
                concat("there is no ", kind, " \"", printable(name), "\"",
                       shelf.paths.empty() ? "" : ", expected " + printable(join(keys_of(shelf.paths)), 400)),
                field);
}

std::string Catalog::lora_path(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  return path_of(loras_, name, "LoRA", "lora");
}

std::string Catalog::control_path(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  return path_of(controls_, name, "ControlNet", "control_net");
}

void Catalog::check_readable(const std::string& path) const {
  const auto check_on = [&](const Shelf& shelf, const char* kind, const char* field, const auto& read) {
    std::string name;
    {
      const std::lock_guard lock(mutex_);
      const auto found = std::ranges::find(shelf.paths, path, &Paths::value_type::second);
      if (found == shelf.paths.end()) return;
      name = found->first;
    }
    try {
      read(path);
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::input)  // or it is the machine that fails
        refuse_left_out({name, with_names(error.what(), path_names())}, kind, field);
    }
  };
  check_on(models_, "model", "model", options_.read_model);
  check_on(controls_, "ControlNet", "control_net", options_.read_control);
  check_on(loras_, "LoRA", "lora", options_.read_lora);
}

PathNames Catalog::names_of_folders() const {
  PathNames names;
  for (const std::string& folder : {options_.models_dir, options_.lora_dir, options_.control_dir})
    if (!folder.empty() && folder != "/")  // which all paths hold
      names.emplace_back(folder, name_without_folder(folder));
  return names;
}

PathNames Catalog::path_names() const {
  PathNames names = names_of_folders();
  const std::lock_guard lock(mutex_);
  for (const Shelf* shelf : {&models_, &loras_, &controls_})
    for (const auto& [name, path] : shelf->paths) {
      names.emplace_back(path, name);
      if (path == name) try {  // of the demo family
          names.emplace_back(resolve_model(name), name);
        } catch (const Error&) {  // it is not installed
        }
    }
  return names;
}

std::string Catalog::name_of(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  for (const Shelf* shelf : {&models_, &loras_, &controls_})
    for (const auto& [name, known] : shelf->paths)
      if (known == path) return name;
  return last_of(path).string();
}

}  // namespace tstitch::serve
