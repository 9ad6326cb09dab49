// Switching image by image: the measure by hand, and the rule.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/diffusion/exact_denoisers.h"
#include "tstitch/diffusion/adaptive_switch.h"

namespace tstitch {
namespace {

using testing::tensor_of;

constexpr NoiseLevel kLevel = {.t = 500, .alpha = 0.6, .sigma = 0.8};

TEST(DetailToNoise, IsTheMeanSquareOfNeighbours) {
  // 2 x 3 pixels of 2 channels: 7 pairs of each channel.
  const float x[] = {0, 10, 1, 10, 3, 10,   //
                     2, 10, 2, 10, 2, 14};  // the second channel is flat but for one pixel
  const double first = 1 + 4 + 0 + 0 + 4 + 1 + 1, second = 16 + 16;
  EXPECT_DOUBLE_EQ(detail_to_noise(make_tensor<float>({2, 3, 2}, x), kLevel),
                   0.6 / 0.8 * std::sqrt((first + second) / 14));
}

TEST(DetailToNoise, SeesNoOutlinesOfAFlatImage) {
  EXPECT_EQ(detail_to_noise(tensor_of({4, 4, 3}, [](int64_t i) { return i % 3; }), kLevel), 0);
}

TEST(DetailToNoise, DoesNotWrapAtTheEndOfARow) {
  // Rows 0 ... 7: 7 pairs of 1 in a row, 8 pairs of 0 between two rows.
  EXPECT_DOUBLE_EQ(detail_to_noise(tensor_of({2, 8, 1}, [](int64_t i) { return i % 8; }), kLevel),
                   0.75 * std::sqrt(14.0 / 22));
}

TEST(DetailToNoise, IsThatOfWhatIsPainted) {
  const float x[] = {0, 1, 3, 7,  //
                     2, 2, 2, 8};
  const float mask[] = {1, 1,   0, 0,  //
                        1, 0.5, 0, 0};
  // Pairs in rows, then in columns: each square and the mean of its two pixels' shares.
  const double squares = 1 * 1 + 4 * 0.5 + 16 * 0 + 0 * 0.75 + 0 * 0.25 + 36 * 0  //
                         + 4 * 1 + 1 * 0.75 + 1 * 0 + 1 * 0,
               weights = 1 + 0.5 + 0 + 0.75 + 0.25 + 0 + 1 + 0.75 + 0 + 0;
  const Tensor image = make_tensor<float>({2, 4, 1}, x), painted = make_tensor<float>({2, 4}, mask);
  EXPECT_DOUBLE_EQ(detail_to_noise(image, kLevel, painted), 0.75 * std::sqrt(squares / weights));
  // A mask of ones is none; of one pixel only its neighbours count.
  EXPECT_EQ(detail_to_noise(image, kLevel, tensor_of({2, 4}, [](int64_t) { return 1; })),
            detail_to_noise(image, kLevel));
  EXPECT_DOUBLE_EQ(detail_to_noise(image, kLevel, tensor_of({2, 4}, [](int64_t i) { return i == 7; })),
                   0.75 * std::sqrt((36 + 1) / 2.0));
}

// Images that alternate between 0 and their amplitude from pixel to pixel.
Tensor checkered(const std::vector<double>& amplitudes) {
  return tensor_of({std::ssize(amplitudes), 2, 2, 1}, [&](int64_t i) {
    return (i % 4 == 1 || i % 4 == 2) ? amplitudes[static_cast<size_t>(i / 4)] : 0;
  });
}

std::vector<int> to_vector(std::span<const int> values) { return {values.begin(), values.end()}; }

TEST(AdaptiveSwitch, EveryImageGoesOverByItselfAndForGood) {
  AdaptiveSwitch rule(3, 0.7);
  EXPECT_EQ(to_vector(rule.serving()), (std::vector{0, 0, 0}));
  rule.observe(checkered({0.1, 1, 0.1}), kLevel);  // 0.75 of the amplitude
  EXPECT_EQ(to_vector(rule.serving()), (std::vector{0, 1, 0}));
  rule.observe(checkered({0.5, 0.1, 2}), kLevel);
  EXPECT_EQ(to_vector(rule.serving()), (std::vector{0, 1, 1}));
  rule.observe(checkered({0.5, 0.1, 0.1}), kLevel);
  EXPECT_EQ(to_vector(rule.serving()), (std::vector{0, 1, 1}));
  EXPECT_EQ(to_vector(rule.small_steps()), (std::vector{3, 1, 2}));
}

TEST(AdaptiveSwitch, LooksAtWhatIsPainted) {
  // The first is rough on the left, the second on the right.
  const Tensor images = tensor_of({2, 2, 4, 1}, [](int64_t i) { return i % 2 * ((i % 4 < 2) == (i < 8)); });
  AdaptiveSwitch whole(2, 0.3), left(2, 0.3, tensor_of({2, 4}, [](int64_t i) { return i % 4 == 0; }));
  whole.observe(images, kLevel);
  left.observe(images, kLevel);
  EXPECT_EQ(to_vector(whole.serving()), (std::vector{1, 1}));
  EXPECT_EQ(to_vector(left.serving()), (std::vector{1, 0}));
}

TEST(AdaptiveSwitch, TheThresholdItselfIsNotEnough) {
  AdaptiveSwitch rule(1, 0.75);
  rule.observe(checkered({1}), kLevel);
  EXPECT_EQ(rule.serving()[0], 0);
}

}  // namespace
}  // namespace tstitch
