// The logic of the tile products on emulated tiles; the whole of the AMX path runs in op_conformance_test.cpp
// as "amx_emulated".
#include "tstitch/backend/cpu/amx.h"

#include <gtest/gtest.h>

#include <vector>

#include "tstitch/backend/cpu/amx_gemm.h"
#include "tstitch/tensor/dtype.h"

namespace tstitch::cpu {
namespace {

// Whole numbers small enough for exact products.
float number(int64_t i) { return static_cast<float>(i * 7 % 23 - 11); }

TEST(Amx, ProductsOfPackedPanelsAreExact) {
  for (const int64_t inputs : {1, 31, 32, 70})
    for (const int64_t outputs : {1, 17, 32})
      for (const int64_t rows : {16, 32}) {
        SCOPED_TRACE(testing::Message() << rows << " x " << inputs << " -> " << outputs);
        constexpr int64_t kStep = kAmxStep<uint16_t>;
        const int64_t steps = (inputs + kStep - 1) / kStep, x_stride = steps * kStep + 5;
        std::vector<uint16_t> x(static_cast<size_t>(rows * x_stride)),
            w(static_cast<size_t>(outputs * inputs));
        std::vector<uint16_t> panel(static_cast<size_t>(steps * kStep * kAmxColumns), 0xffff);
        for (int64_t i = 0; i < std::ssize(w); ++i) w[i] = to_bfloat16(number(i)).bits;
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t k = 0; k < inputs; ++k) x[r * x_stride + k] = to_bfloat16(number(3 * r + k)).bits;

        amx_pack_panel(w.data(), inputs, outputs, inputs, panel.data());
        std::vector<float> sums(static_cast<size_t>(rows * kAmxColumns), -1.f);
        EmulatedTiles tiles;
        amx_multiply(tiles, x.data(), x_stride, rows, panel.data(), steps, {panel.data(), 0, 32},
                     {sums.data()});

        for (int64_t r = 0; r < rows; ++r)
          for (int64_t n = 0; n < kAmxColumns; ++n) {
            float expected = 0;
            for (int64_t k = 0; n < outputs && k < inputs; ++k)
              expected += number(3 * r + k) * number(n * inputs + k);
            ASSERT_EQ(sums[r * kAmxColumns + n], expected) << "row " << r << " column " << n;
          }
      }
}

TEST(Amx, HardwareAgreesWithTheEmulation) {
  if (!request_amx()) GTEST_SKIP() << "this processor has no AMX";
  EXPECT_TRUE(amx_self_check());
}

}  // namespace
}  // namespace tstitch::cpu
