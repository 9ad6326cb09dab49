// The KL-regularised convolutional autoencoder of latent diffusion (Rombach et al. 2022, arXiv 2112.10752,
// appendix G; layers as in Stable Diffusion's first stage), with diffusers' key names (autoencoder_keys.h
// reads others).
//
// Its group norms see the whole picture and its attention all pixels of the lowest resolution, so that tiles
// decoded alone would differ from the whole. Instead no layer needs more than its input and output at once:
// normalised pictures exist in strips (Conv2dPath::norm), and where one level ends and the next begins, the
// upsampled picture too. The result is the same bit for bit, whatever the size.
//
// Letters as in autoencoder.h; L levels, level 0 of full resolution.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "tstitch/models/autoencoder.h"
#include "tstitch/nn/conv2d.h"
#include "tstitch/nn/group_norm.h"
#include "tstitch/nn/linear.h"
#include "tstitch/nn/weights.h"

namespace tstitch {

struct AutoencoderKLConfig {
  int64_t latent_channels = 4;                                     // C
  std::vector<int64_t> block_out_channels = {128, 256, 512, 512};  // of levels 0 ... L - 1
  int64_t layers_per_block = 2;                                    // of the encoder; the decoder has one more
  int64_t norm_num_groups = 32;
  bool mid_block_add_attention = true;
  std::vector<int64_t> attention_levels = {};  // with attention after every resnet
  bool use_quant_conv = true, use_post_quant_conv = true;
  // Entries of the codebook, the nearest of which replaces each latent before it is decoded: a VQGAN (Esser
  // et al. 2021, arXiv 2012.09841), whose encoder gives latents instead of distributions. 0: none.
  int64_t codebook_size = 0;
  double scaling_factor = 0.18215;  // Stable Diffusion 1 and 2
  double shift_factor = 0;
  bool encoder = true, decoder = true;  // which halves to load

  int64_t levels() const { return static_cast<int64_t>(block_out_channels.size()); }
  int64_t channels(int64_t level) const { return block_out_channels[static_cast<size_t>(level)]; }
  bool has_attention(int64_t level) const { return std::ranges::count(attention_levels, level) > 0; }
  bool operator==(const AutoencoderKLConfig&) const = default;
};

// Reads the configuration off the shapes of a checkpoint with diffusers' key names. No shape shows the
// scaling: it is Stable Diffusion 1's. Throws Error{input}, naming the tensor, for shapes that are not an
// AutoencoderKL's.
AutoencoderKLConfig infer_autoencoder_kl_config(const WeightSource& weights);

// Floating-point operations (two for a multiply and an add; convolutions, attention) of one decoding of h x w
// latent pixels.
double autoencoder_kl_decode_flops(const AutoencoderKLConfig& config, int64_t height, int64_t width);

// Bytes of the tensors that are alive at once at the most while that is decoded.
int64_t autoencoder_kl_decode_bytes(const AutoencoderKLConfig& config, int64_t height, int64_t width,
                                    DType compute);

// Bytes of a picture inside the network above which memory counts more than time.
inline constexpr int64_t kLargePicture = int64_t{512} << 20;

// x + conv2(silu(norm2(conv1(silu(norm1(x)))))), with a 1 x 1 convolution of x where the channels change.
class ResnetBlock {
 public:
  ResnetBlock(const Weights& weights, int64_t inputs, int64_t outputs, int64_t groups);

  Tensor operator()(Tensor x) const;  // (1, H, W, inputs) to (1, H, W, outputs)
  // The same of the picture that `upsample` makes of x, twice as high and wide. One of more than `large`
  // bytes is never whole where the channels change: strips of it are made twice, for the norm and for the
  // convolution.
  Tensor of_upsampled(Tensor x, const Conv2d& upsample, int64_t large = kLargePicture) const;

 private:
  void add_second_half(Tensor& x, const Tensor& h) const;  // x + conv2(silu(norm2(h)))

  Backend* backend_;
  GroupNorm norm1_;
  Conv2d conv1_;
  GroupNorm norm2_;
  Conv2d conv2_;
  std::optional<Conv2d> shortcut_;
};

// x + proj(attention(norm(x))) over the pixels of a picture, one head.
class PixelAttention {
 public:
  PixelAttention(const Weights& weights, int64_t channels, int64_t groups);
  void operator()(Tensor& x) const;  // (1, H, W, C), in place

 private:
  Backend* backend_;
  GroupNorm norm_;
  Linear qkv_;  // C -> 3 C
  Conv2d proj_;
};

// What happens at one resolution: upsampling to it, resnets with attention after each or none, downsampling
// from it.
struct AutoencoderLevel {
  Tensor operator()(Tensor x) const;

  std::optional<Conv2d> upsample;
  std::vector<ResnetBlock> resnets;
  std::vector<PixelAttention> attentions;
  std::optional<Conv2d> downsample;
};

// One half of the autoencoder: the levels in the order they are run, the middle among them.
struct AutoencoderHalf {
  // x: (1, H, W, channels) f32 or bf16, out: (1, H', W', outputs).
  void operator()(Tensor& out, const Tensor& x) const;

  Backend* backend;
  std::optional<Conv2d> first_quant;  // 1 x 1: post_quant_conv of a decoder
  Conv2d conv_in;
  std::vector<AutoencoderLevel> levels;
  GroupNorm norm_out;
  Conv2d conv_out;
  std::optional<Conv2d> last_quant;  // quant_conv of an encoder
};

class AutoencoderKL final : public Autoencoder {
 public:
  // Throws Error{input} naming the tensor when a weight is missing or misshapen.
  AutoencoderKL(const AutoencoderKLConfig& config, const Weights& weights);

  Tensor decode(const Tensor& z) const override;
  LatentDistribution encode(const Tensor& pictures) const override;
  int64_t factor() const override { return int64_t{1} << (config_.levels() - 1); }
  int64_t latent_channels() const override { return config_.latent_channels; }
  double scaling_factor() const override { return config_.scaling_factor; }
  double shift_factor() const override { return config_.shift_factor; }
  bool can_encode() const override { return encoder_.has_value(); }
  bool can_decode() const override { return decoder_.has_value(); }

  const AutoencoderKLConfig& config() const { return config_; }

 private:
  AutoencoderKLConfig config_;
  Backend* backend_;
  std::optional<AutoencoderHalf> encoder_, decoder_;
  Tensor codebook_;  // (codebook_size, C), or empty
};

}  // namespace tstitch
