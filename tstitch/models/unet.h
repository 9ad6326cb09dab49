// The U-Net of latent diffusion (Rombach et al. 2022, arXiv 2112.10752) and its descendants (unet_config.h),
// with diffusers' key names (unet_keys.h reads others).
//
// N batch, T tokens of the picture, S tokens of the context, C channels of a level, R rows of a time table.
#pragma once

#include <span>
#include <variant>
#include <vector>

#include "tstitch/base/function_ref.h"
#include "tstitch/models/block_walk.h"
#include "tstitch/models/token_merging.h"
#include "tstitch/models/unet_config.h"
#include "tstitch/nn/conv2d.h"
#include "tstitch/nn/group_norm.h"
#include "tstitch/nn/linear.h"
#include "tstitch/nn/weights.h"

namespace tstitch {

// x + conv2(silu(norm2(conv1(silu(norm1(x))) + time))), with a 1 x 1 convolution of x where the channels
// change.
class UNetResnet {
 public:
  UNetResnet(const Weights& weights, const UNetConfig& config, const UNetLayer& layer);

  // x: (N, H, W, inputs), time: (N, outputs) f32. Returns (N, H, W, outputs) of the compute type.
  Tensor operator()(const Tensor& x, const Tensor& time) const;

 private:
  Backend* backend_;
  GroupNorm norm1_;
  Conv2d conv1_;
  GroupNorm norm2_;
  Conv2d conv2_;
  std::optional<Conv2d> shortcut_;
};

// Self-attention, attention to the context and a gated MLP, each added to its input.
class UNetTransformerBlock {
 public:
  UNetTransformerBlock(const Weights& weights, int64_t channels, int64_t heads, int64_t context_width);

  // What a context, (S, context_width) f32, is to this block: keys and values side by side, (S, 2 C) of the
  // compute type. The softmax over one key is 1 for every query: of one token of context it is what is added
  // to each token of the picture, (1, C) f32.
  Tensor condition(const Tensor& context) const;

  // x: (N, T, C) f32, in place. contexts: N of what `condition` gave, all of them of one token or none.
  // groups: of the tokens that attend to each other as one; or null.
  void operator()(Tensor& x, std::span<const Tensor* const> contexts, const TokenGroups* groups) const;

 private:
  // The affine weights of a layer norm.
  struct Norm {
    Norm(const Weights& weights, int64_t channels);
    Tensor gamma, beta;  // (C)
  };

  Backend* backend_;
  int64_t heads_;
  Norm norm1_, norm2_, norm3_;
  Linear qkv_, out1_;      // C -> 3 C, C -> C
  Linear q_, kv_, out2_;   // C -> C, context_width -> 2 C, C -> C
  Linear ff_in_, ff_out_;  // C -> 8 C, of which half are gates; 4 C -> C
};

// The transformer blocks of one layer, over the pixels as tokens, added to the picture.
class UNetTransformer {
 public:
  UNetTransformer(const Weights& weights, const UNetConfig& config, const UNetLayer& layer);

  // x: (N, H, W, C) of the compute type, in place; contexts: N for each block. first: the number of the first
  // block, for merging, or null, and walk.
  void operator()(Tensor& x, std::span<const Tensor* const> contexts, int64_t first,
                  const TokenMerging* merging = nullptr, const BlockWalk& walk = {}) const;

  const std::vector<UNetTransformerBlock>& blocks() const { return blocks_; }

 private:
  Backend* backend_;
  GroupNorm norm_;
  Conv2d proj_in_, proj_out_;
  std::vector<UNetTransformerBlock> blocks_;
};

// The sinusoids by which a distilled U-Net is told the scale w of guidance (Luo et al. 2023, arXiv
// 2310.04378, section 4.3; diffusers' get_guidance_scale_embedding): sin, then cos, of 1000 (w - 1) at
// frequencies from 1 down to 1e-4, both ends included. Returns (R, width) f32 on the host; an odd last column
// is 0.
Tensor guidance_embedding(std::span<const double> w, int64_t width);

// The layers of a U-Net, or of the part of it that a ControlNet copies, and what they are told: the timestep
// and the context.
class UNetBody {
 public:
  // What a context, (S, context_width) f32, is to every transformer block, in order of use. It does not
  // change along the trajectory.
  using Context = std::vector<Tensor>;
  Context condition(const Tensor& context) const;

