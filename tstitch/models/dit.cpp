#include "tstitch/models/dit.h"

#include <algorithm>
#include <cmath>

#include "tstitch/base/error.h"
#include "tstitch/ops/ops.h"

namespace tstitch {
namespace {

constexpr int64_t kTimestepWidth = 256;  // of the sinusoidal embedding

// A convolution of kernel and stride p is a linear map of the patch; its weight (D, C, p, p) with the inputs
// in the order of `patchify`, (p row, p column, channel).
Linear patch_embedding(const Weights& weights, const DiTConfig& config) {
  const int64_t D = config.hidden_size, C = config.in_channels, p = config.patch_size;
  const Tensor conv = weights.load("weight", {D, C, p, p});
  Tensor w({D, p * p * C}, DType::f32);
  for (int64_t d = 0; d < D; ++d)
    for (int64_t c = 0; c < C; ++c)
      for (int64_t i = 0; i < p * p; ++i)
        w.data<float>()[(d * p * p + i) * C + c] = conv.data<float>()[(d * C + c) * p * p + i];
  return Linear(weights.backend(), w, weights.load("bias", {D}));
}

bool close(const Tensor& a, const Tensor& b, float tolerance) {
  return std::equal(a.data<float>(), a.data<float>() + a.elements(), b.data<float>(),
                    [&](float x, float y) { return std::abs(x - y) <= tolerance; });
}

constexpr const char* kKind = "a DiT checkpoint";  // in messages

}  // namespace

std::string dit_name(const DiTConfig& config) {
  for (const DiTSize& size : kDiTSizes)
    if (size.hidden_size == config.hidden_size && size.depth == config.depth &&
        size.num_heads == config.num_heads)
      return concat(size.name, "/", config.patch_size);
  return concat("DiT ", config.hidden_size, "x", config.depth, "/", config.patch_size);
}

DiTConfig infer_dit_config(const WeightSource& weights) {
  DiTConfig config;
  config.hidden_size = extent_of(weights, kKind, "x_embedder.proj.weight", 4, 0);
  config.in_channels = extent_of(weights, kKind, "x_embedder.proj.weight", 4, 1);
  config.patch_size = extent_of(weights, kKind, "x_embedder.proj.weight", 4, 2);
  config.num_classes = extent_of(weights, kKind, "y_embedder.embedding_table.weight", 2, 0) - 1;

  const int64_t tokens = extent_of(weights, kKind, "pos_embed", 3, 1);
  const auto side = static_cast<int64_t>(std::llround(std::sqrt(static_cast<double>(tokens))));
  check(side * side == tokens, ErrorKind::input, "tensor \"pos_embed\" has ", tokens,
        " tokens, expected a square");
  config.input_size = side * config.patch_size;

  const int64_t outputs = extent_of(weights, kKind, "final_layer.linear.weight", 2, 0);
  const int64_t pixels = config.patch_size * config.patch_size;
  config.learn_sigma = outputs == 2 * pixels * config.in_channels;
  check(config.learn_sigma || outputs == pixels * config.in_channels, ErrorKind::input,
        "tensor \"final_layer.linear.weight\" has ", outputs, " outputs, expected ",
        pixels * config.in_channels, " or ", 2 * pixels * config.in_channels);

  config.depth = 0;
  while (weights.shape(concat("blocks.", config.depth, ".attn.qkv.weight"))) ++config.depth;
  check(config.depth > 0, ErrorKind::input,
        "not a DiT checkpoint: it has no tensor \"blocks.0.attn.qkv.weight\"");
  config.mlp_ratio = static_cast<double>(extent_of(weights, kKind, "blocks.0.mlp.fc1.weight", 2, 0)) /
                     static_cast<double>(config.hidden_size);

  for (const DiTSize& size : kDiTSizes)
    if (size.hidden_size == config.hidden_size && size.depth == config.depth) {
      config.num_heads = size.num_heads;
      return config;
    }
  fail(ErrorKind::input, "the number of attention heads of a DiT of width ", config.hidden_size,
       " and depth ", config.depth,
       " is not known: put a config.json with \"num_heads\" beside the checkpoint");
}

int64_t dit_parameters(const DiTConfig& config) {
  const int64_t D = config.hidden_size, p2 = config.patch_size * config.patch_size, M = config.mlp_size();
  const int64_t tokens = config.input_size * config.input_size / p2;
  const auto linear = [](int64_t inputs, int64_t outputs) { return inputs * outputs + outputs; };
  const int64_t block = linear(D, 6 * D) + linear(D, 3 * D) + linear(D, D) + linear(D, M) + linear(M, D);
  return linear(p2 * config.in_channels, D) + tokens * D + linear(kTimestepWidth, D) + linear(D, D) +
         (config.num_classes + 1) * D + config.depth * block + linear(D, 2 * D) +
         linear(D, p2 * config.out_channels());
}

double dit_block_flops(const DiTConfig& config, int64_t height, int64_t width) {
  const auto D = static_cast<double>(config.hidden_size), M = static_cast<double>(config.mlp_size());
  const double T =
      static_cast<double>(height * width) / static_cast<double>(config.patch_size * config.patch_size);
  return 2 * T * (4 * D * D + 2 * D * M + 2 * T * D);  // qkv and proj, MLP, scores and values
}

double dit_flops(const DiTConfig& config, int64_t height, int64_t width) {
  const auto D = static_cast<double>(config.hidden_size);
  const auto p2 = static_cast<double>(config.patch_size * config.patch_size);
  const double T = static_cast<double>(height * width) / p2;
  const double per_image = 6 * D * D;  // adaLN
  const double ends = T * p2 * D * static_cast<double>(config.in_channels + config.out_channels()) +
                      kTimestepWidth * D + D * D + 2 * D * D;
  return static_cast<double>(config.depth) * (dit_block_flops(config, height, width) + 2 * per_image) +
         2 * ends;
}

int64_t dit_body_parameters(const DiTConfig& config) {
  const int64_t D = config.hidden_size;
  return config.depth * (4 * D * D + 2 * D * config.mlp_size());
}

int64_t dit_activation_bytes(const DiTConfig& config, int64_t height, int64_t width, DType compute) {
  const int64_t T = height * width / (config.patch_size * config.patch_size), D = config.hidden_size;
  // The tokens in f32; a norm and what the qkv or the MLP make of it.
  return T * (size_of(DType::f32) * D + size_of(compute) * (D + std::max(3 * D, config.mlp_size())));
}

DiTBlock::DiTBlock(const Weights& weights, const DiTConfig& config)
    : backend(&weights.backend()),
      num_heads(config.num_heads),
      adaLN_modulation(weights.whole() / "adaLN_modulation.1", config.hidden_size, 6 * config.hidden_size),
      qkv(weights / "attn.qkv", config.hidden_size, 3 * config.hidden_size),
      proj(weights / "attn.proj", config.hidden_size, config.hidden_size),
      fc1(weights / "mlp.fc1", config.hidden_size, config.mlp_size()),
      fc2(weights / "mlp.fc2", config.mlp_size(), config.hidden_size) {}

void DiTBlock::operator()(Tensor& x, const Tensor& modulation) const {
  const auto [shift_msa, scale_msa, gate_msa, shift_mlp, scale_mlp, gate_mlp] =
      chunk<6>(modulation);  // 6 x (N, D)

  const auto [q, k, v] = chunk<3>(qkv(modulated_norm(*backend, x, shift_msa, scale_msa)));  // 3 x (N, T, D)
  proj.add_gated_to(x, gate_msa, attention(*backend, q, k, v, num_heads));

  const Tensor hidden =
      fc1(modulated_norm(*backend, x, shift_mlp, scale_mlp), Activation::gelu_tanh);  // (N, T, 4 D)
  fc2.add_gated_to(x, gate_mlp, hidden);
}

DiT::DiT(const DiTConfig& config, const Weights& weights)
    : config_(config),
      backend_(&weights.backend()),
      x_embedder_(patch_embedding(weights / "x_embedder.proj", config)),
      t_mlp_0_(weights / "t_embedder.mlp.0", kTimestepWidth, config.hidden_size),
      t_mlp_2_(weights / "t_embedder.mlp.2", config.hidden_size, config.hidden_size),
      y_embedding_(backend_->upload(
          weights.load("y_embedder.embedding_table.weight", {config.num_classes + 1, config.hidden_size}))),
      final_adaLN_modulation_(weights / "final_layer.adaLN_modulation.1", config.hidden_size,
                              2 * config.hidden_size),
      final_linear_(weights / "final_layer.linear", config.hidden_size,
                    config.patch_size * config.patch_size * config.out_channels()) {
  blocks_.reserve(static_cast<size_t>(config.depth));
  for (int64_t i = 0; i < config.depth; ++i)
    blocks_.emplace_back(weights.body() / concat("blocks.", i), config);

  // Checkpoints store the fixed table, often rounded: the exact one replaces it. A table that was trained is
  // kept. The tolerance is above the rounding of bf16 and below any trained difference.
  const int64_t side = config.input_size / config.patch_size;
  Tensor table = sine_cosine_embedding(side, side, config.hidden_size);
  pos_embed_is_sine_cosine_ = true;
  if (weights.shape("pos_embed")) {
    const Tensor stored = weights.load("pos_embed", {1, side * side, config.hidden_size});
    pos_embed_is_sine_cosine_ = close(stored, table, 0.01f);
    if (!pos_embed_is_sine_cosine_) table = stored.reshape(table.shape());
  }
  pos_embed_ = backend_->upload(table);
}

Tensor DiT::embed_condition(std::span<const double> t, std::span<const int64_t> classes) const {
  check_internal(t.size() == classes.size(), t.size(), " timesteps for ", classes.size(), " classes");
  const Tensor frequencies = timestep_embedding(*backend_, t, kTimestepWidth);  // (R, 256)
  const Tensor t_emb =
      t_mlp_2_(t_mlp_0_(frequencies, Activation::silu), Activation::none, DType::f32);  // (R, D)
  const Tensor y_emb = gather(*backend_, y_embedding_, classes);                        // (R, D)
  return combine(*backend_, {{1, &t_emb}, {1, &y_emb}});
}

DiT::Conditioning DiT::condition(std::span<const double> t, std::span<const int64_t> classes) const {
  const Tensor c = silu(*backend_, embed_condition(t, classes));  // (R, D)
  Conditioning conditioning;
  conditioning.reserve(blocks_.size() + 1);
  for (const DiTBlock& block : blocks_)
    conditioning.push_back(block.adaLN_modulation(c, Activation::none, DType::f32));
  conditioning.push_back(final_adaLN_modulation_(c, Activation::none, DType::f32));
  return conditioning;
}

int64_t DiT::conditioning_bytes_per_row() const {
  return (6 * config_.depth + 2) * config_.hidden_size * size_of(DType::f32);
}

Tensor DiT::operator()(const Tensor& x, const Tensor& positions, const Conditioning& conditioning,
                       std::span<const int64_t> rows, const BlockWalk& walk) const {
  const int64_t N = x.extent(0), H = x.extent(1), W = x.extent(2);
  check_internal(static_cast<int64_t>(rows.size()) == N, rows.size(), " conditioning rows for ", N,
                 " images");

  Tensor tokens = embed_patches(x, positions);  // (N, T, D)
  for (size_t i = 0; i < blocks_.size(); ++i)
    walk.pass(*backend_, static_cast<int64_t>(i), tokens,
              [&] { blocks_[i](tokens, gather(*backend_, conditioning[i], rows)); });

  const auto [shift, scale] = chunk<2>(gather(*backend_, conditioning.back(), rows));  // 2 x (N, D)
  const Tensor out =
      final_linear_(modulated_norm(*backend_, tokens, shift, scale), Activation::none, DType::f32);
  return unpatchify(*backend_, out, config_.patch_size, H, W);  // (N, H, W, out_channels)
}

Tensor DiT::embed_patches(const Tensor& x, const Tensor& positions) const {
  Tensor tokens = x_embedder_(patchify(*backend_, x, config_.patch_size), Activation::none, DType::f32);
  add_rows(*backend_, tokens, positions);
  return tokens;
}

void DiT::check_extent(int64_t height, int64_t width) const {
  const int64_t p = config_.patch_size;
  check(height % p == 0 && width % p == 0, ErrorKind::usage, "latents of ", width, " x ", height,
        " do not divide into patches of ", p);
  check(pos_embed_is_sine_cosine_ || (height == config_.input_size && width == config_.input_size),
        ErrorKind::usage, "this checkpoint has a trained position table for ", config_.input_size, " x ",
        config_.input_size, " latents and cannot sample another size");
}

Tensor DiT::positions(int64_t height, int64_t width) const {
  check_extent(height, width);
  if (height == config_.input_size && width == config_.input_size) return pos_embed_;
  const int64_t p = config_.patch_size;
  return backend_->upload(sine_cosine_embedding(height / p, width / p, config_.hidden_size));
}

Tensor sine_cosine_embedding(int64_t rows, int64_t columns, int64_t width) {
  const int64_t quarter = width / 4;
  Tensor table({rows * columns, width}, DType::f32);
  for (int64_t token = 0; token < rows * columns; ++token)
    for (int64_t j = 0; j < width; ++j) {
      const int64_t part = j / quarter, i = j % quarter;  // parts: column sin, column cos, row sin, row cos
      const auto position = static_cast<double>(part < 2 ? token % columns : token / columns);
      const double angle =
          position * std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(quarter));
      table.data<float>()[token * width + j] =
          static_cast<float>(part % 2 == 0 ? std::sin(angle) : std::cos(angle));
    }
  return table;
}

}  // namespace tstitch
