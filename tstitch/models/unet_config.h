// What distinguishes the U-Nets of latent diffusion: Rombach et al. 2022 (arXiv 2112.10752), Stable Diffusion
// 1 and 2, SDXL (Podell et al. 2023, arXiv 2307.01952), BK-SDM (Kim et al. 2023, arXiv 2305.15798), SSD-1B
// and Segmind-Vega (Gupta et al. 2024, arXiv 2401.02677), KOALA (Lee et al. 2023, arXiv 2312.04005). Every
// one of them is a list of layers that follows from the numbers here.
//
// L levels, level 0 of full resolution, every next one of half the extent, rounded up.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tstitch/nn/weights.h"

namespace tstitch {

struct UNetConfig {
  // What lies between the way down and the way up: two resnets around a transformer, one resnet, or nothing.
  enum class Middle { transformer, resnet, none };
  // Of every resnet of a level, in order of use: the blocks of the transformer after it, 0 for no
  // transformer.
  using Depths = std::vector<std::vector<int64_t>>;

  int64_t in_channels = 4, out_channels = 4;
  std::vector<int64_t> block_out_channels = {320, 640, 1280, 1280};  // of levels 0 ... L - 1
  std::vector<int64_t> heads = {8, 8, 8, 8};                 // of the attention, of levels 0 ... L - 1
  Depths down = {{1, 1}, {1, 1}, {1, 1}, {0, 0}};            // of levels 0 ... L - 1
  Depths up = {{1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}};  // of levels 0 ... L - 1
  Middle middle = Middle::transformer;
  int64_t middle_depth = 1;
  int64_t context_width = 768;
  int64_t added_width = 0;     // of the added condition (SDXL: the pooled text and sizes); 0: there is none
  int64_t guidance_width = 0;  // of the embedding of the guidance scale ("time_cond_proj_dim"); 0: none
  int64_t norm_num_groups = 32;
  double norm_eps = 1e-5;  // of the resnets; the transformers' group norm has 1e-6

  int64_t levels() const { return static_cast<int64_t>(block_out_channels.size()); }
  int64_t channels(int64_t level) const { return block_out_channels[static_cast<size_t>(level)]; }
  int64_t time_width() const { return 4 * block_out_channels[0]; }
  int64_t factor() const { return int64_t{1} << (levels() - 1); }  // by which the last is smaller

  bool operator==(const UNetConfig&) const = default;
};

// One of the layers between conv_in and conv_norm_out, in order of use.
struct UNetLayer {
  enum class Kind { resnet, transformer, downsample, upsample };
  Kind kind;
  std::string name;              // of its weights, "down_blocks.0.resnets.1"
  int64_t level;                 // at whose resolution it works; of a downsample: the finer
  int64_t inputs, outputs;       // channels; the inputs with those of the skip
  int64_t skip = 0;              // channels of the skip that is read behind what the layer before gives
  bool is_kept = false;          // what it gives is a skip
  int64_t depth = 0, heads = 0;  // of a transformer
  int64_t open = 0;              // skips that are kept and not read while it works
};

// Throws Error{input} for a configuration that is no U-Net: lists of different lengths, skips that no layer
// reads, channels that do not divide into groups or heads.
std::vector<UNetLayer> unet_layers(const UNetConfig& config);

// The way down and the middle of them, which a ControlNet has, too (control_net.h); of the configuration's
// way up nothing is asked.
std::vector<UNetLayer> unet_encoder_layers(const UNetConfig& config);

// What is kept on the way down for the way up: its channels, and at whose level's resolution.
struct UNetSkip {
  int64_t channels, level;
  bool operator==(const UNetSkip&) const = default;
};
// Of a level of an image of height x width, at level 0.
int64_t pixels_of_level(int64_t height, int64_t width, int64_t level);

// In order of keeping: conv_in's, then those of the layers that are kept.
std::vector<UNetSkip> unet_skips(const UNetConfig& config);

// The most skips a U-Net can keep.
inline constexpr int64_t kMostSkips = 64;

// Published networks: "sd1", "sd2", "bk_base", "bk_small", "bk_tiny", "bk_v2_base", "bk_v2_small",
// "bk_v2_tiny", "ldm", "ldm_s", "sdxl", "ssd1b", "vega", "koala_1b", "koala_700m", "sdxl_refiner". Throws
// Error{usage} listing them for another name.
UNetConfig unet_preset(std::string_view name);

// Reads the configuration off the shapes of a checkpoint with diffusers' names (UNetKeys reads others). No
// shape shows the number of heads: it is known for the widths of context of the published families (768:
// eight heads; 1024, 1280, 2048: heads 64 wide; 256, 512: LDM's on ImageNet, 32 wide). Throws Error{input},
// naming the tensor, for shapes that are no U-Net's.
UNetConfig infer_unet_config(const WeightSource& weights);

// The same of the way down and the middle; the way up is left empty. kind: what the source is not where
// tensors are missing, "a U-Net". Where no layer has a transformer the width of the context is 0.
UNetConfig infer_unet_encoder_config(const WeightSource& weights, const char* kind);

int64_t unet_parameters(const UNetConfig& config);
int64_t unet_encoder_parameters(const UNetConfig& config);  // of conv_in, the embeddings and those layers
// Those of the maps that make up the body (nn/weights.h), without biases.
int64_t unet_body_parameters(const UNetConfig& config);
int64_t unet_encoder_body_parameters(const UNetConfig& config);

// Floating-point operations (two for a multiply and an add; convolutions, linear maps, attention) of one
// evaluation of one image of height x width latent pixels and `tokens` of context, whose keys and values are
// not counted: they are made once.
// merge: the share of the tokens that become one with others before a picture attends to itself. skipped: the
// transformer blocks that are left out.
double unet_flops(const UNetConfig& config, int64_t height, int64_t width, int64_t tokens, double merge = 0,
                  std::span<const int64_t> skipped = {});
// The same of an evaluation that takes from an earlier one what lies beyond that skip (UNet::Shortcuts).
double unet_shallow_flops(const UNetConfig& config, int64_t height, int64_t width, int64_t tokens,
                          double merge, int64_t skip, std::span<const int64_t> skipped = {});
// Bytes of what such an evaluation takes of one image.
int64_t unet_kept_bytes(const UNetConfig& config, int64_t height, int64_t width, int64_t skip, DType compute);

// The blocks of all transformers, which are counted in order of use.
int64_t unet_blocks(const UNetConfig& config);
// Why these of them, ascending, cannot be left out; "" where they can: a transformer keeps one, between its
// projections.
std::string unet_skip_obstacle(const UNetConfig& config, std::span<const int64_t> blocks);

// Whether tokens can be merged in any of its blocks: those of full resolution.
bool unet_merges_tokens(const UNetConfig& config);

// Bytes of the tensors that are alive at once at the most in such an evaluation (unet.cpp).
int64_t unet_activation_bytes(const UNetConfig& config, int64_t height, int64_t width, DType compute);

}  // namespace tstitch
