#include "tstitch/models/unet.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/ops/ops.h"

namespace tstitch {
namespace {

using Kind = UNetLayer::Kind;

constexpr double kTransformerEps = 1e-6;  // of the group norm in front of a transformer
constexpr double kLayerNormEps = 1e-5;

// A map of channels, stored as (C, C) or as a 1 x 1 convolution.
Conv2d projection(const Weights& weights, int64_t channels) {
  const auto found = weights.shape("weight");
  const Shape kernel = {channels, channels, 1, 1}, matrix = {channels, channels},
              stored = found && found->rank() == 4 ? kernel : matrix;
  const Tensor b = weights.load("bias", {channels});
  Backend& backend = weights.backend();
  if (!weights.int8())
    return Conv2d(backend, weights.load("weight", stored, backend.compute_dtype()).reshape(kernel), b);
  Int8Weight w = weights.load_int8("weight", stored);
  w.values = w.values.reshape(kernel);
  return Conv2d(backend, w, b);
}

// The time projections of all resnets, one below the other: their rows are consecutive columns of the table.
Linear time_projections(const Weights& weights, const std::vector<UNetLayer>& layers, int64_t E) {
  int64_t columns = 0;
  for (const UNetLayer& layer : layers)
    if (layer.kind == Kind::resnet) columns += layer.outputs;
  const DType dtype = weights.backend().compute_dtype();
  Tensor w({columns, E}, dtype), b({columns, 1}, DType::f32);
  int64_t column = 0;
  const auto put = [&](Tensor& all, const Tensor& part) {
    std::memcpy(all.slice(column, column + part.extent(0)).bytes(), part.bytes(),
                static_cast<size_t>(part.elements() * size_of(part.dtype())));
  };
  for (const UNetLayer& layer : layers) {
    if (layer.kind != Kind::resnet) continue;
    const Weights projection = weights / layer.name / "time_emb_proj";
    put(w, projection.load("weight", {layer.outputs, E}, dtype));
    put(b, projection.load("bias", {layer.outputs}));
    column += layer.outputs;
  }
  return Linear(weights.backend(), w, b.reshape({columns}));
}

}  // namespace

UNetResnet::UNetResnet(const Weights& weights, const UNetConfig& config, const UNetLayer& layer)
    : backend_(&weights.backend()),
      norm1_(weights / "norm1", layer.inputs, config.norm_num_groups, config.norm_eps),
      conv1_(weights / "conv1", layer.inputs, layer.outputs, 3, norm1_, Activation::silu),
      norm2_(weights / "norm2", layer.outputs, config.norm_num_groups, config.norm_eps),
      conv2_(weights / "conv2", layer.outputs, layer.outputs, 3, norm2_, Activation::silu) {
  if (layer.inputs != layer.outputs)
    shortcut_.emplace(weights / "conv_shortcut", layer.inputs, layer.outputs, 1);
}

Tensor UNetResnet::operator()(const Tensor& x, const Tensor& time) const {
  const Tensor norm1 = norm1_(x);
  Conv2dPath path = same_of_silu(norm1);
  path.image_bias = &time;
  const Tensor h = conv1_(x, path);
  const Tensor norm2 = norm2_(h);
  Tensor sum = shortcut_ ? (*shortcut_)(x, {}) : repeat(*backend_, x, 1);
  conv2_.add_to(sum, h, same_of_silu(norm2));
  return sum;
}

UNetTransformerBlock::Norm::Norm(const Weights& weights, int64_t channels)
    : gamma(weights.backend().upload(weights.load("weight", {channels}))),
      beta(weights.backend().upload(weights.load("bias", {channels}))) {}

UNetTransformerBlock::UNetTransformerBlock(const Weights& weights, int64_t channels, int64_t heads,
                                           int64_t context_width)
    : backend_(&weights.backend()),
      heads_(heads),
      norm1_(weights / "norm1", channels),
      norm2_(weights / "norm2", channels),
      norm3_(weights / "norm3", channels),
      qkv_(weights / "attn1", {"to_q", "to_k", "to_v"}, channels, channels),
      out1_(weights / "attn1" / "to_out.0", channels, channels),
      q_(weights / "attn2", {"to_q"}, channels, channels),
      kv_(weights.whole() / "attn2", {"to_k", "to_v"}, context_width, channels),
      out2_(weights / "attn2" / "to_out.0", channels, channels),
      ff_in_(weights / "ff.net.0.proj", channels, 8 * channels),
      ff_out_(weights / "ff.net.2", 4 * channels, channels) {}

Tensor UNetTransformerBlock::condition(const Tensor& context) const {
  const Tensor keys_values = kv_(context);
  if (context.extent(0) > 1) return keys_values;
  return out2_(chunk<2>(keys_values)[1], Activation::none, DType::f32);
}

void UNetTransformerBlock::operator()(Tensor& x, std::span<const Tensor* const> contexts,
                                      const TokenGroups* groups) const {
  const int64_t N = x.extent(0), T = x.extent(1), C = x.extent(2);
  const auto norm = [&](const Norm& n) {
    return layer_norm(*backend_, x, n.gamma, n.beta, kLayerNormEps);  // (N, T, C)
  };
  const auto attend = [&](const Tensor& tokens) {
    const auto [q, k, v] = chunk<3>(qkv_(tokens));  // 3 x (N, T, C)
    return attention(*backend_, q, k, v, heads_);
  };
  if (groups)
    groups->add_to(x, out1_(attend(groups->merge(norm(norm1_))), Activation::none, DType::f32));
  else
    out1_.add_to(x, attend(norm(norm1_)));

  if (contexts[0]->columns() == C) {  // of one token
    for (int64_t n = 0; n < N; ++n) {
      Tensor tokens = x.slice(n, n + 1).reshape({T, 1, C});
      add_rows(*backend_, tokens, *contexts[static_cast<size_t>(n)]);
    }
  } else {
    out2_.add_to(x, cross_attention(*backend_, q_(norm(norm2_)), contexts, heads_));
  }
  ff_out_.add_to(x, geglu(*backend_, ff_in_(norm(norm3_))));
}

UNetTransformer::UNetTransformer(const Weights& weights, const UNetConfig& config, const UNetLayer& layer)
    : backend_(&weights.backend()),
      norm_(weights / "norm", layer.outputs, config.norm_num_groups, kTransformerEps),
      proj_in_(projection(weights / "proj_in", layer.outputs)),
      proj_out_(projection(weights / "proj_out", layer.outputs)) {
  for (int64_t i = 0; i < layer.depth; ++i)
    blocks_.emplace_back(weights / concat("transformer_blocks.", i), layer.outputs, layer.heads,
                         config.context_width);
}

void UNetTransformer::operator()(Tensor& x, std::span<const Tensor* const> contexts, int64_t first,
                                 const TokenMerging* merging, const BlockWalk& walk) const {
  const Tensor norm = norm_(x);
  Tensor tokens = proj_in_(x, {.norm = &norm}, Activation::none, DType::f32)
                      .reshape({x.extent(0), x.extent(1) * x.extent(2), x.extent(3)});  // (N, T, C)
  const auto N = static_cast<size_t>(x.extent(0));
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const int64_t number = first + static_cast<int64_t>(i);
    walk.pass(*backend_, number, tokens, [&] {
      std::optional<TokenGroups> groups;
      if (merging) groups.emplace(*backend_, tokens, Extent2d(x.extent(1), x.extent(2)), *merging, number);
      blocks_[i](tokens, contexts.subspan(i * N, N), groups ? &*groups : nullptr);
    });
  }
  proj_out_.add_to(x, tokens.reshape(x.shape()), {});
}

