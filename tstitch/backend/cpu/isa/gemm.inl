// Products of a few rows with one packed panel, entirely in registers.
#pragma once

#include "tstitch/backend/cpu/isa/vector.inl"
#include "tstitch/backend/cpu/kernels.h"

namespace tstitch::cpu::TSTITCH_ISA {

constexpr int64_t kPanelVectors = 2;
constexpr int64_t kPanelColumns = kPanelVectors * kLanes;

// Rows whose sums fit the registers beside the operands: 32 registers hold 14 x 2 sums, 2 of b and 1 of a; 16
// hold 6 x 2. Where bf16 is widened, each operand takes two.
#if defined(__AVX512F__)
constexpr int kMostRows = 14, kRowsOfWidened = 12;
#else
constexpr int kMostRows = 6, kRowsOfWidened = 4;
#endif
#if defined(__AVX512BF16__)
constexpr bool kWidensBf16 = false;
#else
constexpr bool kWidensBf16 = true;
#endif
template <class T>
constexpr int kBlockRows = kWidensBf16&& __is_same(T, bf16) ? kRowsOfWidened : kMostRows;

// f(row, rows) for blocks of rows begin ... end. The last two share what is left: one of a few rows would
// take nearly as long as a whole one.
template <class T, class Function>
inline void for_blocks(int64_t begin, int64_t end, const Function& f) {
  constexpr int64_t kMost = kBlockRows<T>;
  for (int64_t row = begin, rows; row < end; row += rows) {
    const int64_t left = end - row;
    rows = left >= 2 * kMost ? kMost : left > kMost ? (left + 1) / 2 : left;
    f(row, rows);
  }
}

// What sums are held in.
template <class T>
struct SumsOf {
  using type = F;
};
template <>
struct SumsOf<q8> {
  using type = I;
};
template <class T>
using Sums = typename SumsOf<T>::type;

// Bytes of one vector of a panel's units.
template <class T>
constexpr int64_t kVectorBytes = __is_same(T, q8) ? kLanes* kPerUnit<q8> : 4 * kLanes;

// sums += a (rows, count units) times the panel.
template <class T, int rows, int vectors>
[[gnu::always_inline]] inline void accumulate(Sums<T> (&sums)[rows][vectors], const T* const* a_row,
                                              const void* panel, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    U b[vectors];
    for (int v = 0; v < vectors; ++v) b[v] = load_units<T>(panel, i * vectors + v);
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      const U x = splat(load_raw<uint32_t>(a_row[r] + i * kPerUnit<T>));
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) sums[r][v] = multiply_add(sums[r][v], x, b[v], T{});
    }
  }
}

// The sums of a block; of int8 they are integers, in as many bytes.
template <int rows, int vectors, class V>
[[gnu::always_inline]] inline void store_sums(const V (&sums)[rows][vectors], float* c, int64_t c_stride) {
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) store(c + r * c_stride + v * kLanes, bit_cast<F>(sums[r][v]));
}

// c (rows, vectors kLanes) = a (rows, count units) times the panel, or += with `add`.
template <class T, int rows, int vectors>
inline void multiply_block(const T* a, int64_t a_stride, const void* panel, int64_t count, float* c,
                           int64_t c_stride, bool add) {
  Sums<T> sums[rows][vectors] = {};
  const T* a_row[rows];
  for (int r = 0; r < rows; ++r) a_row[r] = a + r * a_stride;
  accumulate<T, rows, vectors>(sums, a_row, panel, count);
  if (add)
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v)
        sums[r][v] = bit_cast<Sums<T>>(load(c + r * c_stride + v * kLanes)) + sums[r][v];
  store_sums(sums, c, c_stride);
}

// The same with the number of rows known at run time.
template <class T, int vectors, int rows = kBlockRows<T>>
inline void multiply_rows(int64_t actual, const T* a, int64_t a_stride, const void* panel, int64_t count,
                          float* c, int64_t c_stride, bool add) {
  if (actual == rows)
    multiply_block<T, rows, vectors>(a, a_stride, panel, count, c, c_stride, add);
  else if constexpr (rows > 1)
    multiply_rows<T, vectors, rows - 1>(actual, a, a_stride, panel, count, c, c_stride, add);
}

// Rows of w as columns of a panel of `width`; a transpose of units. Columns that `rows` does not fill are
// zero.
template <class T>
void pack_panel(const T* w, int64_t w_stride, int64_t rows, int64_t columns, uint32_t* panel,
                int64_t width = kPanelColumns) {
  const int64_t whole = columns / kPerUnit<T>;
  for (int64_t row = 0; row < width; ++row) {
    if (row >= rows) {
      for (int64_t i = 0; i < units<T>(columns); ++i) panel[i * width + row] = 0;
      continue;
    }
    const T* from = w + row * w_stride;
    for (int64_t i = 0; i < whole; ++i) panel[i * width + row] = load_raw<uint32_t>(from + i * kPerUnit<T>);
    if (whole * kPerUnit<T> < columns) {
      T last[kPerUnit<T>] = {from[columns - 1]};
      panel[whole * width + row] = load_raw<uint32_t>(last);
    }
  }
}

// The same of 8-bit weights.
inline void pack_int8_panel(const int8_t* w, int64_t w_stride, int64_t rows, int64_t columns, int8_t* panel) {
  constexpr int64_t per_unit = kPerUnit<q8>;
  for (int64_t i = 0; i < units<q8>(columns); ++i)
    for (int64_t row = 0; row < kPanelColumns; ++row)
      for (int64_t k = i * per_unit; k < (i + 1) * per_unit; ++k)
        *panel++ = row < rows && k < columns ? w[row * w_stride + k] : int8_t{0};
}

}  // namespace tstitch::cpu::TSTITCH_ISA