  // What the timestep, and of networks that have them the added condition (R, added_width) f32 and the scale
  // of guidance (guidance_embedding), are to every resnet: (R, time_columns()) f32. It does not depend on x,
  // so that the rows of many steps are one product.
  Tensor time_table(std::span<const double> t, const Tensor& added = {},
                    std::span<const double> guidance = {}) const;
  int64_t time_columns() const { return time_columns_; }

  const UNetConfig& config() const { return config_; }
  Backend& backend() const { return *backend_; }

 protected:
  struct Layer {
    UNetLayer what;
    std::variant<UNetResnet, UNetTransformer, Conv2d> part;
    int64_t first = 0;  // of a resnet: its first column of a time table; of a transformer: its first context
  };

  UNetBody(const UNetConfig& config, const std::vector<UNetLayer>& layers, const Weights& weights);

  const Conv2d& conv_in() const { return conv_in_; }
  const std::vector<Layer>& layers() const { return layers_; }
  // Of a layer that is no upsample, which the way down has not. x: (N, H, W, inputs) of the compute type,
  // which a transformer changes in place; time, contexts: as of the whole network; merging: or null; walk:
  // through the transformer's blocks. Returns (N, H', W', outputs).
  Tensor apply(const Layer& layer, Tensor x, const Tensor& time, std::span<const Tensor* const> contexts,
               const TokenMerging* merging = nullptr, const BlockWalk& walk = {}) const;

 private:
  UNetConfig config_;
  Backend* backend_;
  Linear time_0_, time_2_;                   // block_out_channels[0] -> E -> E
  std::optional<Linear> guidance_;           // guidance_width -> block_out_channels[0]
  std::optional<Linear> added_0_, added_2_;  // added_width -> E -> E
  Linear time_projections_;                  // E -> time columns, of all resnets
  Conv2d conv_in_;
  std::vector<Layer> layers_;
  int64_t time_columns_ = 0;
};

class UNet : public UNetBody {
 public:
  // Throws Error{input} for a configuration that is no U-Net, and naming the tensor when a weight is missing
  // or misshapen.
  UNet(const UNetConfig& config, const Weights& weights);

  // x: (N, H, W, in_channels) f32; time: a row of a time table for each image; contexts: of every block, in
  // order of use, those of the N images. Returns (N, H, W, out_channels) f32.
  Tensor operator()(const Tensor& x, const Tensor& time, std::span<const Tensor* const> contexts) const;
  // The same, with every skip before it is read, and what the middle gives as one more of them, changed in
  // place: steer(k, skip), skips counted in order of keeping, the middle last. Of networks with a middle.
  using Steer = FunctionRef<void(size_t k, Tensor& skip)>;
  Tensor operator()(const Tensor& x, const Tensor& time, std::span<const Tensor* const> contexts,
                    Steer steer) const;

  // Ways to less work.
  struct Shortcuts {
    const TokenMerging* merging = nullptr;  // in the blocks of full resolution
    // DeepCache (Ma et al. 2023, arXiv 2312.00858): what the layers beyond that skip, counted in order of
    // keeping, give the one that reads it, (N, H, W, C) of the compute type. Is put there, or taken from
    // there: then those layers are not evaluated.
    Tensor* beyond = nullptr;
    int64_t skip = 0;
    bool taken = false;
    BlockWalk walk = {};  // through all transformers' blocks, counted in order of use
  };
  Tensor operator()(const Tensor& x, const Tensor& time, std::span<const Tensor* const> contexts,
                    const Shortcuts& shortcuts) const;

 private:
  Tensor evaluate(const Tensor& x, const Tensor& time, std::span<const Tensor* const> contexts, Steer steer,
                  const Shortcuts& shortcuts) const;

  GroupNorm norm_out_;
  Conv2d conv_out_;
};

}  // namespace tstitch
