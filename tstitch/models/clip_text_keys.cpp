#include "tstitch/models/clip_text_keys.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

#include "tstitch/base/error.h"

namespace tstitch {
namespace {

// Behind each, the first tensor tells whose names they are.
constexpr std::string_view kFirst[] = {"",
                                       "text_model.",
                                       "text_encoder.text_model.",
                                       "cond_stage_model.transformer.text_model.",
                                       "cond_stage_model.transformer.",
                                       "cond_stage_model.model.",
                                       "cond_stage_model.",
                                       "conditioner.embedders.0.transformer.text_model.",
                                       "conditioner.embedders.0.transformer."};
constexpr std::string_view kSecond[] = {"",
                                        "text_model.",
                                        "text_encoder_2.text_model.",
                                        "cond_stage_model.1.transformer.text_model.",
                                        "conditioner.embedders.1.model.",
                                        "conditioner.embedders.0.model."};
constexpr std::string_view kTransformers = "embeddings.token_embedding.weight";
constexpr std::string_view kOpenClip = "token_embedding.weight";

using Renaming = std::pair<std::string_view, std::string_view>;  // of a part of a name

constexpr std::string_view kProjection = "text_projection.weight", kTransformersPart = "text_model.";
constexpr std::string_view kOpenClipProjection = "text_projection";

constexpr Renaming kRenamings[] = {{"embeddings.token_embedding.weight", "token_embedding.weight"},
                                   {"embeddings.position_embedding.weight", "positional_embedding"},
                                   {"encoder.layers.", "transformer.resblocks."},
                                   {".layer_norm1.", ".ln_1."},
                                   {".layer_norm2.", ".ln_2."},
                                   {".mlp.fc1.", ".mlp.c_fc."},
                                   {".mlp.fc2.", ".mlp.c_proj."},
                                   {".self_attn.out_proj.", ".attn.out_proj."},
                                   {"final_layer_norm.", "ln_final."}};
constexpr std::array<std::string_view, 3> kThirds = {".self_attn.q_proj.", ".self_attn.k_proj.",
                                                     ".self_attn.v_proj."};
constexpr std::string_view kJoined = ".self_attn.in_proj.", kOpenClipJoined = ".attn.in_proj_";

bool has(const WeightSource& source, std::string_view prefix, std::string_view name) {
  return source.shape(concat(prefix, name)).has_value();
}

std::span<const std::string_view> prefixes_of(ClipPlace place) {
  if (place == ClipPlace::first) return kFirst;
  return kSecond;
}

// (M, K) to (K, M).
Tensor transposed(const Tensor& x) {
  const int64_t M = x.extent(0), K = x.extent(1);
  const auto size = static_cast<size_t>(size_of(x.dtype()));
  Tensor y({K, M}, x.dtype());
  for (int64_t i = 0; i < M * K; ++i)
    std::memcpy(y.bytes() + static_cast<size_t>(i % K * M + i / K) * size,
                x.bytes() + static_cast<size_t>(i) * size, size);
  return y;
}

}  // namespace

bool ClipTextKeys::recognises(const WeightSource& source, ClipPlace place) {
  return std::ranges::any_of(prefixes_of(place), [&](std::string_view prefix) {
    return has(source, prefix, kTransformers) || has(source, prefix, kOpenClip);
  });
}

ClipTextKeys::ClipTextKeys(const WeightSource& source, ClipPlace place) : source_(source) {
  check(recognises(source, place), ErrorKind::input, "not a CLIP text encoder: it has no tensor \"",
        kTransformers, "\" or \"", kOpenClip, "\"");
  for (const std::string_view prefix : prefixes_of(place)) {
    is_openclip_ = has(source, prefix, kOpenClip);
    prefix_ = prefix;
    if (!is_openclip_ && !has(source, prefix, kTransformers)) continue;
    is_joined_ = is_openclip_ || has(source, prefix, concat("encoder.layers.0", kJoined, "weight"));
    return;
  }
}

ClipTextKeys::Place ClipTextKeys::place_of(const std::string& name) const {
  Place place{.name = name};
  if (name == kProjection) {  // behind the prefix of the model, not of its part that gives tokens
    place.name = concat(prefix_, kOpenClipProjection);
    place.transposed = is_openclip_ || source_.shape(place.name);
    if (place.transposed) return place;
    std::string_view prefix = prefix_;
    if (prefix.ends_with(kTransformersPart)) prefix.remove_suffix(kTransformersPart.size());
    place.name = concat(prefix, kProjection);
    return place;
  }
  if (is_joined_)
    for (size_t i = 0; i < kThirds.size(); ++i)
      if (const size_t at = place.name.find(kThirds[i]); at != std::string::npos) {
        place.third = static_cast<int64_t>(i);
        place.name.replace(at, kThirds[i].size(), is_openclip_ ? kOpenClipJoined : kJoined);
      }
  if (is_openclip_) {
    for (const auto& [from, to] : kRenamings)
      if (const size_t at = place.name.find(from); at != std::string::npos)
        place.name.replace(at, from.size(), to);
  }
  place.name = prefix_ + place.name;
  return place;
}

std::optional<Shape> ClipTextKeys::shape(const std::string& name) const {
  const Place place = place_of(name);
  const auto stored = source_.shape(place.name);
  if (stored && place.transposed && stored->rank() == 2) return Shape({(*stored)[1], (*stored)[0]});
  if (!stored || place.third < 0) return stored;
  std::vector<int64_t> extents(stored->extents().begin(), stored->extents().end());
  if (extents.empty()) return std::nullopt;
  extents[0] /= 3;
  return Shape(extents);
}

Tensor ClipTextKeys::load(const std::string& name, const Shape& expected, DType dtype) const {
  const Place place = place_of(name);
  if (place.transposed) return transposed(source_.load(place.name, {expected[1], expected[0]}, dtype));
  if (place.third < 0) return source_.load(place.name, expected, dtype);
  std::vector<int64_t> extents(expected.extents().begin(), expected.extents().end());
  const int64_t rows = extents[0];
  extents[0] *= 3;
  const Tensor all = source_.load(place.name, Shape(extents), dtype);
  Tensor third(expected, dtype);
  std::memcpy(third.bytes(), all.slice(place.third * rows, (place.third + 1) * rows).bytes(),
              static_cast<size_t>(third.elements() * size_of(dtype)));
  return third;
}

}  // namespace tstitch
