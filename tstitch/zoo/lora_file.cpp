#include "tstitch/zoo/lora_file.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "tstitch/base/crc32.h"
#include "tstitch/base/error.h"
#include "tstitch/base/hash.h"
#include "tstitch/io/checkpoint.h"
#include "tstitch/io/file.h"
#include "tstitch/io/json.h"
#include "tstitch/io/refuse.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct Suffix {
  std::string_view text;
  LoraRole role;
};
constexpr Suffix kSuffixes[] = {
    // kohya, LyCORIS
    {".lora_down.weight", "down"},
    {".lora_up.weight", "up"},
    {".lora_mid.weight", "mid"},
    {".alpha", "alpha"},
    {".scale", "scale"},
    {".dora_scale", "magnitude"},
    {".diff", "difference"},
    {".diff_b", "bias_difference"},
    {".w_norm", "difference"},
    {".b_norm", "bias_difference"},
    {".hada_w1_a", "hada_w1_a"},
    {".hada_w1_b", "hada_w1_b"},
    {".hada_w2_a", "hada_w2_a"},
    {".hada_w2_b", "hada_w2_b"},
    {".hada_t1", "hada_t1"},
    {".hada_t2", "hada_t2"},
    {".lokr_w1", "lokr_w1"},
    {".lokr_w1_a", "lokr_w1_a"},
    {".lokr_w1_b", "lokr_w1_b"},
    {".lokr_w2", "lokr_w2"},
    {".lokr_w2_a", "lokr_w2_a"},
    {".lokr_w2_b", "lokr_w2_b"},
    {".lokr_t2", "lokr_t2"},
    // diffusers, and its older attention processors and text encoders
    {".lora.down.weight", "down"},
    {".lora.up.weight", "up"},
    {"_lora.down.weight", "down"},
    {"_lora.up.weight", "up"},
    {".lora_linear_layer.down.weight", "down"},
    {".lora_linear_layer.up.weight", "up"},
    // PEFT
    {".lora_A.weight", "down"},
    {".lora_B.weight", "up"},
    {".lora_A.default.weight", "down"},
    {".lora_B.default.weight", "up"},
    {".lora_A", "down"},
    {".lora_B", "up"},
    {".lora_magnitude_vector", "magnitude_of_rows"},
    {".lora_magnitude_vector.weight", "magnitude_of_rows"},
    {".lora_magnitude_vector.default.weight", "magnitude_of_rows"},
};

const Suffix* suffix_of(std::string_view name) {
  const auto found = std::ranges::find_if(kSuffixes, [&](const Suffix& s) { return name.ends_with(s.text); });
  return found == std::end(kSuffixes) ? nullptr : found;
}

// prefix: of the object's keys, and of the names of the tensors.
void read_scaling(const json& object, const std::string& prefix, const std::string& where,
                  std::vector<PeftScaling>& scalings) {
  json own = json::object();
  for (const auto& [key, value] : object.items())
    if (key.starts_with(prefix)) own[key.substr(prefix.size())] = value;
  if (!own.contains("lora_alpha")) return;
  PeftScaling scaling{.prefix = prefix};
  const auto number = [&](const std::string& key, const json& value) {
    if (!value.is_number() || !std::isfinite(value.get<double>()))
      refuse(where, "LORA_ALPHA", "\"", printable(key), "\" is ", printable(value.dump()),
             ", expected a number");
    return value.get<double>();
  };
  scaling.alpha = number("lora_alpha", own["lora_alpha"]);
  if (const auto stabilized = own.find("use_rslora"); stabilized != own.end())
    scaling.rank_stabilized = stabilized->is_boolean() && stabilized->get<bool>();
  const json patterns = own.value("alpha_pattern", json::object());
  if (!patterns.is_object())
    refuse(where, "LORA_ALPHA", "\"alpha_pattern\" is ", printable(patterns.dump()), ", expected an object");
  for (const auto& [key, value] : patterns.items()) {
    if (key.find_first_of("\\^$*+?()[]{}|") != key.npos)
      refuse(where, "LORA_ALPHA", "\"alpha_pattern\" has \"", printable(key),
             "\", an expression: expected names of modules");
    scaling.alpha_of[key] = number(key, value);
  }
  scalings.push_back(scaling);
}

// PEFT's, beside its adapter_model.safetensors; empty where there is none.
fs::path peft_config_of(const fs::path& file) {
  const fs::path beside = file.parent_path() / "adapter_config.json";
  std::error_code ignored;
  return file.stem() == "adapter_model" && fs::exists(beside, ignored) ? beside : fs::path();
}

