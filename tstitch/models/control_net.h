// ControlNet (Zhang et al. 2023, arXiv 2302.05543): a copy of a U-Net's way down and middle that reads the
// picture which is to be followed, the hint, and steers the U-Net by what it adds to its skips and its
// middle.
//
// N batch, C channels of a level; key names as diffusers' (ControlNetKeys reads others).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tstitch/models/unet.h"
#include "tstitch/models/unet_keys.h"

namespace tstitch {

struct ControlNetConfig {
  UNetConfig unet;  // its way down and its middle
  // Of the convolutions that bring the hint to the size of a latent; each but the first halves it.
  std::vector<int64_t> hint_channels = {16, 32, 96, 256};

  int64_t hint_factor() const { return int64_t{1} << (hint_channels.size() - 1); }
  // Of what is added: to every skip in order of keeping, and to the middle.
  std::vector<UNetSkip> outputs() const;
  bool operator==(const ControlNetConfig&) const = default;
};

// Reads the configuration off the shapes of a file with diffusers' names. Throws Error{input} as
// infer_unet_encoder_config, and for hints that are not RGB.
ControlNetConfig infer_control_net_config(const WeightSource& weights);

// Why the network cannot steer that U-Net, one sentence: its outputs are not the U-Net's skips and middle, or
// it is told something else; "" where it can.
std::string control_obstacle(const ControlNetConfig& config, const UNetConfig& unet);

int64_t control_net_parameters(const ControlNetConfig& config);
// Bytes of what one evaluation of one image adds to a U-Net, which it holds until that has read it.
int64_t control_net_feature_bytes(const ControlNetConfig& config, int64_t height, int64_t width,
                                  DType compute);

// Bytes of reading the hint of a run for latents of that size: what stays of it, and what is there meanwhile.
struct HintBytes {
  int64_t kept = 0, work = 0;
};
HintBytes control_net_hint_bytes(const ControlNetConfig& config, int64_t height, int64_t width,
                                 DType compute);

class ControlNet : public UNetBody {
 public:
  // Throws Error{input} naming the tensor when a weight is missing or misshapen.
  ControlNet(const ControlNetConfig& config, const Weights& weights);

  // What a hint is to the network. picture: (1, f H, f W, 3) f32 in [0, 1] on the backend, f the hint's
  // factor. Returns (1, H, W, C) of the compute type.
  Tensor read_hint(const Tensor& picture) const;

  // For a number that what it adds to image n is multiplied by: of every output, scale and shift (1, 2, C) of
  // its features and its bias (1, C), to be stacked for a batch.
  struct Gain {
    Tensor scale_shift, bias;
  };
  std::vector<Gain> gains(double strength) const;

  // The features whose zero convolutions are added: to every skip, and to the middle. x: (N, H, W,
  // in_channels) f32; time, contexts: as of a U-Net; hints: (N, H, W, C), of each image.
  std::vector<Tensor> operator()(const Tensor& x, const Tensor& time, std::span<const Tensor* const> contexts,
                                 const Tensor& hints) const;

  // sum + gain (zero convolution k of the features), in place. gain: of the N images.
  void add_to(Tensor& sum, size_t k, const Tensor& features, const Gain& gain) const;

 private:
  struct HintConv {
    Conv2d conv;
    bool halves;
  };
  struct Output {
    Conv2d zero_conv;
    Tensor bias;  // (C) on the host
  };

  std::vector<HintConv> hint_;
  std::vector<Output> outputs_;
};

// The names that a ControlNet's tensors have. Knows, behind an optional prefix ("control_model."):
//   controlnet_cond_embedding.blocks.1, controlnet_down_blocks.3, controlnet_mid_block, down_blocks.1...
//   diffusers input_hint_block.4, zero_convs.3.0, middle_block_out.0, input_blocks.4.0... cldm
class ControlNetKeys final : public WeightSource {
 public:
  // Throws Error{input} when `source`, which must outlive this, has no ControlNet.
  explicit ControlNetKeys(const WeightSource& source);

  static bool recognises(const WeightSource& source);

  std::optional<Shape> shape(const std::string& name) const override;
  Tensor load(const std::string& name, const Shape& expected, DType dtype) const override;

 private:
  std::string stored_name(const std::string& name) const;

  const WeightSource& source_;
  std::string prefix_;
  bool is_original_;
  UNetKeys body_;
  int64_t last_hint_ = 0;  // the number of the last convolution of the hint, original
};

}  // namespace tstitch
