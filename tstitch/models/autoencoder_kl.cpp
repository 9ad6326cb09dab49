#include "tstitch/models/autoencoder_kl.h"

#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/ops/ops.h"

namespace tstitch {
namespace {

constexpr double kEps = 1e-6;  // of every group norm
constexpr double kLowestLogVariance = -30, kHighestLogVariance = 20;

// What a level leaves in the cache of the memory is of no use to the next, whose pictures are larger: above
// this many bytes of one it is given back.
constexpr int64_t kTrimmedPicture = int64_t{256} << 20;

// Of an upsampled picture that is made in strips.
constexpr int64_t kStripRows = 64;

// Rows begin ... end of a picture (1, H, W, C), as a view.
Tensor rows_of(const Tensor& x, int64_t begin, int64_t end) {
  return x.reshape({x.extent(1), x.extent(2), x.extent(3)})
      .slice(begin, end)
      .reshape({1, end - begin, x.extent(2), x.extent(3)});
}

// Queries, keys and values as one product.
Linear qkv_of(const Weights& weights, int64_t channels) {
  Tensor w({3, channels, channels}, DType::f32), b({3, channels}, DType::f32);
  int64_t part = 0;
  for (const char* name : {"to_q", "to_k", "to_v"}) {
    const Tensor part_w = (weights / name).load("weight", {channels, channels}),
                 part_b = (weights / name).load("bias", {channels});
    std::copy_n(part_w.data<float>(), part_w.elements(), w.slice(part, part + 1).data<float>());
    std::copy_n(part_b.data<float>(), channels, b.slice(part, part + 1).data<float>());
    ++part;
  }
  return Linear(weights.backend(), w.reshape({3 * channels, channels}), b.reshape({3 * channels}));
}

Conv2d proj_of(const Weights& weights, int64_t channels) {
  return Conv2d(weights.backend(),
                weights.load("weight", {channels, channels}).reshape({channels, channels, 1, 1}),
                weights.load("bias", {channels}));
}

AutoencoderLevel level_of(const Weights& weights, int64_t inputs, int64_t outputs, int64_t layers,
                          int64_t groups, bool attention) {
  AutoencoderLevel level;
  for (int64_t i = 0; i < layers; ++i) {
    level.resnets.emplace_back(weights / concat("resnets.", i), i == 0 ? inputs : outputs, outputs, groups);
    if (attention) level.attentions.emplace_back(weights / concat("attentions.", i), outputs, groups);
  }
  return level;
}

// Two resnets with attention between them.
AutoencoderLevel middle_of(const Weights& weights, const AutoencoderKLConfig& config) {
  const int64_t channels = config.block_out_channels.back();
  AutoencoderLevel middle = level_of(weights, channels, channels, 2, config.norm_num_groups, false);
  if (config.mid_block_add_attention)
    middle.attentions.emplace_back(weights / "attentions.0", channels, config.norm_num_groups);
  return middle;
}

AutoencoderHalf encoder_of(const AutoencoderKLConfig& config, const Weights& all) {
  const Weights weights = all / "encoder";
  const int64_t L = config.levels(), deepest = config.block_out_channels.back();
  const int64_t outputs = (config.codebook_size ? 1 : 2) * config.latent_channels;  // else mean, log variance
  std::vector<AutoencoderLevel> levels;
  for (int64_t i = 0; i < L; ++i) {
    const Weights block = weights / concat("down_blocks.", i);
    levels.push_back(level_of(block, config.channels(i > 0 ? i - 1 : 0), config.channels(i),
                              config.layers_per_block, config.norm_num_groups, config.has_attention(i)));
    if (i + 1 < L)
      levels.back().downsample.emplace(block / "downsamplers.0.conv", config.channels(i), config.channels(i),
                                       3);
  }
  levels.push_back(middle_of(weights / "mid_block", config));
  AutoencoderHalf half = {
      .backend = &weights.backend(),
      .conv_in = Conv2d(weights / "conv_in", 3, config.channels(0), 3),
      .levels = std::move(levels),
      .norm_out = GroupNorm(weights / "conv_norm_out", deepest, config.norm_num_groups, kEps),
      .conv_out = Conv2d(weights / "conv_out", deepest, outputs, 3)};
  if (config.use_quant_conv) half.last_quant.emplace(all / "quant_conv", outputs, outputs, 1);
  return half;
}

AutoencoderHalf decoder_of(const AutoencoderKLConfig& config, const Weights& all) {
  const Weights weights = all / "decoder";
  const int64_t L = config.levels(), deepest = config.block_out_channels.back(), C = config.latent_channels;
  std::vector<AutoencoderLevel> levels;
  levels.push_back(middle_of(weights / "mid_block", config));
  for (int64_t i = 0; i < L; ++i) {
    const int64_t level = L - 1 - i, inputs = config.channels(i > 0 ? level + 1 : level);
    const Weights block = weights / concat("up_blocks.", i);
    levels.push_back(level_of(block, inputs, config.channels(level), config.layers_per_block + 1,
                              config.norm_num_groups, config.has_attention(level)));
    if (i > 0)
      levels.back().upsample.emplace(weights / concat("up_blocks.", i - 1, ".upsamplers.0.conv"), inputs,
                                     inputs, 3);
  }
  AutoencoderHalf half = {
      .backend = &weights.backend(),
      .conv_in = Conv2d(weights / "conv_in", C, deepest, 3),
      .levels = std::move(levels),
      .norm_out = GroupNorm(weights / "conv_norm_out", config.channels(0), config.norm_num_groups, kEps),
      .conv_out = Conv2d(weights / "conv_out", config.channels(0), 3, 3)};
  if (config.use_post_quant_conv) half.first_quant.emplace(all / "post_quant_conv", C, C, 1);
  return half;
}

constexpr const char* kKind = "an autoencoder";  // in messages

}  // namespace

AutoencoderKLConfig infer_autoencoder_kl_config(const WeightSource& weights) {
  const auto has = [&](const std::string& name) { return weights.shape(name).has_value(); };
  AutoencoderKLConfig config;
  config.decoder = has("decoder.conv_in.weight");
  config.encoder = has("encoder.conv_in.weight");
  const std::string half = config.decoder ? "decoder" : "encoder",
                    blocks = half + (config.decoder ? ".up_blocks." : ".down_blocks.");
  if (const std::string codebook = "quantize.embedding.weight"; has(codebook))
    config.codebook_size = extent_of(weights, kKind, codebook, 2, 0);
  config.latent_channels = config.decoder ? extent_of(weights, kKind, "decoder.conv_in.weight", 4, 1)
                                          : extent_of(weights, kKind, "encoder.conv_out.weight", 4, 0) /
                                                (config.codebook_size ? 1 : 2);
  config.mid_block_add_attention = has(half + ".mid_block.attentions.0.to_q.weight");
  config.use_quant_conv = has("quant_conv.weight");
  config.use_post_quant_conv = has("post_quant_conv.weight");

  config.block_out_channels.clear();
  for (int64_t i = 0; i == 0 || has(concat(blocks, i, ".resnets.0.conv1.weight")); ++i)
    config.block_out_channels.push_back(
        extent_of(weights, kKind, concat(blocks, i, ".resnets.0.conv1.weight"), 4, 0));
  if (config.decoder) std::ranges::reverse(config.block_out_channels);
  config.layers_per_block = 0;
  while (has(concat(blocks, "0.resnets.", config.layers_per_block, ".conv1.weight")))
    ++config.layers_per_block;
  if (config.decoder) --config.layers_per_block;
  check(config.layers_per_block > 0, ErrorKind::input, "tensor \"", blocks,
        "0.resnets.1.conv1.weight\" is missing: a decoder has two layers or more at each level");
  for (int64_t i = 0; i < config.levels(); ++i)
    if (has(concat(blocks, config.decoder ? config.levels() - 1 - i : i, ".attentions.0.to_q.weight")))
      config.attention_levels.push_back(i);
  return config;
}

double autoencoder_kl_decode_flops(const AutoencoderKLConfig& config, int64_t height, int64_t width) {
  const auto C = static_cast<double>(config.latent_channels);
  double pixels = static_cast<double>(height * width), flops = 0;
  const auto conv = [&](double inputs, double outputs, double taps) {
    flops += pixels * inputs * outputs * taps;
  };
  const auto resnet = [&](double inputs, double outputs) {
    conv(inputs, outputs, 9), conv(outputs, outputs, 9);
    if (inputs != outputs) conv(inputs, outputs, 1);
  };
  const auto attention = [&](double channels) { flops += pixels * channels * (4 * channels + 2 * pixels); };

  auto channels = static_cast<double>(config.block_out_channels.back());
  if (config.use_post_quant_conv) conv(C, C, 1);
  conv(C, channels, 9);
  resnet(channels, channels), resnet(channels, channels);
  if (config.mid_block_add_attention) attention(channels);
  for (int64_t level = config.levels() - 1; level >= 0; --level) {
    const auto outputs = static_cast<double>(config.channels(level));
    if (level + 1 < config.levels()) pixels *= 4, conv(channels, channels, 9);
    for (int64_t i = 0; i <= config.layers_per_block; ++i, channels = outputs) {
      resnet(channels, outputs);
      if (config.has_attention(level)) attention(outputs);
    }
  }
  conv(channels, 3, 9);
  return 2 * flops;
}

int64_t autoencoder_kl_decode_bytes(const AutoencoderKLConfig& config, int64_t height, int64_t width,
                                    DType compute) {
  int64_t pixels = height * width, inputs = config.block_out_channels.back(), most = 0;
  for (int64_t level = config.levels() - 1; level >= 0; --level) {
    const int64_t outputs = config.channels(level), size = size_of(compute);
    if (level + 1 < config.levels()) pixels *= 4;
    // x, h and, where the channels change, the shortcut; of large pictures x is never whole (of_upsampled).
    const bool changes = inputs != outputs, whole = !changes || size * pixels * inputs <= kLargePicture;
    most = std::max(most, size * pixels * ((whole ? inputs : 0) + (changes ? 2 : 1) * outputs));
    inputs = outputs;
  }
  return most;
}

ResnetBlock::ResnetBlock(const Weights& weights, int64_t inputs, int64_t outputs, int64_t groups)
    : backend_(&weights.backend()),
      norm1_(weights / "norm1", inputs, groups, kEps),
      conv1_(weights / "conv1", inputs, outputs, 3),
      norm2_(weights / "norm2", outputs, groups, kEps),
      conv2_(weights / "conv2", outputs, outputs, 3) {
  if (inputs != outputs) shortcut_.emplace(weights / "conv_shortcut", inputs, outputs, 1);
}

Tensor ResnetBlock::operator()(Tensor x) const {
  const Tensor norm = norm1_(x);
  const Tensor h = conv1_(x, same_of_silu(norm));
  if (shortcut_) x = (*shortcut_)(x, {});
  add_second_half(x, h);
  return x;
}

Tensor ResnetBlock::of_upsampled(Tensor x, const Conv2d& upsample, int64_t large) const {
  const int64_t H = 2 * x.extent(1), W = 2 * x.extent(2), M = conv1_.outputs();
  const DType dtype = backend_->compute_dtype();
  const auto upsampled = [&](int64_t begin, int64_t end) {
    return upsample(x, {.pad_before = 1, .pad_after = 1, .upsample = true, .begin = begin, .end = end});
  };
  if (H * W * upsample.outputs() * size_of(dtype) <= large || !shortcut_) return (*this)(upsampled(0, H));

  std::vector<Tensor> moments;
  for (int64_t y = 0; y < H; y += kStripRows)
    moments.push_back(norm1_.moments(upsampled(y, std::min(H, y + kStripRows))));
  const Tensor norm = norm1_.of_moments(moments);

  Tensor h({1, H, W, M}, dtype, backend_->memory()), sum({1, H, W, M}, dtype, backend_->memory());
  for (int64_t y = 0; y < H; y += kStripRows) {
    // A row more on either side, for the kernel; the zeros around the strip are only read where the picture
    // ends too.
    const int64_t end = std::min(H, y + kStripRows), above = std::max<int64_t>(y - 1, 0);
    const Tensor strip = upsampled(above, std::min(H, end + 1));
    Conv2dPath path = same_of_silu(norm);
    path.begin = y - above;
    path.end = end - above;
    Tensor h_rows = rows_of(h, y, end), sum_rows = rows_of(sum, y, end);
    conv1_.into(h_rows, strip, path);
    shortcut_->into(sum_rows, strip, {.begin = path.begin, .end = path.end});
  }
  x = {};
  add_second_half(sum, h);
  return sum;
}

void ResnetBlock::add_second_half(Tensor& x, const Tensor& h) const {
  const Tensor norm = norm2_(h);
  conv2_.add_to(x, h, same_of_silu(norm));
}

PixelAttention::PixelAttention(const Weights& weights, int64_t channels, int64_t groups)
    : backend_(&weights.backend()),
      norm_(weights / "group_norm", channels, groups, kEps),
      qkv_(qkv_of(weights, channels)),
      proj_(proj_of(weights / "to_out.0", channels)) {}

void PixelAttention::operator()(Tensor& x) const {
  const int64_t T = x.extent(1) * x.extent(2), C = x.extent(3);
  const Tensor tokens = scale_shift(*backend_, x, norm_(x)).reshape({1, T, C});
  const auto [q, k, v] = chunk<3>(qkv_(tokens));  // 3 x (1, T, C)
  proj_.add_to(x, attention(*backend_, q, k, v, 1).reshape(x.shape()), {});
}

Tensor AutoencoderLevel::operator()(Tensor x) const {
  for (size_t i = 0; i < resnets.size(); ++i) {
    x = i == 0 && upsample ? resnets[i].of_upsampled(std::move(x), *upsample) : resnets[i](std::move(x));
    if (i < attentions.size()) attentions[i](x);
  }
  return downsample ? (*downsample)(x, {.stride = 2, .pad_after = 1}) : x;
}

void AutoencoderHalf::operator()(Tensor& out, const Tensor& image) const {
  Tensor x = conv_in(first_quant ? (*first_quant)(image, {}) : image, same());
  for (const AutoencoderLevel& level : levels) {
    if (4 * x.elements() * size_of(x.dtype()) > kTrimmedPicture) backend->memory().trim();
    x = level(std::move(x));
  }
  const Tensor norm = norm_out(x);
  if (last_quant)
    last_quant->into(out, conv_out(x, same_of_silu(norm)), {});
  else
    conv_out.into(out, x, same_of_silu(norm));
}

AutoencoderKL::AutoencoderKL(const AutoencoderKLConfig& config, const Weights& weights)
    : config_(config), backend_(&weights.backend()) {
  if (config.encoder) encoder_.emplace(encoder_of(config, weights));
  if (config.decoder) decoder_.emplace(decoder_of(config, weights));
  if (config.decoder && config.codebook_size)
    codebook_ = backend_->upload(
        (weights / "quantize.embedding").load("weight", {config.codebook_size, config.latent_channels}));
}

Tensor AutoencoderKL::decode(const Tensor& z) const {
  check_internal(decoder_ && z.shape().rank() == 4 && z.extent(3) == latent_channels(), "decode of ",
                 z.shape(), " with ", latent_channels(), " channels");
  const int64_t N = z.extent(0);
  Tensor pictures({N, factor() * z.extent(1), factor() * z.extent(2), 3}, DType::f32, backend_->memory());
  for (int64_t n = 0; n < N; ++n) {
    Tensor picture = pictures.slice(n, n + 1);
    const Tensor latent = z.slice(n, n + 1);
    (*decoder_)(picture, codebook_ ? nearest_rows(*backend_, latent, codebook_) : latent);
  }
  return pictures;
}

LatentDistribution AutoencoderKL::encode(const Tensor& pictures) const {
  check_internal(encoder_ && pictures.shape().rank() == 4 && pictures.extent(3) == 3, "encode of ",
                 pictures.shape());
  const int64_t N = pictures.extent(0), H = pictures.extent(1), W = pictures.extent(2), f = factor();
  check(H % f == 0 && W % f == 0, ErrorKind::usage, "pictures of ", W, " x ", H,
        " pixels cannot be encoded: expected multiples of ", f);
  const int64_t outputs = (config_.codebook_size ? 1 : 2) * latent_channels();
  Tensor moments({N, H / f, W / f, outputs}, DType::f32, backend_->memory());
  for (int64_t n = 0; n < N; ++n) {
    Tensor latent = moments.slice(n, n + 1);
    (*encoder_)(latent, pictures.slice(n, n + 1));
  }
  if (config_.codebook_size) return {moments, {}};
  const auto [mean, log_variance] = chunk<2>(moments);
  return {mean, clamp(*backend_, log_variance, kLowestLogVariance, kHighestLogVariance)};
}

}  // namespace tstitch
