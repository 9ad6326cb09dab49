// Products by tiles: 32 rows by 32 columns of sums in four tiles, so that each of the four operand tiles of a step is
// used twice.
//
// A weight is packed into panels of 32 outputs: [panel][step of 32 inputs][2 tiles][16 pairs of inputs][16 outputs][2],
// zero beyond its edges: one stream of memory for each panel.
#pragma once

#include <cstdint>

#include "tstitch/backend/cpu/amx.h"

namespace tstitch::cpu {

constexpr int64_t kAmxRows = 32, kAmxColumns = 32, kAmxStep = 32;

// Lines of the panel that comes next, fetched while this one is computed with: of every step's 2 KB those from `first`
// to `last`, in lines of 64 bytes.
struct AmxPrefetch {
  const void* panel = nullptr;
  int64_t first = 0, last = 0;
};

// sums (rows, 32) f32 = x (rows, 32 steps) times the panel; `rows` is 16 or 32, x_stride in elements.
template <class Tiles>
void amx_multiply(Tiles& tiles, const uint16_t* x, int64_t x_stride, int64_t rows, const uint16_t* panel, int64_t steps,
                  AmxPrefetch prefetch, float* sums) {
  constexpr int64_t kTile = 16 * 32;  // elements of a tile of operands
  constexpr int64_t kSumStride = kAmxColumns * 4;
  const int64_t stride = 2 * x_stride;
  const auto* next = static_cast<const char*>(prefetch.panel);
  tiles.template zero<0>();
  tiles.template zero<1>();
  tiles.template zero<2>();
  tiles.template zero<3>();
  for (int64_t step = 0; step < steps; ++step, x += kAmxStep, panel += 2 * kTile) {
    for (int64_t line = prefetch.first; line < prefetch.last; ++line) __builtin_prefetch(next + step * 4 * kTile + line * 64, 0, 2);
    tiles.template load<6>(panel, 64);
    tiles.template load<7>(panel + kTile, 64);
    tiles.template load<4>(x, stride);
    tiles.template multiply_add<0, 4, 6>();
    tiles.template multiply_add<1, 4, 7>();
    if (rows == kAmxRows) {
      tiles.template load<5>(x + 16 * x_stride, stride);
      tiles.template multiply_add<2, 5, 6>();
      tiles.template multiply_add<3, 5, 7>();
    }
  }
  tiles.template store<0>(sums, kSumStride);
  tiles.template store<1>(sums + 16, kSumStride);
  if (rows == kAmxRows) {
    tiles.template store<2>(sums + 16 * kAmxColumns, kSumStride);
    tiles.template store<3>(sums + 16 * kAmxColumns + 16, kSumStride);
  }
}

// Rows of w (rows <= 32, columns) as one panel.
inline void amx_pack_panel(const uint16_t* w, int64_t w_stride, int64_t rows, int64_t columns, uint16_t* panel) {
  const int64_t padded = (columns + kAmxStep - 1) / kAmxStep * kAmxStep;
  for (int64_t n = 0; n < kAmxColumns; ++n)
    for (int64_t k = 0; k < padded; ++k) {
      const int64_t tile = k / kAmxStep * 2 + n / 16, pair = k % kAmxStep / 2;
      panel[((tile * 16 + pair) * 16 + n % 16) * 2 + k % 2] = n < rows && k < columns ? w[n * w_stride + k] : uint16_t{0};
    }
}

}  // namespace tstitch::cpu
