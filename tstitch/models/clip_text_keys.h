// The names a CLIP text encoder's tensors have: a checkpoint of any of them, read as if it had transformers'.
#pragma once

#include <string>

#include "tstitch/nn/weights.h"

namespace tstitch {

// Which of the text encoders beside each other in a checkpoint; alone in a file they have the same names.
enum class ClipPlace {
  first,
  second,  // OpenCLIP's ViT-bigG, which SDXL reads beside the first
};

// Knows, with and without the "text_model." of transformers' classes:
//   encoder.layers.0.self_attn.q_proj                              transformers
//   text_encoder.text_model.encoder.layers.0. ...                  the same, beside "unet." and "vae."
//   cond_stage_model.transformer.encoder.layers.0. ...             Stable Diffusion 1, in checkpoints of all
//   cond_stage_model.model.transformer.resblocks.0.attn.in_proj    Stable Diffusion 2: OpenCLIP's own names,
//                                                                  which keep queries, keys and values in
//                                                                  one matrix
//   conditioner.embedders.0.transformer.encoder.layers.0. ...      SDXL, the first
//   conditioner.embedders.1.model.transformer.resblocks.0. ...     the second, OpenCLIP's names; its
//                                                                  text_projection is transposed
//   cond_stage_model.1.transformer.text_model.encoder.layers.0.self_attn.in_proj   the second, as
//                                                                  stable-diffusion.cpp renames OpenCLIP's;
//                                                                  older versions split it
//   conditioner.embedders.0.model.transformer.resblocks.0. ...     the same in SDXL's refiner, which has no
//   other
class ClipTextKeys final : public WeightSource {
 public:
  // Throws Error{input} when `source`, which must outlive this, has no text encoder in that place.
  explicit ClipTextKeys(const WeightSource& source, ClipPlace place = ClipPlace::first);

  static bool recognises(const WeightSource& source, ClipPlace place = ClipPlace::first);

  std::optional<Shape> shape(const std::string& name) const override;
  Tensor load(const std::string& name, const Shape& expected, DType dtype) const override;

 private:
  // Where one of transformers' tensors lies: a tensor, a third of the rows of one, or one transposed.
  struct Place {
    std::string name;
    int64_t third = -1;
    bool transposed = false;
  };
  Place place_of(const std::string& name) const;

  const WeightSource& source_;
  std::string prefix_;
  bool is_openclip_ = false;
  bool is_joined_ = false;  // queries, keys and values in one matrix
};

}  // namespace tstitch
