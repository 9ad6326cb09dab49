// The text encoder of CLIP (Radford et al. 2021, arXiv 2103.00020), OpenAI's for Stable Diffusion 1 and
// OpenCLIP's for Stable Diffusion 2, one of each for SDXL, with transformers' key names (clip_text_keys.h
// reads others).
//
// N texts, S tokens, D width, P width of a text as a whole.
#pragma once

#include <cstdint>
#include <optional>
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
  int64_t projection = 0;                          // P; 0: a text is its tokens only

  bool operator==(const ClipTextConfig&) const = default;
};

// Reads the configuration off the shapes of a checkpoint with transformers' names. Heads are 64 wide; no
// shape shows the activation: quick_gelu where the width is that of OpenAI's, 768, else gelu. Throws
// Error{input}, naming the tensor, for shapes that are no text encoder's.
ClipTextConfig infer_clip_text_config(const WeightSource& weights);

// Numbers in its layers, those of a layer by its MLP's shape.
int64_t clip_text_layer_parameters(const WeightSource& weights);

// The width of a text as a whole, by the shape of text_projection.weight; 0 where there is none.
int64_t clip_projection(const WeightSource& weights);

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

// Which answers are asked of a text encoder.
struct ClipReading {
  int64_t skip = 0;        // last layers that the tokens do not pass: "clip skip" minus one
  bool normalised = true;  // the tokens, by the norm behind the last layer
  bool pooled = false;     // the text as a whole, too, which passes all layers
};

class ClipText {
 public:
  // Loads the layers that are needed. words: vectors of further tokens, (n, D) f32 on the host or empty,
  // whose ids follow those of the vocabulary. Throws Error{usage} unless the tokens pass a layer,
  // Error{input} naming the tensor when a weight is missing or misshapen.
  ClipText(const ClipTextConfig& config, const Weights& weights, const ClipReading& reading,
           const Tensor& words = {});

  struct Answer {
    Tensor tokens;  // (N, S, D) f32
    // (N, P) f32, or empty: the normalised first token of the vocabulary's highest id, which ends the text.
    Tensor pooled;
  };
  // ids: those of N texts one after the other, S <= positions of each, 0 ... vocabulary + n - 1
  // (Error{usage}).
  Answer operator()(std::span<const int32_t> ids, int64_t texts) const;

  const ClipTextConfig& config() const { return config_; }

 private:
  Tensor embedded(std::span<const int32_t> ids) const;  // (ids, D) f32
  Tensor pooled(const Tensor& x, std::span<const int32_t> ids) const;

  ClipTextConfig config_;
  ClipReading reading_;
  Backend* backend_;
  Tensor tokens_;     // (vocabulary, D)
  Tensor words_;      // (n, D), or empty
  Tensor positions_;  // (positions, D)
  std::vector<ClipBlock> blocks_;
  ClipNorm final_norm_;
  std::optional<Linear> projection_;  // D -> P
};

}  // namespace tstitch