UNetBody::UNetBody(const UNetConfig& config, const std::vector<UNetLayer>& layers, const Weights& weights)
    : config_(config),
      backend_(&weights.backend()),
      time_0_(weights / "time_embedding.linear_1", config.channels(0), config.time_width()),
      time_2_(weights / "time_embedding.linear_2", config.time_width(), config.time_width()),
      time_projections_(time_projections(weights, layers, config.time_width())),
      conv_in_(weights / "conv_in", config.in_channels, config.channels(0), 3) {
  if (config.guidance_width > 0)
    guidance_.emplace(weights / "time_embedding", std::initializer_list<const char*>{"cond_proj"},
                      config.guidance_width, config.channels(0));
  if (config.added_width > 0) {
    added_0_.emplace(weights / "add_embedding.linear_1", config.added_width, config.time_width());
    added_2_.emplace(weights / "add_embedding.linear_2", config.time_width(), config.time_width());
  }
  int64_t transformer_blocks = 0;
  for (const UNetLayer& layer : layers) {
    const Weights of_layer = weights.body() / layer.name;
    switch (layer.kind) {
      case Kind::resnet: {
        layers_.push_back({layer, UNetResnet(of_layer, config, layer), time_columns_});
        time_columns_ += layer.outputs;
        break;
      }
      case Kind::transformer: {
        layers_.push_back({layer, UNetTransformer(of_layer, config, layer), transformer_blocks});
        transformer_blocks += layer.depth;
        break;
      }
      case Kind::downsample:
      case Kind::upsample:
        layers_.push_back({layer, Conv2d(of_layer, layer.inputs, layer.outputs, 3)});
    }
  }
}

UNetBody::Context UNetBody::condition(const Tensor& context) const {
  if (config_.context_width == 0) return {};  // of a way down without transformers
  check_internal(context.shape().rank() == 2 && context.columns() == config_.context_width, "a context ",
                 context.shape(), " for a U-Net of width ", config_.context_width);
  Context contexts;
  for (const Layer& layer : layers_)
    if (const auto* transformer = std::get_if<UNetTransformer>(&layer.part))
      for (const UNetTransformerBlock& block : transformer->blocks())
        contexts.push_back(block.condition(context));
  return contexts;
}