std::vector<PeftScaling> scalings_of(const TensorFile& file) {
  std::vector<PeftScaling> scalings;
  const auto said = file.metadata().find("lora_adapter_metadata");  // diffusers'
  if (said != file.metadata().end()) {
    const json object = parse_json(said->second, file.path());
    if (!object.is_object())
      refuse(file.path(), "LORA_ALPHA", "\"lora_adapter_metadata\" is ", printable(said->second),
             ", expected an object");
    for (const char* prefix : {"unet.", "text_encoder.", "text_encoder_2."})
      read_scaling(object, prefix, file.path(), scalings);
  }
  if (const fs::path beside = peft_config_of(file.path()); !beside.empty()) {
    const json object = parse_json_file(beside.string());
    if (!object.is_object()) refuse(beside.string(), "LORA_ALPHA", "not a JSON object");
    read_scaling(object, "", beside.string(), scalings);
  }
  return scalings;
}

}  // namespace

LoraFile::LoraFile(const std::string& path) : LoraFile(open_checkpoint(path)) {}

LoraFile::LoraFile(TensorFile file) : file_(std::move(file)), scalings_(scalings_of(file_)) {
  std::map<std::string, LoraModule> modules;
  for (const auto& [name, tensor] : file_.tensors()) {
    const Suffix* suffix = suffix_of(name);
    if (!suffix)
      refuse(file_.path(), "LORA_KEY", "tensor \"", printable(name),
             "\" is no part of a LoRA that is known: expected names that end in .lora_down.weight, "
             ".lora_A.weight"
             " and the like");
    if (tensor.shape.size() > Shape::kMaxRank)
      refuse(file_.path(), "LORA_KEY", "tensor \"", printable(name), "\" has ", tensor.shape.size(),
             " dimensions, expected at most ", Shape::kMaxRank);
    if (std::ranges::count(tensor.shape, 0))
      refuse(file_.path(), "LORA_KEY", "tensor \"", printable(name), "\" has no elements");
    const bool scalar = suffix->role == "alpha" || suffix->role == "scale";
    if (scalar && std::ranges::any_of(tensor.shape, [](int64_t extent) { return extent != 1; }))
      refuse(file_.path(), "LORA_KEY", "tensor \"", printable(name), "\" has the shape ", Shape(tensor.shape),
             ", expected one number");
    const std::string of = name.substr(0, name.size() - suffix->text.size());
    LoraModule& module = modules.try_emplace(of, LoraModule{.name = of, .tensors = {}}).first->second;
    const auto [there, is_new] = module.tensors.emplace(suffix->role, name);
    if (!is_new)
      refuse(file_.path(), "LORA_KEY", "tensors \"", printable(there->second), "\" and \"", printable(name),
             "\" are the same of one module");
  }
  if (modules.empty()) refuse(file_.path(), "MODEL_EMPTY", "no tensors, expected those of a LoRA");
  for (auto& [name, module] : modules) modules_.push_back(std::move(module));
}

std::string LoraFile::name() const { return fs::path(file_.path()).stem().string(); }

std::string LoraFile::content() const {
  uint32_t crc = crc32_of_file(path(), 0, [] {});
  if (const fs::path beside = peft_config_of(path()); !beside.empty())
    crc = crc32_of_file(beside.string(), crc, [] {});
  return hex(crc).substr(8);
}

std::vector<int64_t> LoraFile::shape(const LoraModule& module, LoraRole role) const {
  return file_.tensors().at(module.tensors.at(role)).shape;
}

Tensor LoraFile::load(const LoraModule& module, LoraRole role, const Shape& as) const {
  return file_.load(module.tensors.at(role), Shape(shape(module, role)), DType::f32).reshape(as);
}

double LoraFile::scale(const LoraModule& module, int64_t rank) const {
  const auto number = [&](LoraRole role) { return double{*load(module, role, Shape({1})).data<float>()}; };
  if (module.has("scale")) return number("scale");
  if (module.has("alpha")) return number("alpha") / static_cast<double>(rank);
  for (const PeftScaling& scaling : scalings_) {
    if (!module.name.starts_with(scaling.prefix)) continue;
    const auto own = std::ranges::find_if(scaling.alpha_of, [&](const auto& one) {
      return module.name.ends_with("." + one.first) || module.name == scaling.prefix + one.first;
    });
    const double alpha = own == scaling.alpha_of.end() ? scaling.alpha : own->second;
    return alpha /
           (scaling.rank_stabilized ? std::sqrt(static_cast<double>(rank)) : static_cast<double>(rank));
  }
  return 1;
}

}  // namespace tstitch
