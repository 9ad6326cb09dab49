#include "tstitch/base/philox.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tstitch {
namespace {

// philox4x32, 10 rounds, of Random123's tests/kat_vectors (Salmon et al. 2011). The last vector is digits of
// pi.
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox({0, 0, 0, 0}, 0), (PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({~0u, ~0u, ~0u, ~0u}, ~uint64_t{0}),
            (PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0x299f31d0a4093822),
            (PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(PhiloxNormal, IsBoxMuller) {
  // u = 1/2, angle = 0 and u = 1/4, angle = pi / 2.
  const auto normal = philox_normal({0x7fffffff, 0, 0x3fffffff, 0x40000000});
  EXPECT_FLOAT_EQ(normal[0], static_cast<float>(std::sqrt(2 * std::log(2.0))));
  EXPECT_FLOAT_EQ(normal[1], 0);
  EXPECT_NEAR(normal[2], 0, 1e-7);
  EXPECT_FLOAT_EQ(normal[3], static_cast<float>(std::sqrt(2 * std::log(4.0))));
}

TEST(PhiloxNormal, IsFiniteAtBothEnds) {
  for (const uint32_t bits : {0u, ~0u})
    for (const float x : philox_normal({bits, bits, bits, bits})) EXPECT_TRUE(std::isfinite(x));
}

// Over n = 400,000 numbers the k-th sample moment has a standard deviation of about sqrt(m_2k / n): 0.0016,
// 0.0022, 0.0061, 0.016. The bounds are five of them; the numbers are always the same.
TEST(PhiloxNormal, HasTheMomentsOfTheNormalDistribution) {
  constexpr int kBlocks = 100'000;
  double m1 = 0, m2 = 0, m3 = 0, m4 = 0, neighbours = 0;
  for (uint32_t i = 0; i < kBlocks; ++i) {
    const auto normal = philox_normal(philox({i, 0, 0, 0}, 1234));
    for (const double x : normal) {
      m1 += x;
      m2 += x * x;
      m3 += x * x * x;
      m4 += x * x * x * x;
    }
    neighbours +=
        double{normal[0]} * normal[1] + double{normal[1]} * normal[2] + double{normal[2]} * normal[3];
  }
  constexpr double n = 4.0 * kBlocks;
  EXPECT_NEAR(m1 / n, 0, 0.008);
  EXPECT_NEAR(m2 / n, 1, 0.011);
  EXPECT_NEAR(m3 / n, 0, 0.031);
  EXPECT_NEAR(m4 / n, 3, 0.08);
  EXPECT_NEAR(neighbours / (3.0 * kBlocks), 0, 0.01);
}

}  // namespace
}  // namespace tstitch
