#include "tstitch/models/unet_config.h"

#include <algorithm>
#include <array>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/models/token_merging.h"

namespace tstitch {
namespace {

using Kind = UNetLayer::Kind;
using Middle = UNetConfig::Middle;

// `depth` for each of `resnets` resnets.
std::vector<int64_t> each(int64_t resnets, int64_t depth) {
  return std::vector<int64_t>(static_cast<size_t>(resnets), depth);
}

std::vector<int64_t> heads_of_width(const std::vector<int64_t>& channels, int64_t width) {
  std::vector<int64_t> heads;
  for (const int64_t c : channels) heads.push_back(c / width);
  return heads;
}

// Stable Diffusion's pruned to `layers` resnets on the way down of each level, one more on the way up.
UNetConfig stable_diffusion(int64_t layers, Middle middle, bool innermost, int64_t context_width) {
  UNetConfig config;
  config.middle = middle;
  config.middle_depth = middle == Middle::transformer ? 1 : 0;
  config.context_width = context_width;
  config.down.assign(3, each(layers, 1));
  config.up.assign(3, each(layers + 1, 1));
  config.block_out_channels.resize(3);
  if (innermost) {
    config.down.push_back(each(layers, 0));
    config.up.push_back(each(layers + 1, 0));
    config.block_out_channels.push_back(1280);
  }
  config.heads = context_width == 768 ? std::vector<int64_t>(config.block_out_channels.size(), 8)
                                      : heads_of_width(config.block_out_channels, 64);
  return config;
}

// Latent diffusion on ImageNet (cin-ldm-vq-f8) of a width; its context is one token.
UNetConfig imagenet_ldm(int64_t width, int64_t context_width) {
  UNetConfig config;
  config.block_out_channels = {width, 2 * width, 4 * width};
  config.heads = heads_of_width(config.block_out_channels, 32);
  config.down.assign(3, each(2, 1));
  config.up.assign(3, each(3, 1));
  config.context_width = context_width;
  return config;
}

UNetConfig sdxl(UNetConfig::Depths down, UNetConfig::Depths up, Middle middle, int64_t middle_depth) {
  UNetConfig config;
  config.block_out_channels = {320, 640, 1280};
  config.heads = heads_of_width(config.block_out_channels, 64);
  config.down = std::move(down);
  config.up = std::move(up);
  config.middle = middle;
  config.middle_depth = middle_depth;
  config.context_width = 2048;
  config.added_width = 1280 + 6 * 256;
  return config;
}

// Lee et al. 2023 (arXiv 2312.04005): one resnet less in each level.
UNetConfig koala(int64_t innermost, Middle middle) {
  return sdxl({{0}, {2}, {innermost}}, {{0, 0}, {2, 2}, {innermost, innermost}}, middle,
              middle == Middle::none ? 0 : innermost);
}

// The last steps of SDXL, told by the second of its text encoders and five numbers.
UNetConfig sdxl_refiner() {
  UNetConfig config = sdxl({{0, 0}, {4, 4}, {4, 4}, {0, 0}}, {{0, 0, 0}, {4, 4, 4}, {4, 4, 4}, {0, 0, 0}},
                           Middle::transformer, 4);
  config.block_out_channels = {384, 768, 1536, 1536};
  config.heads = heads_of_width(config.block_out_channels, 64);
  config.context_width = 1280;
  config.added_width = 1280 + 5 * 256;
  return config;
}

const auto& presets() {
  static const std::array<std::pair<std::string_view, UNetConfig>, 16> all = {{
      {"sd1", stable_diffusion(2, Middle::transformer, true, 768)},
      {"sd2", stable_diffusion(2, Middle::transformer, true, 1024)},
      {"bk_base", stable_diffusion(1, Middle::transformer, true, 768)},
      {"bk_small", stable_diffusion(1, Middle::none, true, 768)},
      {"bk_tiny", stable_diffusion(1, Middle::none, false, 768)},
      {"bk_v2_base", stable_diffusion(1, Middle::transformer, true, 1024)},
      {"bk_v2_small", stable_diffusion(1, Middle::none, true, 1024)},
      {"bk_v2_tiny", stable_diffusion(1, Middle::none, false, 1024)},
      {"ldm", imagenet_ldm(256, 512)},
      {"ldm_s", imagenet_ldm(64, 256)},
      {"sdxl",
       sdxl({{0, 0}, {2, 2}, {10, 10}}, {{0, 0, 0}, {2, 2, 2}, {10, 10, 10}}, Middle::transformer, 10)},
      {"ssd1b", sdxl({{0, 0}, {2, 2}, {4, 4}}, {{0, 0, 0}, {2, 1, 1}, {4, 4, 10}}, Middle::resnet, 0)},
      {"vega", sdxl({{0, 0}, {1, 1}, {2, 2}}, {{0, 0, 0}, {1, 1, 1}, {2, 2, 2}}, Middle::resnet, 0)},
      {"koala_1b", koala(6, Middle::transformer)},
      {"koala_700m", koala(5, Middle::none)},
      {"sdxl_refiner", sdxl_refiner()},
  }};
  return all;
}

constexpr const char* kKind = "a U-Net";  // in messages

template <class... Parts>
void refuse_unless(bool good, const Parts&... parts) {
  check(good, ErrorKind::input, "not ", kKind, ": ", parts...);
}

bool attends(const std::vector<int64_t>& depths) {
  return std::ranges::any_of(depths, [](int64_t depth) { return depth > 0; });
}

void check_heads(const UNetConfig& config, size_t level) {
  const int64_t C = config.block_out_channels[level], heads = config.heads[level];
  refuse_unless(heads > 0 && C % heads == 0, C, " channels do not divide into ", heads, " heads");
  refuse_unless(config.context_width > 0, "the width of the context must be positive");
}

void check_encoder(const UNetConfig& config) {
  const auto L = static_cast<size_t>(config.levels());
  refuse_unless(L > 0 && L <= 16, L, " levels, expected 1 ... 16");
  refuse_unless(config.heads.size() == L && config.down.size() == L, L, " widths of levels, but heads for ",
                config.heads.size(), " and ways down for ", config.down.size());
  refuse_unless(config.in_channels > 0 && config.norm_num_groups > 0, "channels and groups must be positive");
  refuse_unless(config.guidance_width == 0 || config.guidance_width >= 4, "a guidance scale embedded as ",
                config.guidance_width, " numbers, expected at least 4");
  for (size_t i = 0; i < L; ++i) {
    const int64_t C = config.block_out_channels[i];
    refuse_unless(C > 0 && C % config.norm_num_groups == 0, C, " channels do not divide into ",
                  config.norm_num_groups, " groups");
    refuse_unless(!config.down[i].empty(), "no resnets on the way down of level ", i);
    if (attends(config.down[i]) || (i + 1 == L && config.middle == Middle::transformer))
      check_heads(config, i);
  }
}

void check_decoder(const UNetConfig& config) {
  refuse_unless(config.up.size() == config.down.size(), config.down.size(), " ways down, but ",
                config.up.size(), " ways up");
  refuse_unless(config.out_channels > 0, "channels must be positive");
  for (size_t i = 0; i < config.up.size(); ++i) {
    refuse_unless(config.up[i].size() == config.down[i].size() + 1, config.down[i].size(),
                  " resnets on the way down and ", config.up[i].size(), " on the way up of level ", i,
                  ", expected one more");
    if (attends(config.up[i])) check_heads(config, i);
  }
}

// Layers one after the other, and what has been kept and not been read yet.
class LayerList {
 public:
  explicit LayerList(const UNetConfig& config)
      : config_(config), channels_(config.channels(0)), skips_({channels_}) {}  // conv_in's

