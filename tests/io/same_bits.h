#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "tstitch/tensor/tensor.h"

namespace tstitch {

// Bit for bit, NaNs among themselves.
inline void expect_same(const Tensor& a, const Tensor& b) {
  ASSERT_EQ(a.shape(), b.shape());
  for (int64_t i = 0; i < a.elements(); ++i) {
    const float x = a.data<float>()[i], y = b.data<float>()[i];
    if (std::isnan(x) && std::isnan(y)) continue;
    ASSERT_EQ(std::bit_cast<uint32_t>(x), std::bit_cast<uint32_t>(y)) << i << ": " << x << " and " << y;
  }
}

}  // namespace tstitch
