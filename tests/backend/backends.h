// What the backend tests share: the backends they test, inputs, comparison.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "tstitch/backend/reference/reference_backend.h"
#include "tstitch/ops/ops.h"

namespace tstitch {

// Those the test program is about, for tensors of the host: the kernels this processor can run
// (cpu_backends.cpp), or a device's.
std::vector<std::unique_ptr<Backend>> tested_backends(DType dtype, int threads = 2);

// |x - expected| <= absolute + relative |expected|, everywhere.
struct Tolerance {
  double absolute, relative;
};

// What they may be off beyond their arithmetic in f32, where a linear map or convolution in this compute type
// ends.
Tolerance rounding_of_sums(DType compute_dtype);

// Normal deviates times `deviation`, the same for the same seed.
inline Tensor random_tensor(const Shape& shape, uint32_t seed, DType dtype = DType::f32,
                            double deviation = 1) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(0, static_cast<float>(deviation));
  Tensor x(shape, dtype);
  for (int64_t i = 0; i < x.elements(); ++i) {
    if (dtype == DType::f32)
      x.data<float>()[i] = normal(engine);
    else
      x.data<bfloat16>()[i] = to_bfloat16(normal(engine));
  }
  return x;
}

// The same elements in rows `padding` elements longer, of which the last are NaN: nobody may read them.
inline Tensor with_strided_rows(const Tensor& x, int64_t padding) {
  Tensor wide(x.shape().with(-1, x.columns() + padding), x.dtype());
  std::memset(wide.bytes(), 0xff, static_cast<size_t>(wide.elements() * size_of(x.dtype())));
  const int64_t size = size_of(x.dtype());
  for (int64_t row = 0; row < x.rows(); ++row)
    std::memcpy(wide.bytes() + row * wide.row_stride() * size, x.bytes() + row * x.row_stride() * size,
                static_cast<size_t>(x.columns() * size));
  return wide.slice_columns(0, x.columns());
}

inline float element(const Tensor& x, int64_t row, int64_t column) {
  const int64_t i = row * x.row_stride() + column;
  return x.dtype() == DType::f32 ? x.data<float>()[i] : to_float(x.data<bfloat16>()[i]);
}

// One failure for a tensor: the worst element.
inline void expect_close(const Tensor& x, const Tensor& expected, Tolerance tolerance) {
  ASSERT_EQ(x.shape(), expected.shape());
  ASSERT_EQ(x.dtype(), expected.dtype());
  double worst = 0;
  int64_t worst_row = 0, worst_column = 0;
  for (int64_t row = 0; row < x.rows(); ++row)
    for (int64_t j = 0; j < x.columns(); ++j) {
      const double e = element(expected, row, j);
      const double excess =
          std::abs(element(x, row, j) - e) / (tolerance.absolute + tolerance.relative * std::abs(e));
      if (!(excess <= worst)) {  // NaN too
        worst = excess;
        worst_row = row;
        worst_column = j;
      }
    }
  EXPECT_TRUE(worst <= 1) << "row " << worst_row << " column " << worst_column << " of " << x.shape() << ": "
                          << element(x, worst_row, worst_column) << ", expected "
                          << element(expected, worst_row, worst_column) << ", " << worst
                          << " times the tolerance";
}

inline void expect_equal(const Tensor& x, const Tensor& expected) { expect_close(x, expected, {1e-300, 0}); }

}  // namespace tstitch
