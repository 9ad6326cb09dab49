// The text encoder of CLIP (Radford et al. 2021, arXiv 2103.00020), OpenAI's for Stable Diffusion 1 and
// OpenCLIP's for Stable Diffusion 2, with transformers' key names (clip_text_keys.h reads others).
//
// N texts, S tokens, D width.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tstitch/nn/linear.h"
#include "tstitch/nn/weights.h"

namespace tstitch {

struct ClipTextConfig {
  int64_t vocabulary = 49408;
  int64_t positions = 77;  // the longest text, in tokens
  int64_t width = 768;     // D
  int64_t layers = 12;
  int64_t heads = 12;
  int64_t mlp_size = 3072;
  Activation activation = Activation::quick_gelu;  // OpenCLIP: gelu

  bool operator==(const ClipTextConfig&) const = default;
};

// Reads the configuration off the shapes of a checkpoint with transformers' names. Heads are 64 wide; no
// shape shows the activation: quick_gelu where the width is that of OpenAI's, 768, else gelu. Throws
// Error{input}, naming the tensor, for shapes that are no text encoder's.
ClipTextConfig infer_clip_text_config(const WeightSource& weights);

// The affine layer norm of CLIP, eps 1e-5.
class ClipNorm {
 public:
  ClipNorm(const Weights& weights, int64_t width);
  Tensor operator()(const Tensor& x) const;  // (N, S, D) f32 to the compute type

 private:
  Backend* backend_;
  Tensor gamma_, beta_;  // (D)
};

// x + attention to the tokens before, then x + mlp(x).
class ClipBlock {
 public:
  ClipBlock(const Weights& weights, const ClipTextConfig& config);
  void operator()(Tensor& x) const;  // (N, S, D) f32, in place

 private:
  Backend* backend_;
  int64_t heads_;
  Activation activation_;
  ClipNorm norm1_, norm2_;
  Linear qkv_, out_;  // D -> 3 D, D -> D
  Linear fc1_, fc2_;  // D -> mlp_size -> D
};

class ClipText {
 public:
  // skip: how many of the last layers to leave out and not to load ("clip skip" minus one; Stable Diffusion 2
  // was trained with 1). Throws Error{usage} unless one layer is left, Error{input} naming the tensor when a
  // weight is missing or misshapen.
  ClipText(const ClipTextConfig& config, const Weights& weights, int64_t skip);

  // ids: those of N texts one after the other, S <= positions of each, 0 ... vocabulary - 1 (Error{usage}).
  // Returns what the last layer gives, normalised: (N, S, D) f32.
  Tensor operator()(std::span<const int32_t> ids, int64_t texts) const;

  const ClipTextConfig& config() const { return config_; }

 private:
  ClipTextConfig config_;
  Backend* backend_;
  Tensor tokens_;     // (vocabulary, D)
  Tensor positions_;  // (positions, D)
  std::vector<ClipBlock> blocks_;
  ClipNorm final_norm_;
};

}  // namespace tstitch
