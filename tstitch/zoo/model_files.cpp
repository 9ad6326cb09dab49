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
#include "tstitch/io/json.h"
#include "tstitch/io/refuse.h"
#include "tstitch/zoo/config_reader.h"

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

std::string existing(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored) ? path.string() : "";
}

// diffusers' pipelines, and the folders of their networks.
struct Pipeline {
  std::string_view class_name, network;
};
constexpr std::array<Pipeline, 3> kPipelines = {{{"DiTPipeline", "transformer"},
                                                 {"StableDiffusionPipeline", "unet"},
                                                 {"StableDiffusionImg2ImgPipeline", "unet"}}};

// The folder of one network: configuration and weights.
void find_network(const fs::path& folder, ModelFiles& files) {
  files.weights = find_weights(folder.string());
  files.config = existing(folder / "config.json");
  if (files.weights.empty())
    refuse(folder.string(), "DF_LAYOUT", "no model_index.json and no weights in this folder; looked for ",
           kWeightNames[0], ", ", kWeightNames[2], ", their indices of shards, and the same as .bin");
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

void find_pipeline(const fs::path& folder, const std::string& index_path, ModelFiles& files) {
  const json index = parse_json_file(index_path);
  if (!index.is_object()) refuse(index_path, "DF_CLASS", "expected a JSON object");
  const auto name = index.find("_class_name");
  const auto known = std::ranges::find_if(kPipelines, [&](const Pipeline& pipeline) {
    return name != index.end() && *name == std::string(pipeline.class_name);
  });
  if (known == kPipelines.end()) {
    std::string expected;
    for (const Pipeline& pipeline : kPipelines)
      expected += concat(expected.empty() ? "\"" : ", \"", pipeline.class_name, "\"");
    refuse(index_path, "DF_CLASS", "\"_class_name\" is ",
           name == index.end() ? "missing"
                               : printable(name->dump(-1, ' ', true, json::error_handler_t::replace), 60),
           ", expected one of ", expected);
  }
  std::error_code ignored;
  const fs::path network = folder / known->network;
  if (!fs::is_directory(network, ignored))
    refuse(folder.string(), "DF_LAYOUT", "no folder \"", known->network,
           "\", which model_index.json promises");
  find_network(network, files);
  files.scheduler = existing(folder / "scheduler" / "scheduler_config.json");
  files.text_encoder = existing(folder / "text_encoder");
  files.vae = existing(folder / "vae");
  files.classes = class_names(index);
}

}  // namespace

std::string find_weights(const std::string& folder) {
  for (const std::string_view name : kWeightNames)
    if (std::string found = existing(fs::path(folder) / name); !found.empty()) return found;
  return "";
}

ModelFiles find_model_files(const std::string& path) {
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
    find_pipeline(path, index, files);
  else
    find_network(path, files);
  return files;
}

}  // namespace tstitch
