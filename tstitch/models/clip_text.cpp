#include "tstitch/models/clip_text.h"

#include <algorithm>
#include <array>

#include "tstitch/base/error.h"
#include "tstitch/ops/ops.h"

namespace tstitch {
namespace {

constexpr double kEps = 1e-5;  // of every layer norm
constexpr int64_t kHeadWidth = 64;
constexpr int64_t kMostLayers = 256;
constexpr const char* kProjection = "text_projection.weight";

// Queries, keys and values as one product.
Linear qkv_of(const Weights& weights, int64_t width) {
  Tensor w({3, width, width}, DType::f32), b({3, width}, DType::f32);
  constexpr std::array<const char*, 3> kParts = {"q_proj", "k_proj", "v_proj"};
  for (size_t i = 0; i < kParts.size(); ++i) {
    const Weights part = weights / kParts[i];
    const auto row = static_cast<int64_t>(i);
    std::copy_n(part.load("weight", {width, width}).data<float>(), width * width,
                w.slice(row, row + 1).data<float>());
    std::copy_n(part.load("bias", {width}).data<float>(), width, b.slice(row, row + 1).data<float>());
  }
  return Linear(weights.backend(), w.reshape({3 * width, width}), b.reshape({3 * width}));
}

std::optional<Linear> projection_of(const Weights& weights, const ClipTextConfig& config,
                                    const ClipReading& reading) {
  if (!reading.pooled) return std::nullopt;
  check(config.projection > 0, ErrorKind::input, "a text encoder that gives only tokens: it has no tensor \"",
        weights.name(kProjection), "\"");
  return Linear(weights.backend(), weights.load(kProjection, {config.projection, config.width}), {});
}

std::vector<ClipBlock> blocks_of(const Weights& weights, const ClipTextConfig& config, int64_t layers) {
  std::vector<ClipBlock> blocks;
  for (int64_t i = 0; i < layers; ++i) blocks.emplace_back(weights / concat("encoder.layers.", i), config);
  return blocks;
}

// The shape of a matrix that must be there.
Shape matrix_of(const WeightSource& weights, const std::string& name) {
  const auto shape = weights.shape(name);
  check(shape.has_value(), ErrorKind::input, "not a CLIP text encoder: it has no tensor \"", name, "\"");
  check(shape->rank() == 2, ErrorKind::input, "tensor \"", name, "\" has the shape ", *shape,
        ", expected a matrix");
  return *shape;
}

}  // namespace

int64_t clip_projection(const WeightSource& weights) {
  return weights.shape(kProjection) ? matrix_of(weights, kProjection)[0] : 0;
}

ClipTextConfig infer_clip_text_config(const WeightSource& weights) {
  const Shape tokens = matrix_of(weights, "embeddings.token_embedding.weight");
  ClipTextConfig config;
  config.vocabulary = tokens[0];
  config.width = tokens[1];
  config.positions = matrix_of(weights, "embeddings.position_embedding.weight")[0];
  config.mlp_size = matrix_of(weights, "encoder.layers.0.mlp.fc1.weight")[0];
  for (config.layers = 1; config.layers < kMostLayers; ++config.layers)
    if (!weights.shape(concat("encoder.layers.", config.layers, ".mlp.fc1.weight"))) break;
  check(config.width % kHeadWidth == 0, ErrorKind::input, "a text encoder of width ", config.width,
        ", expected a multiple of ", kHeadWidth);
  config.heads = config.width / kHeadWidth;
  config.activation = config.width == 768 ? Activation::quick_gelu : Activation::gelu;
  config.projection = clip_projection(weights);
  return config;
}

int64_t clip_text_layer_parameters(const WeightSource& weights) {
  int64_t sum = 0;
  for (int64_t layer = 0; layer < kMostLayers; ++layer) {
    const auto fc1 = weights.shape(concat("encoder.layers.", layer, ".mlp.fc1.weight"));
    if (!fc1 || fc1->rank() != 2) break;
    const int64_t M = (*fc1)[0], D = (*fc1)[1];
    const int64_t attention = 4 * (D * D + D), mlp = 2 * D * M + M + D, norms = 4 * D;
    sum += attention + mlp + norms;
  }
  return sum;
}

ClipNorm::ClipNorm(const Weights& weights, int64_t width)
    : backend_(&weights.backend()),
      gamma_(backend_->upload(weights.load("weight", {width}))),
      beta_(backend_->upload(weights.load("bias", {width}))) {}

Tensor ClipNorm::operator()(const Tensor& x) const { return layer_norm(*backend_, x, gamma_, beta_, kEps); }

ClipBlock::ClipBlock(const Weights& weights, const ClipTextConfig& config)
    : backend_(&weights.backend()),
      heads_(config.heads),
      activation_(config.activation),
      norm1_(weights / "layer_norm1", config.width),
      norm2_(weights / "layer_norm2", config.width),
      qkv_(qkv_of(weights / "self_attn", config.width)),
      out_(weights / "self_attn.out_proj", config.width, config.width),
      fc1_(weights / "mlp.fc1", config.width, config.mlp_size),
      fc2_(weights / "mlp.fc2", config.mlp_size, config.width) {}

void ClipBlock::operator()(Tensor& x) const {
  const auto [q, k, v] = chunk<3>(qkv_(norm1_(x)));  // 3 x (N, S, D)
  out_.add_to(x, causal_attention(*backend_, q, k, v, heads_));
  fc2_.add_to(x, fc1_(norm2_(x), activation_));
}

ClipText::ClipText(const ClipTextConfig& config, const Weights& weights, const ClipReading& reading,
                   const Tensor& words)
    : config_(config),
      reading_(reading),
      backend_(&weights.backend()),
      tokens_(backend_->upload(
          (weights / "embeddings.token_embedding").load("weight", {config.vocabulary, config.width}))),
      words_(words ? backend_->upload(words) : Tensor()),
      positions_(backend_->upload(
          (weights / "embeddings.position_embedding").load("weight", {config.positions, config.width}))),
      blocks_(blocks_of(weights, config, config.layers - (reading.pooled ? 0 : reading.skip))),
      final_norm_(weights / "final_layer_norm", config.width),
      projection_(projection_of(weights, config, reading)) {
  check(0 <= reading.skip && reading.skip < config.layers, ErrorKind::usage, "a clip skip of ",
        reading.skip + 1, ", expected 1 ... ", config.layers, " for a text encoder of ", config.layers,
        " layers");
}

ClipText::Answer ClipText::operator()(std::span<const int32_t> ids, int64_t texts) const {
  const int64_t S = texts > 0 ? std::ssize(ids) / texts : 0;
  check_internal(S > 0 && S * texts == std::ssize(ids) && S <= config_.positions, "[clip_text] ", ids.size(),
                 " tokens of ", texts, " texts");
  const int64_t known = config_.vocabulary + (words_ ? words_.extent(0) : 0);
  for (const int32_t id : ids)
    check(0 <= id && id < known, ErrorKind::usage, "token ", id, ", but the text encoder knows ", known);
  Tensor x = embedded(ids).reshape({texts, S, config_.width});
  add_rows(*backend_, x, positions_.slice(0, S));
  const auto passed = blocks_.begin() + (config_.layers - reading_.skip);
  std::for_each(blocks_.begin(), passed, [&](const ClipBlock& block) { block(x); });
  Answer answer{.tokens = reading_.normalised ? cast(*backend_, final_norm_(x), DType::f32)
                          : reading_.pooled   ? combine(*backend_, {{1, &x}})
                                              : x,
                .pooled = {}};
  std::for_each(passed, blocks_.end(), [&](const ClipBlock& block) { block(x); });
  if (reading_.pooled) answer.pooled = pooled(x, ids);
  return answer;
}

Tensor ClipText::embedded(std::span<const int32_t> ids) const {
  std::vector<int64_t> rows(ids.begin(), ids.end()), places, words;  // places: of the words among the ids
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] < config_.vocabulary) continue;
    places.push_back(static_cast<int64_t>(i));
    words.push_back(rows[i] - config_.vocabulary);
    rows[i] = 0;
  }
  Tensor x = gather(*backend_, tokens_, rows);
  if (!places.empty()) scatter(*backend_, x, places, gather(*backend_, words_, words));
  return x;
}

Tensor ClipText::pooled(const Tensor& x, std::span<const int32_t> ids) const {
  const int64_t N = x.extent(0), S = x.extent(1);
  std::vector<int64_t> ends;
  for (int64_t first = 0; first < N * S; first += S) {
    const auto text = ids.subspan(static_cast<size_t>(first), static_cast<size_t>(S));
    const auto end =
        std::ranges::max_element(text, {}, [&](int32_t id) { return id < config_.vocabulary ? id : -1; });
    ends.push_back(first + (end - text.begin()));
  }
  const Tensor last = gather(*backend_, x.reshape({N * S, config_.width}), ends);
  return (*projection_)(final_norm_(last.reshape({N, 1, config_.width})), Activation::none, DType::f32)
      .reshape({N, config_.projection});
}

}  // namespace tstitch
