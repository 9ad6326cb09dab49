// The names a CLIP text encoder's tensors have: a checkpoint of any of them, read as if it had transformers'.
#pragma once

#include <string>

#include "tstitch/nn/weights.h"

namespace tstitch {

// Knows, with and without the "text_model." of transformers' classes:
//   encoder.layers.0.self_attn.q_proj                              transformers
//   text_encoder.text_model.encoder.layers.0. ...                  the same, beside "unet." and "vae."
//   cond_stage_model.transformer.encoder.layers.0. ...             Stable Diffusion 1, in checkpoints of all
//   cond_stage_model.model.transformer.resblocks.0.attn.in_proj    Stable Diffusion 2, OpenCLIP's own names,
//   which
//                                                                  keep queries, keys and values in one
//                                                                  matrix
class ClipTextKeys final : public WeightSource {
 public:
  // Throws Error{input} when `source`, which must outlive this, has no text encoder.
  explicit ClipTextKeys(const WeightSource& source);

  static bool recognises(const WeightSource& source);

  std::optional<Shape> shape(const std::string& name) const override;
  Tensor load(const std::string& name, const Shape& expected, DType dtype) const override;

 private:
  // Where one of transformers' tensors lies: a tensor, or a third of the rows of one.
  struct Place {
    std::string name;
    int64_t third = -1;
  };
  Place place_of(const std::string& name) const;

  const WeightSource& source_;
  std::string prefix_;
  bool is_openclip_ = false;
};

}  // namespace tstitch
