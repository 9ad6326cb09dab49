// Products by tiles: 32 rows by 32 columns of sums in four tiles, so that each of the four operand tiles of a
// step is used twice.
//
// A weight is packed into panels of 32 outputs: [panel][step of 32 inputs][2 tiles][16 pairs of inputs][16
// outputs][2], zero beyond its edges: one stream of memory for each panel. Of int8 a step has 64 inputs, in
// fours. E tells which: uint16_t is bf16, uint8_t a byte of either sign; sums of bytes are 32-bit integers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "tstitch/backend/cpu/amx.h"

namespace tstitch::cpu {

constexpr int64_t kAmxRows = 32, kAmxColumns = 32;
template <class E>
constexpr int64_t kAmxStep = 64 / static_cast<int64_t>(sizeof(E));

// Lines of the panel that comes next, fetched while this one is computed with: of every step's 2 KB those
// from `first` to `last`, in lines of 64 bytes.
struct AmxPrefetch {
  const void* panel = nullptr;
  int64_t first = 0, last = 0;
};

// Where sums (rows, 32) go, and whether they are added to what is there. stride in elements.
struct AmxSums {
  float* sums = nullptr;
  int64_t stride = kAmxColumns;
  bool add = false;
};

// Tiles 0 to 3 += x (rows, steps) times the panel; `rows` is 16 or 32, x_stride in elements.
template <class Tiles, class E>
inline void amx_accumulate(Tiles& tiles, const E* x, int64_t x_stride, int64_t rows, const E* panel,
                           int64_t steps, AmxPrefetch prefetch) {
  constexpr int64_t kTile = 16 * kAmxStep<E>;  // elements of a tile of operands
  const int64_t stride = x_stride * static_cast<int64_t>(sizeof(E));
  const auto* next = static_cast<const char*>(prefetch.panel);
  for (int64_t step = 0; step < steps; ++step, x += kAmxStep<E>, panel += 2 * kTile) {
    for (int64_t line = prefetch.first; line < prefetch.last; ++line)
      __builtin_prefetch(next + step * 2048 + line * 64, 0, 2);
    tiles.template load<6>(panel, 64);
    tiles.template load<7>(panel + kTile, 64);
    tiles.template load<4>(x, stride);
    tiles.template multiply_add<0, 4, 6>(E{});
    tiles.template multiply_add<1, 4, 7>(E{});
    if (rows == kAmxRows) {
      tiles.template load<5>(x + 16 * x_stride, stride);
      tiles.template multiply_add<2, 5, 6>(E{});
      tiles.template multiply_add<3, 5, 7>(E{});
    }
  }
}

// Sets tiles 0 to 3 to zero or to the sums there are; and stores them.
template <class Tiles>
inline void amx_begin(Tiles& tiles, int64_t rows, AmxSums out) {
  const int64_t stride = 4 * out.stride;
  const float *upper = out.sums, *lower = out.sums + 16 * out.stride;
  if (out.add) {
    tiles.template load<0>(upper, stride);
    tiles.template load<1>(upper + 16, stride);
  } else {
    tiles.template zero<0>();
    tiles.template zero<1>();
  }
  if (out.add && rows == kAmxRows) {
    tiles.template load<2>(lower, stride);
    tiles.template load<3>(lower + 16, stride);
  } else {
    tiles.template zero<2>();
    tiles.template zero<3>();
  }
}

template <class Tiles>
inline void amx_end(Tiles& tiles, int64_t rows, AmxSums out) {
  const int64_t stride = 4 * out.stride;
  float *upper = out.sums, *lower = out.sums + 16 * out.stride;
  tiles.template store<0>(upper, stride);
  tiles.template store<1>(upper + 16, stride);
  if (rows == kAmxRows) {
    tiles.template store<2>(lower, stride);
    tiles.template store<3>(lower + 16, stride);
  }
}

// x (rows, steps) times the panel.
template <class Tiles, class E>
void amx_multiply(Tiles& tiles, const E* x, int64_t x_stride, int64_t rows, const E* panel, int64_t steps,
                  AmxPrefetch prefetch, AmxSums out) {
  amx_begin(tiles, rows, out);
  amx_accumulate(tiles, x, x_stride, rows, panel, steps, prefetch);
  amx_end(tiles, rows, out);
}

// Rows of w (rows <= 32, columns) as one panel.
template <class E>
inline void amx_pack_panel(const E* w, int64_t w_stride, int64_t rows, int64_t columns, E* panel) {
  constexpr int64_t kStep = kAmxStep<E>, kPerUnit = kStep / 16;
  for (int64_t k = 0; k < columns; k += kStep)
    for (int64_t n = 0; n < kAmxColumns; ++n) {
      E inputs[kStep] = {};
      if (n < rows)
        std::memcpy(inputs, w + n * w_stride + k,
                    static_cast<size_t>(std::min(kStep, columns - k)) * sizeof(E));
      E* to = panel + k * kAmxColumns + n / 16 * kStep * 16 + n % 16 * kPerUnit;
      for (int64_t unit = 0; unit < 16; ++unit) std::memcpy(to + unit * kStep, inputs + unit * kPerUnit, 4);
    }
}

// The transpose of v (rows, columns <= 32) as one panel: what multiplies probabilities.
inline void amx_pack_transposed(const uint16_t* v, int64_t v_stride, int64_t rows, int64_t columns,
                                uint16_t* panel) {
  constexpr int64_t kStep = kAmxStep<uint16_t>;
  for (int64_t k = 0; k < (rows + kStep - 1) / kStep * kStep; k += 2) {
    uint16_t pair[2][kAmxColumns] = {};
    for (int64_t part = 0; part < 2; ++part)
      if (k + part < rows)
        std::memcpy(pair[part], v + (k + part) * v_stride, static_cast<size_t>(2 * columns));
    for (int64_t tile = 0; tile < 2; ++tile) {
      uint16_t* to = panel + k / kStep * kStep * kAmxColumns + tile * kStep * 16 + k % kStep / 2 * 32;
      for (int64_t n = 0; n < 16; ++n) {
        to[2 * n] = pair[0][tile * 16 + n];
        to[2 * n + 1] = pair[1][tile * 16 + n];
      }
    }
  }
}

}  // namespace tstitch::cpu
