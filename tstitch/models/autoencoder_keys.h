// The names an AutoencoderKL's tensors have had: a checkpoint of any of them, read as if it had diffusers'
// own.
#pragma once

#include <string>

#include "tstitch/nn/weights.h"

namespace tstitch {

// Knows, behind an optional "first_stage_model." or "vae.":
//   decoder.up_blocks.0.resnets.1.conv_shortcut, mid_block.attentions.0.to_q, to_out.0   diffusers since 2023
//   ... mid_block.attentions.0.query, proj_attn                                           diffusers before
//   decoder.up.3.block.1.nin_shortcut, mid.attn_1.q, proj_out                             CompVis; levels of
//   the
//                                                                                          decoder from fine
//                                                                                          to coarse
// Projections of attention may be stored as 1 x 1 convolutions, (C, C, 1, 1), where (C, C) is asked for.
class AutoencoderKeys final : public WeightSource {
 public:
  // Throws Error{input} when `source`, which must outlive this, is no autoencoder.
  explicit AutoencoderKeys(const WeightSource& source);

  static bool recognises(const WeightSource& source);

  std::optional<Shape> shape(const std::string& name) const override;
  Tensor load(const std::string& name, const Shape& expected, DType dtype) const override;

  std::string stored_name(const std::string& name) const;  // of diffusers' `name`, as the source has it

 private:
  enum class Style { diffusers, old_diffusers, compvis };

  const WeightSource& source_;
  std::string prefix_;
  Style style_ = Style::diffusers;
  int levels_ = 0;  // of the decoder, CompVis
};

}  // namespace tstitch
