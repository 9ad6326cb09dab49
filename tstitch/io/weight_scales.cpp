#include "tstitch/io/weight_scales.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "tstitch/io/convert.h"
#include "tstitch/io/extents.h"
#include "tstitch/io/json.h"
#include "tstitch/io/refuse.h"

namespace tstitch {
namespace {

using nlohmann::json;

constexpr std::string_view kWeight = ".weight", kConfig = ".comfy_quant", kMarker = "scaled_fp8",
                           kMetadata = "_quantization_metadata";
constexpr std::array<std::string_view, 2> kScales = {".scale_weight", ".weight_scale"};
constexpr std::string_view kScale = "_scale", kFactor = "_factor";  // behind the name of an 8-bit weight
constexpr std::array<std::string_view, 2> kOfInput = {".scale_input", ".input_scale"};
constexpr size_t kMostConfigBytes = 64 << 10;

struct Format {
  std::string_view name, type;
};
constexpr Format kFormats[] = {
    {"float8_e4m3fn", "F8_E4M3"}, {"float8_e5m2", "F8_E5M2"}, {"int8_tensorwise", "I8"}};

// "x" of "x.weight_scale"; "" for any other name.
template <size_t count>
std::string module_of(const std::string& name, const std::array<std::string_view, count>& endings) {
  for (const std::string_view ending : endings)
    if (name.ends_with(ending)) return name.substr(0, name.size() - ending.size());
  return "";
}

bool is_eight_bits(const TensorInfo& info) {
  return std::ranges::find(kFormats, info.dtype_name, &Format::type) != std::end(kFormats);
}

template <class... Parts>
[[noreturn]] void refuse_tensor(const std::string& where, const char* code, const std::string& name,
                                const Parts&... parts) {
  refuse(where, code, "tensor \"", printable(name), "\": ", parts...);
}

// What files say of the types of their weights.
class Formats {
 public:
  Formats(const TensorFile::Tensors& tensors, const std::string& where) : tensors_(tensors), where_(where) {}

  // What a file says of the weight of a module, which may be named without the prefix of the network.
  void check_format(const std::string& module, const json& config) const {
    const auto said = config.is_object() ? config.find("format") : config.end();
    const std::string name =
        config.is_object() && said != config.end() && said->is_string() ? said->get<std::string>() : "";
    const auto* format = std::ranges::find(kFormats, name, &Format::name);
    if (format == std::end(kFormats))
      refuse(where_, "QUANT_FORMAT", "\"", printable(module), "\" is quantised as \"", printable(name, 40),
             "\", expected float8_e4m3fn, float8_e5m2 or int8_tensorwise");
    if (const auto rotated = config.find("convrot"); rotated != config.end() && *rotated != json(false))
      refuse(where_, "QUANT_FORMAT", "\"", printable(module),
             "\" is quantised after a rotation (convrot), which is not undone");
    const auto weight = tensors_.find(concat(module, kWeight));
    if (weight == tensors_.end()) return;
    if (weight->second.dtype_name != format->type)
      refuse(where_, "QUANT_FORMAT", "\"", printable(module), "\" is said to be ", name, ", but its type is ",
             weight->second.dtype_name);
    if (!weight->second.scales)
      refuse(where_, "QUANT_SCALE", "\"", printable(module), "\" is said to be ", name,
             ", but no scale lies beside it");
  }

  void read_config(const std::string& name, const TensorInfo& config) const {
    if (config.dtype_name != "U8" || config.bytes.size() > kMostConfigBytes)
      refuse_tensor(where_, "QUANT_FORMAT", name, config.bytes.size(), " bytes of ", config.dtype_name,
                    ", expected at most ", kMostConfigBytes, " of U8: JSON");
    const std::string_view text(reinterpret_cast<const char*>(config.bytes.data()), config.bytes.size());
    check_format(name.substr(0, name.size() - kConfig.size()), parse_json(text, where_));
  }

  void read_metadata(const std::string& text) const {
    const json object = parse_json(text, where_);
    const auto layers = object.is_object() ? object.find("layers") : object.end();
    if (!object.is_object() || layers == object.end() || !layers->is_object())
      refuse(where_, "QUANT_FORMAT", kMetadata, ": expected an object with \"layers\": {module: format}");
    for (const auto& [module, config] : layers->items()) check_format(module, config);
  }

 private:
  const TensorFile::Tensors& tensors_;
  const std::string& where_;
};

class Scales {
 public:
  Scales(TensorFile::Tensors& tensors, const std::string& where) : tensors_(tensors), where_(where) {}

