// Attention where cuDNN has none: in f32, causal, and with odd widths.
//
// Dao et al. 2022 (arXiv 2205.14135): keys and values pass in tiles, and a running maximum rescales what has
// been summed, so that scores are never stored.
#pragma once

#include <cmath>

#include "tstitch/backend/cuda/kernels/rows.h"

namespace tstitch::cuda {

// The keys and values that an image of q sees.
struct KeysValues {
  int64_t image;
  Rows k, v;
  int64_t S;
};

// A block of kWarps warps for kWarps * kQueries queries of one head of one image; blocks go by tile, then
// head, then image. A lane has one key of a tile while scores are computed, and columns lane, lane + 32, ...
// of the result, kValues at most, while values are summed.
template <int kValues>
struct TiledAttention {
  static constexpr int kWarps = 4, kQueries = 4, kKeys = kWarp, kTile = kWarps * kQueries;
  static constexpr int kMostColumns = kValues * kWarp;

  Rows q, out;                 // (N T, heads d)
  const KeysValues* images;    // of as many blocks as heads and tiles want
  int64_t T, heads, d, tiles;  // tiles of queries
  bool causal;                 // query t sees keys 0 ... t
  float scale;

  // Of a block, in floats: the queries, a tile of keys or values (rows one longer, so that lanes that read a
  // column meet different banks), the weights.
  static int64_t scratch(int64_t d) { return kTile * d + kKeys * (d + 1) + kTile * kKeys; }

  TSTITCH_DEVICE void operator()(const Block& block) const {
    const int64_t first = block.row() % tiles * kTile, head = block.row() / tiles % heads * d,
                  number = block.row() / tiles / heads;
    const KeysValues& image = images[number];
    const int64_t n = image.image;
    const int lane = block.rank() % kWarp, warp = block.rank() / kWarp;
    float *const queries = block.scratch(), *const tile = queries + kTile * d,
                 *const weights = tile + kKeys * (d + 1);

    for (int64_t i = block.rank(); i < kTile * d; i += block.size()) {
      const auto [query, j] = split(i, d);
      queries[i] = first + query < T ? q(n * T + first + query, head + j) : 0;
    }

    float largest[kQueries], total[kQueries], result[kQueries][kValues];
    for (int k = 0; k < kQueries; ++k) {
      largest[k] = -INFINITY;
      total[k] = 0;
      for (int j = 0; j < kValues; ++j) result[k][j] = 0;
    }

    const int64_t seen = causal && first + kTile < image.S ? first + kTile : image.S;
    for (int64_t key = 0; key < seen; key += kKeys) {
      load(block, tile, image.k, head, key, image.S);
      for (int k = 0; k < kQueries; ++k) {
        const int64_t query = warp * kQueries + k, end = causal ? first + query + 1 : image.S;
        float score = 0;
        for (int64_t j = 0; j < d; ++j) score += queries[query * d + j] * tile[lane * (d + 1) + j];
        if (key + lane >= end || key + lane >= image.S) score = -INFINITY;
        float peak = score;
        for (int mask = kWarp / 2; mask; mask /= 2) {
          const float other = block.shuffle_xor(peak, mask);
          peak = other > peak ? other : peak;
        }
        peak = peak > largest[k] ? peak : largest[k];
        const float weight = std::exp((score - peak) * scale), fade = std::exp((largest[k] - peak) * scale);
        float sum = weight;
        for (int mask = kWarp / 2; mask; mask /= 2) sum += block.shuffle_xor(sum, mask);
        total[k] = total[k] * fade + sum;
        largest[k] = peak;
        weights[query * kKeys + lane] = weight;
        for (int j = 0; j < kValues; ++j) result[k][j] *= fade;
      }
      load(block, tile, image.v, head, key, image.S);
      for (int s = 0; s < kKeys; ++s)
        for (int j = 0; j < kValues; ++j) {
          const int64_t column = lane + j * kWarp;
          const float value = column < d ? tile[s * (d + 1) + column] : 0;
          for (int k = 0; k < kQueries; ++k)
            result[k][j] += weights[(warp * kQueries + k) * kKeys + s] * value;
        }
    }
    for (int k = 0; k < kQueries; ++k) {
      const int64_t t = first + warp * kQueries + k;
      for (int j = 0; j < kValues; ++j)
        if (const int64_t column = lane + j * kWarp; column < d && t < T)
          out.set(n * T + t, head + column, result[k][j] / total[k]);
    }
  }

 private:
  // Rows key ... key + kKeys of one head, zeros past the last of S.
  TSTITCH_DEVICE void load(const Block& block, float* tile, const Rows& rows, int64_t head, int64_t key,
                           int64_t S) const {
    block.barrier();
    for (int64_t i = block.rank(); i < kKeys * d; i += block.size()) {
      const auto [row, j] = split(i, d);
      tile[row * (d + 1) + j] = key + row < S ? rows(key + row, head + j) : 0;
    }
    block.barrier();
  }
};

}  // namespace tstitch::cuda
