#include "tstitch/models/control_net.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/ops/ops.h"

namespace tstitch {
namespace {

constexpr const char* kKind = "a ControlNet";  // in messages
constexpr int64_t kHintInputs = 3;             // RGB

constexpr const char *kDiffusersMark = "controlnet_cond_embedding.conv_in.weight",
                     *kOriginalMark = "zero_convs.0.0.weight";

std::optional<std::string> find_prefix(const WeightSource& source) {
  for (const char* prefix : {"", "control_model."})
    for (const char* mark : {kDiffusersMark, kOriginalMark})
      if (source.shape(concat(prefix, mark))) return prefix;
  return std::nullopt;
}

// A convolution of the hint: from so many channels to so many, halving the picture or not.
struct HintLayer {
  std::string name;
  int64_t inputs, outputs;
  bool halves;
};

std::vector<HintLayer> hint_layers(const ControlNetConfig& config) {
  const std::vector<int64_t>& channels = config.hint_channels;
  std::vector<HintLayer> layers = {{"conv_in", kHintInputs, channels[0], false}};
  for (size_t i = 0; i + 1 < channels.size(); ++i) {
    layers.push_back({concat("blocks.", 2 * i), channels[i], channels[i], false});
    layers.push_back({concat("blocks.", 2 * i + 1), channels[i], channels[i + 1], true});
  }
  layers.push_back({"conv_out", channels.back(), config.unet.channels(0), false});
  return layers;
}

}  // namespace

std::vector<UNetSkip> ControlNetConfig::outputs() const {
  std::vector<UNetSkip> all = unet_skips(unet);
  all.push_back({unet.block_out_channels.back(), unet.levels() - 1});
  return all;
}

ControlNetConfig infer_control_net_config(const WeightSource& weights) {
  ControlNetConfig config{.unet = infer_unet_encoder_config(weights, kKind), .hint_channels = {}};
  check(config.unet.middle != UNetConfig::Middle::none, ErrorKind::input, "not ", kKind,
        ": it has no tensor \"mid_block.resnets.0.conv1.weight\"");
  const std::string hint = "controlnet_cond_embedding.";
  const int64_t inputs = extent_of(weights, kKind, hint + "conv_in.weight", 4, 1);
  check(inputs == kHintInputs, ErrorKind::input, "its hint has ", inputs, " channels, expected ", kHintInputs,
        " (RGB)");
  config.hint_channels.push_back(extent_of(weights, kKind, hint + "conv_in.weight", 4, 0));
  for (int64_t i = 1; i < 16 && weights.shape(concat(hint, "blocks.", i, ".weight")); i += 2)
    config.hint_channels.push_back(extent_of(weights, kKind, concat(hint, "blocks.", i, ".weight"), 4, 0));
  return config;
}

std::string control_obstacle(const ControlNetConfig& config, const UNetConfig& unet) {
  const UNetConfig& own = config.unet;
  if (own.in_channels != unet.out_channels)
    return concat("it reads latents of ", own.in_channels, " channels, and the U-Net's have ",
                  unet.out_channels);
  if (own.context_width > 0 && own.context_width != unet.context_width)
    return concat("it reads texts encoded as ", own.context_width, " numbers a token, and the U-Net's are ",
                  unet.context_width);
  if (own.added_width != unet.added_width)
    return concat("it is told ", own.added_width, " numbers beside the tokens of the text, and the U-Net ",
                  unet.added_width);
  const std::vector<UNetSkip> steered = unet_skips(own), skips = unet_skips(unet);
  if (steered.size() != skips.size())
    return concat("it steers ", steered.size(), " skips, and the U-Net has ", skips.size());
  for (size_t k = 0; k < skips.size(); ++k)
    if (steered[k] != skips[k])
      return concat("its skip ", k + 1, " has ", steered[k].channels, " channels at level ", steered[k].level,
                    ", and the U-Net's ", skips[k].channels, " at level ", skips[k].level);
  if (unet.middle == UNetConfig::Middle::none) return "it steers the middle, and the U-Net has none";
  return "";
}

int64_t control_net_parameters(const ControlNetConfig& config) {
  int64_t sum = unet_encoder_parameters(config.unet);
  for (const HintLayer& layer : hint_layers(config)) sum += layer.inputs * layer.outputs * 9 + layer.outputs;
  for (const auto& [C, level] : config.outputs()) sum += C * C + C;
  return sum;
}

int64_t control_net_feature_bytes(const ControlNetConfig& config, int64_t height, int64_t width,
                                  DType compute) {
  int64_t elements = 0;
  for (const auto& [C, level] : config.outputs()) elements += pixels_of_level(height, width, level) * C;
  return elements * size_of(compute);
}

HintBytes control_net_hint_bytes(const ControlNetConfig& config, int64_t height, int64_t width,
                                 DType compute) {
  const int64_t factor = config.hint_factor(), picture = height * factor * width * factor * kHintInputs;
  int64_t area = height * factor * width * factor, most = 0, kept = 0;
  for (const HintLayer& layer : hint_layers(config)) {
    const int64_t inputs = area * layer.inputs;
    if (layer.halves) area /= 4;
    kept = area * layer.outputs;
    most = std::max(most, inputs + kept);
  }
  return {.kept = kept * size_of(compute), .work = picture * size_of(DType::f32) + most * size_of(compute)};
}

ControlNet::ControlNet(const ControlNetConfig& config, const Weights& weights)
    : UNetBody(config.unet, unet_encoder_layers(config.unet), weights) {
  for (const HintLayer& layer : hint_layers(config))
    hint_.push_back(
        {Conv2d(weights / "controlnet_cond_embedding" / layer.name, layer.inputs, layer.outputs, 3),
         layer.halves});
  const std::vector<UNetSkip> outputs = config.outputs();
  for (size_t k = 0; k < outputs.size(); ++k) {
    const int64_t C = outputs[k].channels;
    const Weights own =
        weights / (k + 1 < outputs.size() ? concat("controlnet_down_blocks.", k) : "controlnet_mid_block");
    // Without its bias, which a gain brings.
    outputs_.push_back({Conv2d(own, C, C, 1, false), own.load("bias", {C})});
  }
}

Tensor ControlNet::read_hint(const Tensor& picture) const {
  Tensor x = picture;
  for (const HintConv& layer : hint_) {
    Conv2dPath path = same();
    if (layer.halves) path.stride = 2;
    x = layer.conv(x, path, &layer == &hint_.back() ? Activation::none : Activation::silu);
  }
  return x;
}

std::vector<ControlNet::Gain> ControlNet::gains(double strength) const {
  std::vector<Gain> gains;
  for (const Output& output : outputs_) {
    const int64_t C = output.bias.elements();
    Tensor scale_shift({1, 2, C}, DType::f32), bias({1, C}, DType::f32);
    std::fill_n(scale_shift.data<float>(), C, static_cast<float>(strength));
    std::fill_n(scale_shift.data<float>() + C, C, 0.0f);
    std::transform(output.bias.data<float>(), output.bias.data<float>() + C, bias.data<float>(),
                   [&](float b) { return static_cast<float>(strength * b); });
    gains.push_back({backend().upload(scale_shift), backend().upload(bias)});
  }
  return gains;
}

std::vector<Tensor> ControlNet::operator()(const Tensor& image, const Tensor& time,
                                           std::span<const Tensor* const> contexts,
                                           const Tensor& hints) const {
  Tensor x = repeat(backend(), hints, 1);
  conv_in().add_to(x, image, same());
  std::vector<Tensor> features = {x};
  for (const Layer& layer : layers()) {
    x = apply(layer, std::move(x), time, contexts);
    if (layer.what.is_kept) features.push_back(x);
  }
  features.push_back(std::move(x));
  return features;
}

void ControlNet::add_to(Tensor& sum, size_t k, const Tensor& features, const Gain& gain) const {
  outputs_[k].zero_conv.add_to(sum, features, {.norm = &gain.scale_shift, .image_bias = &gain.bias});
}

bool ControlNetKeys::recognises(const WeightSource& source) { return find_prefix(source).has_value(); }

ControlNetKeys::ControlNetKeys(const WeightSource& source)
    : source_(source),
      prefix_([&] {
        const auto prefix = find_prefix(source);
        check(prefix.has_value(), ErrorKind::input, "not ", kKind, ": it has no tensor \"", kDiffusersMark,
              "\" or \"", kOriginalMark, '"');
        return *prefix;
      }()),
      is_original_(!source.shape(prefix_ + kDiffusersMark)),
      body_(source, prefix_) {
  while (source.shape(concat(prefix_, "input_hint_block.", last_hint_ + 2, ".weight"))) last_hint_ += 2;
}

std::string ControlNetKeys::stored_name(const std::string& name) const {
  if (!is_original_) return prefix_ + name;
  // What of it stands in front of ".weight" or ".bias"; and the number in front of those.
  const size_t dot = name.rfind('.');
  const std::string_view module = std::string_view(name).substr(0, dot),
                         kind = std::string_view(name).substr(dot);
  const auto behind = [&](std::string_view start) -> std::optional<int64_t> {
    if (!module.starts_with(start)) return std::nullopt;
    int64_t number = 0;
    std::from_chars(module.data() + start.size(), module.data() + module.size(), number);
    return number;
  };
  // Activations have numbers there, too.
  if (const auto k = behind("controlnet_cond_embedding.blocks."))
    return concat(prefix_, "input_hint_block.", 2 * *k + 2, kind);
  if (module == "controlnet_cond_embedding.conv_in") return concat(prefix_, "input_hint_block.0", kind);
  if (module == "controlnet_cond_embedding.conv_out")
    return concat(prefix_, "input_hint_block.", last_hint_, kind);
  if (const auto k = behind("controlnet_down_blocks.")) return concat(prefix_, "zero_convs.", *k, ".0", kind);
  if (module == "controlnet_mid_block") return concat(prefix_, "middle_block_out.0", kind);
  return body_.stored_name(name);
}

std::optional<Shape> ControlNetKeys::shape(const std::string& name) const {
  return source_.shape(stored_name(name));
}

Tensor ControlNetKeys::load(const std::string& name, const Shape& expected, DType dtype) const {
  return load_matrix(source_, stored_name(name), expected, dtype);
}

}  // namespace tstitch