  void attach(const std::string& name, TensorInfo& scale) {
    const std::string module = module_of(name, kScales);
    const auto weight = module.empty() ? weight_before(kScale, name) : tensors_.find(concat(module, kWeight));
    if (weight == tensors_.end()) {
      if (module.empty()) return;
      refuse_tensor(where_, "QUANT_SCALE", name, "a scale, but there is no \"", printable(module), kWeight,
                    "\"");
    }
    TensorInfo& scaled = weight->second;
    if (!is_eight_bits(scaled))
      refuse_tensor(where_, "QUANT_SCALE", name, "a scale of a weight of type ", scaled.dtype_name,
                    ", expected F8_E4M3, F8_E5M2 or I8");
    if (scaled.scales) refuse_tensor(where_, "QUANT_SCALE", name, "a second scale of one weight");
    if (!scale.dtype || !is_floating(*scale.dtype))
      refuse_tensor(where_, "QUANT_SCALE", name, "a scale of type ", scale.dtype_name, ", expected F32");
    if (!fit(scale.shape, scaled.shape))
      refuse_tensor(where_, "QUANT_SCALE", name, "a scale of the shape ", extents_text(scale.shape),
                    " for a weight of ", extents_text(scaled.shape),
                    ", expected one number, or as many for each row");
    scale.companion = true;
    scaled.scales = std::make_shared<const TensorInfo>(scale);
    scaled.blocks = find_block_type(scaled.dtype_name);
  }

  // Behind all scales.
  void attach_factors(const std::string& name, TensorInfo& factors) {
    const auto weight = weight_before(kFactor, name);
    if (weight == tensors_.end()) return;
    TensorInfo& scaled = weight->second;
    if (!scaled.scales || scaled.shape.size() < 2 || scaled.shape.size() > Shape::kMaxRank ||
        *checked_elements(scaled.scales->shape) != scaled.shape[0])
      refuse_tensor(where_, "QUANT_SCALE", name, "factors of a weight that has not one scale for each row");
    if (!factors.dtype || !is_floating(*factors.dtype) || factors.shape != std::vector{scaled.shape[1]})
      refuse_tensor(where_, "QUANT_SCALE", name, "factors of type ", factors.dtype_name, " and the shape ",
                    extents_text(factors.shape), ", expected F32 and [", scaled.shape[1], "]");
    factors.companion = true;
    scaled.factors = std::make_shared<const TensorInfo>(factors);
  }

  // Whether such scales stand for equal runs of the weight's elements: all, the rows, or parts of the rows.
  static bool fit(std::vector<int64_t> scales, const std::vector<int64_t>& weight) {
    while (!scales.empty() && scales.back() == 1) scales.pop_back();
    if (scales.empty()) return true;
    if (scales.size() > 2 || weight.empty() || scales[0] != weight[0]) return false;
    const int64_t parts = scales.size() == 2 ? scales[1] : 1;
    const int64_t rows = *checked_elements(weight);
    return parts > 0 && weight[0] > 0 && rows / weight[0] % parts == 0;
  }

  // "x.weight_scale_2" beside "x.weight" of 8 bits, and the like.
  void refuse_unknown(const std::string& name) const {
    const size_t dot = name.rfind('.');
    if (dot == name.npos) return;
    const std::string last = name.substr(dot + 1);
    if (last.find("scale") == last.npos && !last.starts_with("weight_")) return;
    const auto weight = tensors_.find(concat(name.substr(0, dot), kWeight));
    if (weight == tensors_.end() || !is_eight_bits(weight->second)) return;
    refuse_tensor(where_, "QUANT_FORMAT", name, "beside a weight of type ", weight->second.dtype_name,
                  ", expected no scales but weight_scale, scale_weight, input_scale and scale_input");
  }

 private:
  // The I8 weight whose name goes on with `ending`. Those of the original code's running average have no
  // dots.
  TensorFile::Tensors::iterator weight_before(std::string_view ending, const std::string& name) {
    if (!name.ends_with(ending)) return tensors_.end();
    const auto weight = tensors_.find(name.substr(0, name.size() - ending.size()));
    const bool found = weight != tensors_.end() && weight->first.ends_with(kWeight.substr(1)) &&
                       weight->second.dtype_name == "I8";
    return found ? weight : tensors_.end();
  }

  TensorFile::Tensors& tensors_;
  const std::string& where_;
};

}  // namespace

void attach_scales(TensorFile::Tensors& tensors, const std::string& where) {
  Scales scales(tensors, where);
  for (auto& [name, info] : tensors) {
    scales.attach(name, info);
    if (!module_of(name, kOfInput).empty() || name == kMarker || name.ends_with(concat(".", kMarker)) ||
        name.ends_with(kConfig))
      info.companion = true;
  }
  for (auto& [name, info] : tensors) scales.attach_factors(name, info);
  const Formats formats(tensors, where);
  for (const auto& [name, info] : tensors) {
    if (name.ends_with(kConfig)) formats.read_config(name, info);
    if (!info.companion) scales.refuse_unknown(name);
  }
}

void check_quantization_metadata(const TensorFile::Tensors& tensors, const TensorFile::Metadata& metadata,
                                 const std::string& where) {
  if (const auto text = metadata.find(std::string(kMetadata)); text != metadata.end())
    Formats(tensors, where).read_metadata(text->second);
}

}  // namespace tstitch
