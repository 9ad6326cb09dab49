// Scalable diffusion models with transformers (Peebles & Xie 2023, arXiv 2212.09748), adaLN-Zero variant,
// with the official checkpoint's key names.
//
// N batch, T tokens, D width, C latent channels, p patch, R rows of a conditioning table.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tstitch/models/block_walk.h"
#include "tstitch/nn/linear.h"
#include "tstitch/nn/weights.h"

namespace tstitch {

struct DiTConfig {
  int64_t input_size = 32;    // latent side of the training images
  int64_t patch_size = 2;     // p
  int64_t in_channels = 4;    // C
  int64_t hidden_size = 384;  // D
  int64_t depth = 12;
  int64_t num_heads = 6;
  double mlp_ratio = 4;
  int64_t num_classes = 1000;  // the null class is the one after the last
  bool learn_sigma = true;     // 2 C output channels: eps, then the variance interpolation v

  int64_t out_channels() const { return learn_sigma ? 2 * in_channels : in_channels; }
  int64_t mlp_size() const { return static_cast<int64_t>(static_cast<double>(hidden_size) * mlp_ratio); }
  int64_t null_class() const { return num_classes; }

  bool operator==(const DiTConfig&) const = default;
};

// The published sizes (table 1 of the paper); each comes with patch 2, 4 or 8.
struct DiTSize {
  std::string_view name;
  int64_t hidden_size, depth, num_heads;
};
inline constexpr std::array<DiTSize, 4> kDiTSizes = {
    {{"DiT-S", 384, 12, 6}, {"DiT-B", 768, 12, 12}, {"DiT-L", 1024, 24, 16}, {"DiT-XL", 1152, 28, 16}}};

std::string dit_name(const DiTConfig& config);  // "DiT-XL/2", or "DiT 192x8/4" outside the family

// Reads the configuration off the shapes of a checkpoint. Head counts come from the published family, since
// no shape shows them. Throws Error{input}, naming the tensor, for shapes that are not a DiT's.
DiTConfig infer_dit_config(const WeightSource& weights);

// Parameters, the position table included, as published; those of the maps that make up its body
// (nn/weights.h), without biases; and floating-point operations (two for a multiply
// and an add; matrix products only) of one evaluation of one image of height x width latent pixels, adaLN
// included.
int64_t dit_parameters(const DiTConfig& config);
int64_t dit_body_parameters(const DiTConfig& config);
double dit_flops(const DiTConfig& config, int64_t height, int64_t width);
// Of them those of one block's tokens, which are saved where it is left out: the modulations of all blocks
// are computed together.
double dit_block_flops(const DiTConfig& config, int64_t height, int64_t width);

// Bytes of the tensors that are alive at once at the most in such an evaluation.
int64_t dit_activation_bytes(const DiTConfig& config, int64_t height, int64_t width, DType compute);

// One transformer block with adaLN-Zero (figure 3 of the paper).
struct DiTBlock {
  DiTBlock(const Weights& weights, const DiTConfig& config);

  // x: (N, T, D) f32 tokens, updated in place; modulation: (N, 6 D).
  void operator()(Tensor& x, const Tensor& modulation) const;

  Backend* backend;
  int64_t num_heads;
  Linear adaLN_modulation;  // D -> 6 D
  Linear qkv, proj;         // D -> 3 D, D -> D
  Linear fc1, fc2;          // D -> 4 D -> D
};

class DiT {
 public:
  // Throws Error{input} naming the tensor when a weight is missing or misshapen.
  DiT(const DiTConfig& config, const Weights& weights);

  // The adaLN modulations of R pairs (t, class). They do not depend on x, so that those of many steps are
  // computed together, in products of R rows instead of one per image and step: a third of DiT-XL's weights
  // is then read once per table. One table for each block, (R, 6 D) f32, and one for the final layer, (R, 2
  // D) f32.
  using Conditioning = std::vector<Tensor>;
  Conditioning condition(std::span<const double> t, std::span<const int64_t> classes) const;
  int64_t conditioning_bytes_per_row() const;

  // Throws Error{usage} when height and width of latents are not multiples of the patch size, or not the
  // training size of a checkpoint whose position table was trained.
  void check_extent(int64_t height, int64_t width) const;
  // The position table (T, D) of latents of height x width. Throws as check_extent.
  Tensor positions(int64_t height, int64_t width) const;

  // x: (N, H, W, C) f32; positions: those of (H, W); rows: N rows of the conditioning, one per image; walk:
  // through its blocks. Returns (N, H, W, out_channels) f32.
  Tensor operator()(const Tensor& x, const Tensor& positions, const Conditioning& conditioning,
                    std::span<const int64_t> rows, const BlockWalk& walk = {}) const;

  // Its parts, in order of use. c = t_emb(t) + y_emb(class): (R, D) f32; tokens: (N, T, D) f32.
  Tensor embed_condition(std::span<const double> t, std::span<const int64_t> classes) const;
  Tensor embed_patches(const Tensor& x, const Tensor& positions) const;
  const std::vector<DiTBlock>& blocks() const { return blocks_; }

  const DiTConfig& config() const { return config_; }
  Backend& backend() const { return *backend_; }

 private:
  DiTConfig config_;
  Backend* backend_;
  Linear x_embedder_;         // p p C -> D, inputs in the order (p row, p column, channel)
  Linear t_mlp_0_, t_mlp_2_;  // 256 -> D -> D
  Tensor y_embedding_;        // (classes + 1, D)
  Tensor pos_embed_;          // (T, D) at input_size
  bool pos_embed_is_sine_cosine_;
  std::vector<DiTBlock> blocks_;
  Linear final_adaLN_modulation_;  // D -> 2 D
  Linear final_linear_;            // D -> p p out_channels
};

// The fixed position table of rows x columns patches: (rows columns, width) f32. The first half of the
// columns encodes the patch's column, the second half its row; each half is [sin | cos] of width / 4
// frequencies 10000^(-i / (width / 4)), computed in f64 as in the reference.
Tensor sine_cosine_embedding(int64_t rows, int64_t columns, int64_t width);

}  // namespace tstitch