  void resnet(const std::string& name, int64_t level) { add_resnet(name, level, 0); }
  void resnet_of_skip(const std::string& name, int64_t level) {
    const int64_t skip = skips_.back();
    skips_.pop_back();
    add_resnet(name, level, skip);
  }
  void transformer(const std::string& name, int64_t level, int64_t depth) {
    if (depth > 0)
      add({.kind = Kind::transformer,
           .name = name,
           .level = level,
           .inputs = channels_,
           .outputs = channels_,
           .depth = depth,
           .heads = config_.heads[static_cast<size_t>(level)]});
  }
  void sample(Kind kind, const std::string& name, int64_t level) {
    add({kind, name, level, channels_, channels_});
  }
  void keep() {
    layers_.back().is_kept = true;
    skips_.push_back(channels_);
    check(std::ssize(skips_) <= kMostSkips, ErrorKind::input, "not a U-Net: ", skips_.size(),
          " skips, expected at most ", kMostSkips);
  }
  std::vector<UNetLayer> take() { return std::move(layers_); }

 private:
  void add(UNetLayer layer) {
    layer.open = std::ssize(skips_);
    layers_.push_back(std::move(layer));
  }
  void add_resnet(const std::string& name, int64_t level, int64_t skip) {
    const int64_t inputs = channels_ + skip;
    refuse_unless(inputs % config_.norm_num_groups == 0, inputs, " channels do not divide into ",
                  config_.norm_num_groups, " groups");
    channels_ = config_.channels(level);
    add({Kind::resnet, name, level, inputs, channels_, skip});
  }