Tensor guidance_embedding(std::span<const double> w, int64_t width) {
  const auto R = std::ssize(w);
  const int64_t half = width / 2;
  Tensor embedding({R, width}, DType::f32);
  std::fill_n(embedding.data<float>(), embedding.elements(), 0.0f);
  for (int64_t r = 0; r < R; ++r)
    for (int64_t i = 0; i < half; ++i) {
      const double angle = 1000 * (w[static_cast<size_t>(r)] - 1) *
                           std::pow(1e-4, static_cast<double>(i) / static_cast<double>(half - 1));
      float* row = embedding.data<float>() + r * width;
      row[i] = static_cast<float>(std::sin(angle));
      row[half + i] = static_cast<float>(std::cos(angle));
    }
  return embedding;
}

Tensor UNetBody::time_table(std::span<const double> t, const Tensor& added,
                            std::span<const double> guidance) const {
  check_internal(bool(added) == bool(added_0_), "a U-Net ", added_0_ ? "needs" : "has no",
                 " added condition");
  check_internal(!guidance_ || guidance.size() == t.size(), t.size(), " timesteps of a U-Net with ",
                 guidance.size(), " scales of guidance");
  const auto mlp = [](const Linear& linear_0, const Linear& linear_2, const Tensor& x) {
    return linear_2(linear_0(x, Activation::silu), Activation::none, DType::f32);
  };
  Tensor sinusoids = timestep_embedding(*backend_, t, config_.channels(0));  // (R, C)
  if (guidance_)
    guidance_->add_to(sinusoids, backend_->upload(guidance_embedding(guidance, config_.guidance_width)));
  Tensor emb = mlp(time_0_, time_2_, sinusoids);  // (R, E)
  if (added_0_) {
    const Tensor added_emb = mlp(*added_0_, *added_2_, added);
    emb = combine(*backend_, {{1, &emb}, {1, &added_emb}});
  }
  return time_projections_(silu(*backend_, emb), Activation::none, DType::f32);
}

Tensor UNetBody::apply(const Layer& layer, Tensor x, const Tensor& time,
                       std::span<const Tensor* const> contexts, const TokenMerging* merging,
                       const BlockWalk& walk) const {
  const auto& [what, part, first] = layer;
  if (const auto* resnet = std::get_if<UNetResnet>(&part))
    return (*resnet)(x, time.slice_columns(first, first + what.outputs));
  if (const auto* transformer = std::get_if<UNetTransformer>(&part)) {
    const auto N = static_cast<size_t>(x.extent(0)), block = static_cast<size_t>(first),
               blocks = static_cast<size_t>(what.depth);
    (*transformer)(x, contexts.subspan(block * N, blocks * N), first, what.level == 0 ? merging : nullptr,
                   walk);
    return x;
  }
  return std::get<Conv2d>(part)(x, {.stride = 2, .pad_before = 1, .pad_after = 1});
}

UNet::UNet(const UNetConfig& config, const Weights& weights)
    : UNetBody(config, unet_layers(config), weights),
      norm_out_(weights / "conv_norm_out", config.channels(0), config.norm_num_groups, config.norm_eps),
      conv_out_(weights / "conv_out", config.channels(0), config.out_channels, 3) {}

Tensor UNet::operator()(const Tensor& x, const Tensor& time, std::span<const Tensor* const> contexts) const {
  return (*this)(x, time, contexts, Shortcuts());
}

Tensor UNet::operator()(const Tensor& x, const Tensor& time, std::span<const Tensor* const> contexts,
                        Steer steer) const {
  return evaluate(x, time, contexts, steer, {});
}

Tensor UNet::operator()(const Tensor& x, const Tensor& time, std::span<const Tensor* const> contexts,
                        const Shortcuts& shortcuts) const {
  return evaluate(
      x, time, contexts, [](size_t, Tensor&) {}, shortcuts);
}

Tensor UNet::evaluate(const Tensor& image, const Tensor& time, std::span<const Tensor* const> contexts,
                      Steer steer, const Shortcuts& shortcuts) const {
  const auto& [merging, beyond, beyond_skip, taken, walk] = shortcuts;
  std::array<Tensor, kMostSkips> skips;
  size_t kept = 0;
  Tensor x = skips[kept++] = conv_in()(image, same());
  bool on_the_way_up = false;
  for (const Layer& layer : layers()) {
    if (taken && layer.what.open > beyond_skip) continue;
    if (layer.what.skip > 0) {
      if (beyond && layer.what.open == beyond_skip) {
        if (taken)
          x = *beyond;
        else
          *beyond = x;
      }
      if (!std::exchange(on_the_way_up, true)) steer(kept, x);
      Tensor skip = std::exchange(skips[--kept], {});
      steer(kept, skip);
      x = concat_columns(backend(), x, skip);
    }
    if (layer.what.kind == Kind::upsample) {
      const Tensor& skip = skips[kept - 1];  // whose extent it is to have
      const Extent2d cut = {2 * x.extent(1) - skip.extent(1), 2 * x.extent(2) - skip.extent(2)};
      x = std::get<Conv2d>(layer.part)(x, {.pad_before = 1, .pad_after = 1, .upsample = true, .cut = cut});
    } else {
      x = apply(layer, std::move(x), time, contexts, merging, walk);
    }
    if (layer.what.is_kept) skips[kept++] = x;
  }
  const Tensor norm = norm_out_(x);
  return conv_out_(x, same_of_silu(norm), Activation::none, DType::f32);
}

}  // namespace tstitch
