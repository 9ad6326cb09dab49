// The names a U-Net's tensors have: a checkpoint of either layout, read as if it had diffusers' names.
#pragma once

#include <string>

#include "tstitch/nn/weights.h"

namespace tstitch {

// What the original code (CompVis', Stability's) calls the tensor that diffusers call `name`, of a U-Net
// whose stages take `stride` blocks each. upsampler: its number in its block, 2 behind a transformer, else 1.
std::string original_unet_name(const std::string& name, int64_t stride, int upsampler);

// Knows, behind an optional prefix ("model.diffusion_model.", "unet."):
//   down_blocks.1.resnets.0.conv1, mid_block.attentions.0, up_blocks.0.upsamplers.0.conv      diffusers
//   input_blocks.4.0.in_layers.2, middle_block.1, output_blocks.2.1.conv                      CompVis
// CompVis counts its blocks through: a stage of l resnets takes l + 1 of them. In files of BK-SDM, whose
// stages have one resnet less, every stage keeps the three numbers of Stable Diffusion's, and some are
// unused: which it is shows in the place of the first downsampling.
class UNetKeys final : public WeightSource {
 public:
  // Throws Error{input} when `source`, which must outlive this, has no U-Net under the prefix.
  explicit UNetKeys(const WeightSource& source, std::string prefix = "");

  static bool recognises(const WeightSource& source, const std::string& prefix = "");

  std::optional<Shape> shape(const std::string& name) const override;
  // Projections of transformers may be stored as 1 x 1 convolutions, (M, C, 1, 1), where (M, C) is asked for.
  Tensor load(const std::string& name, const Shape& expected, DType dtype) const override;
  Int8Weight load_int8(const std::string& name, const Shape& expected, const Tensor& sizes) const override;
  std::vector<std::string> stored_names(const std::string& name) const override;

  std::string stored_name(const std::string& name) const;  // of diffusers' `name`, as the source has it

 private:
  const WeightSource& source_;
  std::string prefix_;
  bool is_compvis_ = false;
  int64_t stride_ = 0;  // blocks of a stage, CompVis
};

}  // namespace tstitch
