#include "tstitch/zoo/model_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/io/json.h"
#include "tstitch/io/refuse.h"
#include "tstitch/zoo/family.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// In order of preference.
constexpr std::array<std::string_view, 8> kWeightNames = {"diffusion_pytorch_model.safetensors",
                                                          "diffusion_pytorch_model.safetensors.index.json",
                                                          "model.safetensors",
                                                          "model.safetensors.index.json",
                                                          "diffusion_pytorch_model.bin",
                                                          "diffusion_pytorch_model.bin.index.json",
                                                          "pytorch_model.bin",
                                                          "pytorch_model.bin.index.json"};

// diffusers' "variants", for folders that hold nothing else: half the bytes, or what was trained beside the
// running average.
constexpr std::array<std::string_view, 3> kVariants = {"fp16", "bf16", "non_ema"};

// "model.fp16.safetensors"; of an index both spellings that were in use.
std::vector<std::string> variant_names(std::string_view name, std::string_view variant) {
  const auto before = [&](std::string_view ending) {
    return concat(name.substr(0, name.size() - ending.size()), ".", variant, ending);
  };
  if (name.ends_with(".index.json")) return {before(".index.json"), before(".json")};
  return {before(name.substr(name.rfind('.')))};
}

std::string existing(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored) ? path.string() : "";
}

// The folder of one network: configuration and weights.
void find_network(const fs::path& folder, ModelFiles& files) {
  files.weights = find_weights(folder.string());
  files.config = existing(folder / "config.json");
  if (files.weights.empty())
    refuse(folder.string(), "DF_LAYOUT", "no model_index.json and no weights in this folder; looked for ",
           kWeightNames[0], ", ", kWeightNames[2],
           ", their indices of shards, the same as .bin, and the variants of these (", join(kVariants), ")");
}

std::vector<std::string> class_names(const json& index) {
  const auto labels = index.find("id2label");
  std::vector<std::string> names;
  if (labels == index.end() || !labels->is_object()) return names;
  for (size_t i = 0; i < labels->size(); ++i) {
    const auto label = labels->find(std::to_string(i));
    if (label == labels->end() || !label->is_string()) return {};  // not numbered 0 ... n-1
    names.push_back(printable(label->get<std::string>(), 200));
  }
  return names;
}

void find_pipeline(const fs::path& folder, const std::string& index_path, std::span<const Family> families,
                   ModelFiles& files) {
  const json index = parse_json_file(index_path);
  if (!index.is_object()) refuse(index_path, "DF_CLASS", "expected a JSON object");
  const json name = index.value("_class_name", json());
  const std::string pipeline = name.is_string() ? name.get<std::string>() : "";
  const auto family = std::ranges::find_if(families, [&](const Family& candidate) {
    return std::ranges::find(candidate.pipelines, pipeline) != candidate.pipelines.end();
  });
  if (family == families.end()) {
    std::string expected;
    for (const Family& known : families)
      for (const std::string_view one : known.pipelines)
        expected += concat(expected.empty() ? "\"" : ", \"", one, "\"");
    refuse(
        index_path, "DF_CLASS", "\"_class_name\" is ",
        name.is_null() ? "missing" : printable(name.dump(-1, ' ', true, json::error_handler_t::replace), 60),
        ", expected one of ", expected);
  }
  std::error_code ignored;
  const fs::path network = folder / family->folder;
  if (!fs::is_directory(network, ignored))
    refuse(folder.string(), "DF_LAYOUT", "no folder \"", family->folder,
           "\", which model_index.json promises");
  find_network(network, files);
  files.scheduler = existing(folder / "scheduler" / "scheduler_config.json");
  files.index = index_path;
  for (const char* encoder : {"text_encoder", "text_encoder_2"})
    if (std::string found = existing(folder / encoder); !found.empty()) files.text_encoders.push_back(found);
  files.vae = existing(folder / "vae");
  files.classes = class_names(index);
}

}  // namespace

std::string name_of(const ModelFiles& files) {
  const fs::path path = fs::path(files.path).lexically_normal();
  if (files.path == files.weights) return path.stem().string();
  return path.has_filename() ? path.filename().string() : path.parent_path().filename().string();
}

std::string find_weights(const std::string& folder) {
  for (const std::string_view name : kWeightNames)
    if (std::string found = existing(fs::path(folder) / name); !found.empty()) return found;
  for (const std::string_view variant : kVariants)
    for (const std::string_view name : kWeightNames)
      for (const std::string& one : variant_names(name, variant))
        if (std::string found = existing(fs::path(folder) / one); !found.empty()) return found;
  return "";
}

ModelFiles find_model_files(const std::string& path) { return find_model_files(path, builtin_families()); }

ModelFiles find_model_files(const std::string& path, std::span<const Family> families) {
  ModelFiles files;
  files.path = path;
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) {
    files.weights = path;
    files.config = existing(fs::path(path).parent_path() / "config.json");
    return files;
  }
  if (faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) != 0)  // what is in it would seem to be missing
    refuse(path, "IO_PERMISSION",
           "a folder that cannot be searched: ", std::generic_category().message(errno));
  if (const std::string index = existing(fs::path(path) / "model_index.json"); !index.empty())
    find_pipeline(path, index, families, files);
  else
    find_network(path, files);
  return files;
}

}  // namespace tstitch