  const UNetConfig& config_;
  int64_t channels_;
  std::vector<int64_t> skips_;
  std::vector<UNetLayer> layers_;
};

LayerList encoder_of(const UNetConfig& config) {
  check_encoder(config);
  LayerList list(config);
  const int64_t L = config.levels();
  for (int64_t level = 0; level < L; ++level) {
    const std::string block = concat("down_blocks.", level);
    const std::vector<int64_t>& depths = config.down[static_cast<size_t>(level)];
    for (size_t j = 0; j < depths.size(); ++j) {
      list.resnet(concat(block, ".resnets.", j), level);
      list.transformer(concat(block, ".attentions.", j), level, depths[j]);
      list.keep();
    }
    if (level + 1 == L) break;
    list.sample(Kind::downsample, block + ".downsamplers.0.conv", level);
    list.keep();
  }
  if (config.middle != Middle::none) list.resnet("mid_block.resnets.0", L - 1);
  if (config.middle == Middle::transformer) {
    list.transformer("mid_block.attentions.0", L - 1, config.middle_depth);
    list.resnet("mid_block.resnets.1", L - 1);
  }
  return list;
}

// How many of name(0), name(1), ... there are.
template <class Name>
int64_t count_of(const WeightSource& weights, const Name& name) {
  int64_t count = 0;
  while (count < 1000 && weights.shape(name(count))) ++count;
  return count;
}

int64_t depth_of(const WeightSource& weights, const std::string& transformer) {
  return count_of(weights,
                  [&](int64_t k) { return concat(transformer, ".transformer_blocks.", k, ".norm1.weight"); });
}

std::vector<int64_t> depths_of(const WeightSource& weights, const std::string& block) {
  const int64_t resnets =
      count_of(weights, [&](int64_t j) { return concat(block, ".resnets.", j, ".conv1.weight"); });
  std::vector<int64_t> depths;
  for (int64_t j = 0; j < resnets; ++j) depths.push_back(depth_of(weights, concat(block, ".attentions.", j)));
  return depths;
}

// Of the first of these layers that reads it; 0 where none does.
int64_t width_of_context(const WeightSource& weights, const char* kind,
                         const std::vector<UNetLayer>& layers) {
  const auto first = std::ranges::find(layers, Kind::transformer, &UNetLayer::kind);
  if (first == layers.end()) return 0;
  return extent_of(weights, kind, first->name + ".transformer_blocks.0.attn2.to_k.weight", 2, 1);
}

// What the published families with this width of context have.
std::vector<int64_t> known_heads(const std::vector<int64_t>& channels, int64_t context_width) {
  switch (context_width) {
    case 768:
      return std::vector<int64_t>(channels.size(), 8);
    case 1024:
    case 1280:
    case 2048:
      return heads_of_width(channels, 64);
    case 256:
    case 512:
      return heads_of_width(channels, 32);
  }
  fail(ErrorKind::input, "the number of attention heads of a U-Net with a context ", context_width,
       " wide is not known: put a config.json with \"attention_head_dim\" beside the checkpoint");
}

}  // namespace

int64_t pixels_of_level(int64_t height, int64_t width, int64_t level) {
  const int64_t most = (int64_t{1} << level) - 1;
  return ((height + most) >> level) * ((width + most) >> level);
}

std::vector<UNetLayer> unet_encoder_layers(const UNetConfig& config) { return encoder_of(config).take(); }

std::vector<UNetLayer> unet_layers(const UNetConfig& config) {
  LayerList list = encoder_of(config);
  check_decoder(config);
  const int64_t L = config.levels();
  for (int64_t level = L - 1; level >= 0; --level) {
    const std::string block = concat("up_blocks.", L - 1 - level);
    const std::vector<int64_t>& depths = config.up[static_cast<size_t>(level)];
    for (size_t j = 0; j < depths.size(); ++j) {
      list.resnet_of_skip(concat(block, ".resnets.", j), level);
      list.transformer(concat(block, ".attentions.", j), level, depths[j]);
    }
    if (level > 0) list.sample(Kind::upsample, block + ".upsamplers.0.conv", level - 1);
  }
  return list.take();
}

std::vector<UNetSkip> unet_skips(const UNetConfig& config) {
  std::vector<UNetSkip> skips = {{config.channels(0), 0}};
  for (const UNetLayer& layer : unet_encoder_layers(config))
    if (layer.is_kept) skips.push_back({layer.outputs, layer.level + (layer.kind == Kind::downsample)});
  return skips;
}

UNetConfig unet_preset(std::string_view name) {
  for (const auto& [known, config] : presets())
    if (known == name) return config;
  fail(ErrorKind::usage, "no U-Net is called \"", printable(std::string(name)), "\", expected one of ",
       join(presets(), ", ", [](const auto& preset) { return preset.first; }));
}

UNetConfig infer_unet_encoder_config(const WeightSource& weights, const char* kind) {
  UNetConfig config;
  config.in_channels = extent_of(weights, kind, "conv_in.weight", 4, 1);
  config.block_out_channels.clear(), config.down.clear(), config.up.clear();
  for (int64_t i = 0; i == 0 || depths_of(weights, concat("down_blocks.", i)).size(); ++i) {
    const std::string block = concat("down_blocks.", i);
    config.block_out_channels.push_back(extent_of(weights, kind, block + ".resnets.0.conv1.weight", 4, 0));
    config.down.push_back(depths_of(weights, block));
  }
  const bool has_middle = weights.shape("mid_block.resnets.0.conv1.weight").has_value();
  config.middle_depth = depth_of(weights, "mid_block.attentions.0");
  config.middle = !has_middle ? Middle::none : config.middle_depth > 0 ? Middle::transformer : Middle::resnet;
  if (weights.shape("add_embedding.linear_1.weight"))
    config.added_width = extent_of(weights, kind, "add_embedding.linear_1.weight", 2, 1);
  if (weights.shape("time_embedding.cond_proj.weight"))
    config.guidance_width = extent_of(weights, kind, "time_embedding.cond_proj.weight", 2, 1);
  config.heads = each(config.levels(), 1);  // for the list of layers, which does not depend on it
  config.context_width = width_of_context(weights, kind, unet_encoder_layers(config));
  if (config.context_width > 0) config.heads = known_heads(config.block_out_channels, config.context_width);
  return config;
}

UNetConfig infer_unet_config(const WeightSource& weights) {
  UNetConfig config = infer_unet_encoder_config(weights, kKind);
  config.out_channels = extent_of(weights, kKind, "conv_out.weight", 4, 0);
  for (int64_t level = 0; level < config.levels(); ++level)
    config.up.push_back(depths_of(weights, concat("up_blocks.", config.levels() - 1 - level)));
  if (config.context_width == 0) config.context_width = width_of_context(weights, kKind, unet_layers(config));
  check(config.context_width > 0, ErrorKind::input,
        "not a latent U-Net: no tensor \"down_blocks.0.attentions.0.transformer_blocks.0.norm1.weight\" or "
        "another transformer's");
  config.heads = known_heads(config.block_out_channels, config.context_width);
  return config;
}

namespace {

int64_t conv_parameters(int64_t inputs, int64_t outputs, int64_t taps) {
  return inputs * outputs * taps + outputs;
}
int64_t linear_parameters(int64_t inputs, int64_t outputs) { return conv_parameters(inputs, outputs, 1); }

int64_t parameters_of(const std::vector<UNetLayer>& layers, const UNetConfig& config) {
  const int64_t E = config.time_width();
  int64_t sum = 0;
  for (const auto& [kind, name, level, inputs, C, skip, is_kept, depth, heads, open] : layers) {
    const int64_t self_attention = 4 * C * C + C, cross_attention = 2 * C * (C + config.context_width) + C;
    switch (kind) {
      case Kind::resnet:
        sum += 2 * inputs + conv_parameters(inputs, C, 9) + linear_parameters(E, C) + 2 * C +
               conv_parameters(C, C, 9) + (inputs != C ? conv_parameters(inputs, C, 1) : 0);
        break;
      case Kind::transformer:
        sum += 2 * C + 2 * linear_parameters(C, C) +
               depth * (6 * C + self_attention + cross_attention + linear_parameters(C, 8 * C) +
                        linear_parameters(4 * C, C));
        break;
      case Kind::downsample:
      case Kind::upsample:
        sum += conv_parameters(C, C, 9);
    }
  }
  return sum;
}

// Of conv_in and what the network is told beside the context.
int64_t parameters_before(const UNetConfig& config) {
  const int64_t C0 = config.channels(0), E = config.time_width();
  int64_t sum = conv_parameters(config.in_channels, C0, 9) + linear_parameters(C0, E) +
                linear_parameters(E, E) + config.guidance_width * C0;
  if (config.added_width > 0) sum += linear_parameters(config.added_width, E) + linear_parameters(E, E);
  return sum;
}

// Of a picture's attention to itself, with the linear maps around it.
double self_attention(double T, double C) { return T * (4 * C * C + 2 * T * C); }

// The same where so many of its tokens become one with others: scores of sources and targets, and less.
double merged_self_attention(Extent2d extent, double merge, double C) {
  const auto [sources, targets, merged] = merge_counts(extent, merge);
  return static_cast<double>(sources) * static_cast<double>(targets) * C +
         self_attention(static_cast<double>(sources + targets - merged), C);
}

// Multiplications of the layers for one image.
double products_of(const std::vector<UNetLayer>& layers, const UNetConfig& config, int64_t height,
                   int64_t width, int64_t tokens, double merge = 0) {
  const auto E = static_cast<double>(config.time_width()), S = static_cast<double>(tokens);
  double sum = 0;
  for (const UNetLayer& layer : layers) {
    const auto inputs = static_cast<double>(layer.inputs), C = static_cast<double>(layer.outputs);
    const auto pixels = static_cast<double>(pixels_of_level(height, width, layer.level)),
               halved = static_cast<double>(pixels_of_level(height, width, layer.level + 1));
    const double cross_attention = S > 1 ? 2 * C * C + 2 * S * C : 0;  // one key: no product with the pixels
    switch (layer.kind) {
      case Kind::resnet:
        sum += pixels * (9 * C * (inputs + C) + (layer.inputs != layer.outputs ? inputs * C : 0)) + E * C;
        break;
      case Kind::transformer:
        sum += pixels * 2 * C * C +
               static_cast<double>(layer.depth) *
                   (pixels * (cross_attention + 12 * C * C) +
                    (merge > 0 && layer.level == 0 ? merged_self_attention({height, width}, merge, C)
                                                   : self_attention(pixels, C)));
        break;
      case Kind::downsample:
        sum += halved * 9 * C * C;
        break;
      case Kind::upsample:
        sum += pixels * 9 * C * C;
    }
  }
  return sum;
}

double products_before(const UNetConfig& config, int64_t height, int64_t width) {
  const auto C0 = static_cast<double>(config.channels(0)), E = static_cast<double>(config.time_width());
  return C0 * E + E * E + static_cast<double>(config.added_width) * E +
         static_cast<double>(height * width * config.in_channels) * 9 * C0;
}

// Those of the maps that are of the body (nn/weights.h), without biases.
int64_t body_parameters_of(const std::vector<UNetLayer>& layers) {
  int64_t sum = 0;
  for (const UNetLayer& layer : layers) {
    const int64_t inputs = layer.inputs, C = layer.outputs;
    switch (layer.kind) {
      case Kind::resnet:
        sum += 9 * C * (inputs + C) + (inputs != C ? inputs * C : 0);
        break;
      case Kind::transformer:  // both projections; qkv and out, q and out, the gates' 8 and 4
        sum += 2 * C * C + layer.depth * (4 + 2 + 12) * C * C;
        break;
      case Kind::downsample:
      case Kind::upsample:
        sum += 9 * C * C;
    }
  }
  return sum;
}

}  // namespace

int64_t unet_encoder_parameters(const UNetConfig& config) {
  return parameters_before(config) + parameters_of(unet_encoder_layers(config), config);
}

int64_t unet_parameters(const UNetConfig& config) {
  const int64_t C0 = config.channels(0);
  return parameters_before(config) + parameters_of(unet_layers(config), config) + 2 * C0 +
         conv_parameters(C0, config.out_channels, 9);
}

int64_t unet_encoder_body_parameters(const UNetConfig& config) {
  return body_parameters_of(unet_encoder_layers(config));
}

int64_t unet_body_parameters(const UNetConfig& config) { return body_parameters_of(unet_layers(config)); }

int64_t unet_activation_bytes(const UNetConfig& config, int64_t height, int64_t width, DType compute) {
  const int64_t size = size_of(compute);
  const auto pixels = [&](int64_t level) { return pixels_of_level(height, width, level); };
  std::vector<int64_t> skips = {size * pixels(0) * config.channels(0)};
  int64_t kept = skips[0], most = 0;
  for (const UNetLayer& layer : unet_layers(config)) {
    const int64_t P = pixels(layer.level), inputs = layer.inputs, C = layer.outputs;
    int64_t alive = 0;  // of the layer itself
    switch (layer.kind) {
      case Kind::resnet:
        if (layer.skip > 0) {
          kept -= skips.back();
          skips.pop_back();
        }
        // What came, joined with the skip, while both are there; then x, h and their sum.
        alive = size * P * std::max(layer.skip > 0 ? 2 * inputs : 0, inputs + 2 * C);
        break;
      case Kind::transformer:
        alive = P * (size * 14 * C + 4 * C);  // x, its tokens in f32; the norm, 8 C into the gates, 4 C out
        break;
      case Kind::downsample:
        alive = size * (P * inputs + pixels(layer.level + 1) * C);
        break;
      case Kind::upsample:
        alive = size * (pixels(layer.level + 1) * inputs + P * C);
    }
    most = std::max(most, kept + alive);
    if (layer.is_kept) {
      const int64_t level = layer.level + (layer.kind == Kind::downsample ? 1 : 0);
      skips.push_back(size * pixels(level) * C);
      kept += skips.back();
    }
  }
  return most;
}

namespace {

// Of these numbers those of a transformer's blocks, of which the first has the number `first`.
int64_t count_within(std::span<const int64_t> numbers, int64_t first, int64_t depth) {
  return std::ranges::count_if(numbers, [&](int64_t n) { return first <= n && n < first + depth; });
}

// With transformers of as many blocks as are left.
std::vector<UNetLayer> layers_without(const UNetConfig& config, std::span<const int64_t> skipped) {
  std::vector<UNetLayer> layers = unet_layers(config);
  int64_t first = 0;
  for (UNetLayer& layer : layers) {
    const int64_t depth = layer.depth;
    layer.depth -= count_within(skipped, first, depth);
    first += depth;
  }
  return layers;
}

double flops_of(const std::vector<UNetLayer>& layers, const UNetConfig& config, int64_t height, int64_t width,
                int64_t tokens, double merge) {
  const double conv_out = static_cast<double>(height * width * config.out_channels * 9 * config.channels(0));
  return 2 * (products_before(config, height, width) + conv_out +
              products_of(layers, config, height, width, tokens, merge));
}

}  // namespace

double unet_flops(const UNetConfig& config, int64_t height, int64_t width, int64_t tokens, double merge,
                  std::span<const int64_t> skipped) {
  return flops_of(layers_without(config, skipped), config, height, width, tokens, merge);
}

double unet_shallow_flops(const UNetConfig& config, int64_t height, int64_t width, int64_t tokens,
                          double merge, int64_t skip, std::span<const int64_t> skipped) {
  std::vector<UNetLayer> layers = layers_without(config, skipped);
  std::erase_if(layers, [&](const UNetLayer& layer) { return layer.open > skip; });
  return flops_of(layers, config, height, width, tokens, merge);
}

int64_t unet_kept_bytes(const UNetConfig& config, int64_t height, int64_t width, int64_t skip,
                        DType compute) {
  for (const UNetLayer& layer : unet_layers(config))
    if (layer.skip > 0 && layer.open == skip)
      return size_of(compute) * pixels_of_level(height, width, layer.level) * (layer.inputs - layer.skip);
  return 0;
}

int64_t unet_blocks(const UNetConfig& config) {
  int64_t blocks = 0;
  for (const UNetLayer& layer : unet_layers(config)) blocks += layer.depth;
  return blocks;
}

std::string unet_skip_obstacle(const UNetConfig& config, std::span<const int64_t> blocks) {
  int64_t first = 0;
  for (const UNetLayer& layer : unet_layers(config)) {
    const int64_t depth = layer.depth;
    if (depth > 0 && count_within(blocks, first, depth) == depth)
      return depth == 1 ? concat("block ", first, " is the only one of its transformer (", layer.name, ")")
                        : concat("blocks ", first, " ... ", first + depth - 1,
                                 " are all of their transformer (", layer.name, "), which keeps one");
    first += depth;
  }
  return "";
}

bool unet_merges_tokens(const UNetConfig& config) {
  return attends(config.down[0]) || attends(config.up[0]) ||
         (config.levels() == 1 && config.middle == Middle::transformer);
}

}  // namespace tstitch
