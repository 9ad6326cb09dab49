// Norms: of rows, and of groups of channels.
#pragma once

#include <cmath>

#include "tstitch/backend/cuda/kernels/rows.h"

namespace tstitch::cuda {

// layer_norm(x) (unit + scale) + shift, a block for each row of x; scale and shift are those of row / T.
struct RowNorm {
  Rows x, scale, shift, out;
  int64_t T, D;
  float unit, eps;

  TSTITCH_DEVICE void operator()(const Block& block) const {
    const int64_t row = block.row(), n = row / T;
    float mean = 0, variance = 0;
    for (int64_t j = block.rank(); j < D; j += block.size()) mean += x(row, j);
    mean = sum(block, mean) / static_cast<float>(D);
    for (int64_t j = block.rank(); j < D; j += block.size())
      variance += (x(row, j) - mean) * (x(row, j) - mean);
    const float deviation = std::sqrt(sum(block, variance) / static_cast<float>(D) + eps);
    for (int64_t j = block.rank(); j < D; j += block.size())
      out.set(row, j, (x(row, j) - mean) / deviation * (unit + scale(n, j)) + shift(n, j));
  }
};

// Mean and variance of each group of channels over each row of pixels, a block for each: (rows, W, C) to
// (rows, groups, 2).
struct GroupMoments {
  Rows x;
  float* moments;
  int64_t W, C, groups;

  // Number i of the group, whose first is there.
  TSTITCH_DEVICE float at(int64_t pixel, int64_t channel, int64_t i, int64_t width) const {
    const auto [further, c] = split(i, width);
    return x(pixel + further, channel + c);
  }

  TSTITCH_DEVICE void operator()(const Block& block) const {
    const int64_t width = C / groups, count = W * width;
    const int64_t pixel = block.row() / groups * W, channel = block.row() % groups * width;
    float mean = 0, variance = 0;
    for (int64_t i = block.rank(); i < count; i += block.size()) mean += at(pixel, channel, i, width);
    mean = sum(block, mean) / static_cast<float>(count);
    for (int64_t i = block.rank(); i < count; i += block.size()) {
      const float difference = at(pixel, channel, i, width) - mean;
      variance += difference * difference;
    }
    variance = sum(block, variance) / static_cast<float>(count);
    if (block.rank() == 0) {
      moments[2 * block.row()] = mean;
      moments[2 * block.row() + 1] = variance;
    }
  }
};

// Scale and shift of each channel from the moments of a picture's rows, which have all the same weight; a
// block for each image and group. Two passes, as squares minus the square of the mean would cancel in f32.
struct GroupScaleShift {
  const Part* strips;  // each (N, its rows, groups, 2), ending at a row of one picture
  const float *gamma, *beta;
  float* out;                 // (N, 2, C)
  int64_t C, groups, height;  // of all strips
  float eps;

  // f(mean, variance) of every row of pixels that this lane has, the same rows wherever a strip ends.
  template <class F>
  TSTITCH_DEVICE void each(const Block& block, F f) const {
    const int64_t n = block.row() / groups, group = block.row() % groups;
    for (int64_t y = block.rank(); y < height; y += block.size()) {
      const PlaceInParts place = find(strips, y);
      const int64_t rows = place.part->end - (y - place.row), row = (n * rows + place.row) * groups + group;
      f(place.part->rows(row, 0), place.part->rows(row, 1));
    }
  }

  TSTITCH_DEVICE void operator()(const Block& block) const {
    const int64_t n = block.row() / groups, group = block.row() % groups, width = C / groups;
    const auto rows = static_cast<float>(height);
    float mean = 0, variance = 0;
    each(block, [&](float m, float) { mean += m; });
    mean = sum(block, mean) / rows;
    each(block, [&](float m, float v) { variance += (m - mean) * (m - mean) + v; });
    const float deviation = std::sqrt(sum(block, variance) / rows + eps);
    for (int64_t c = group * width + block.rank(); c < (group + 1) * width; c += block.size()) {
      const float scale = gamma[c] / deviation;
      out[2 * n * C + c] = scale;
      out[(2 * n + 1) * C + c] = beta[c] - mean * scale;
    }
  }
};

// The row of the table nearest to each row of x, the first of equals; a block for each row. Numbers of rows
// travel as f32: the table has fewer than 2^24.
struct NearestRows {
  Rows x, table, out;
  int64_t columns, rows;

  struct Nearest {
    float distance, row;
    TSTITCH_DEVICE void take(const Nearest& other) {
      if (other.distance < distance || (other.distance == distance && other.row < row)) *this = other;
    }
  };

  TSTITCH_DEVICE void operator()(const Block& block) const {
    Nearest nearest = {INFINITY, 0};
    for (int64_t r = block.rank(); r < rows; r += block.size()) {
      float distance = 0;
      for (int64_t j = 0; j < columns; ++j) {
        const float difference = x(block.row(), j) - table(r, j);
        distance += difference * difference;
      }
      nearest.take({distance, static_cast<float>(r)});
    }
    for (int mask = kWarp / 2; mask; mask /= 2)
      nearest.take({block.shuffle_xor(nearest.distance, mask), block.shuffle_xor(nearest.row, mask)});
    float* scratch = block.scratch();
    if (block.rank() % kWarp == 0) {
      scratch[2 * (block.rank() / kWarp)] = nearest.distance;
      scratch[2 * (block.rank() / kWarp) + 1] = nearest.row;
    }
    block.barrier();
    for (int warp = 0; warp < block.size() / kWarp; ++warp)
      nearest.take({scratch[2 * warp], scratch[2 * warp + 1]});
    for (int64_t j = block.rank(); j < columns; j += block.size())
      out.set(block.row(), j, table(static_cast<int64_t>(nearest.row), j));
  }
};

}  // namespace tstitch::cuda
