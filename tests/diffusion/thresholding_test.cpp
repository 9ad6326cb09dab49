#include "tstitch/diffusion/thresholding.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "tests/diffusion/exact_denoisers.h"

namespace tstitch {
namespace {

using testing::backend;
using testing::tensor_of;
using testing::values_of;

// Magnitudes 0, 1, 2, 3, 4: the share 0.8 of them lies at 3.2. The second image's largest stays below 1.
Tensor two_images() {
  return tensor_of({2, 1, 5, 1}, [](int64_t i) {
    const auto k = static_cast<double>(i);
    return i < 5 ? (i % 2 ? -k : k) : 0.1 * (k - 5);
  });
}

void expect_values(const Tensor& found, const std::vector<double>& expected) {
  const std::vector<float> values = values_of(found);
  ASSERT_EQ(values.size(), expected.size());
  for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], expected[i], 1e-6) << i;
}

TEST(Thresholding, CutsEveryImageAtItsOwnQuantile) {
  expect_values(thresholded(backend(), two_images(), {.ratio = 0.8, .most = 10}),
                {0, -1 / 3.2, 2 / 3.2, -3 / 3.2, 1, 0, 0.1, 0.2, 0.3, 0.4});
  expect_values(thresholded(backend(), two_images(), {.ratio = 0.8, .most = 2}),
                {0, -0.5, 1, -1, 1, 0, 0.1, 0.2, 0.3, 0.4});
  expect_values(thresholded(backend(), two_images(), {.ratio = 1, .most = 10}),
                {0, -0.25, 0.5, -0.75, 1, 0, 0.1, 0.2, 0.3, 0.4});
}

// DDIM's direction is the network's own, as in diffusers; the batch is none of an image's business.
TEST(Thresholding, IsOfX0Alone) {
  const auto plain = make_solver(backend(), "ddim", {}),
             cut = make_solver(backend(), "ddim", {.thresholding = Thresholding{.ratio = 0.8, .most = 2}});
  const Tensor x = two_images();
  const auto denoise = [&](const Tensor& at, const NoiseLevel&) { return Prediction{at, at, {}}; };
  const Step step = {.index = 0, .level = {500, 0.6, 0.8}, .next = {400, 0.8, 0.6}, .denoiser = 0};
  const auto noise = [] { return Tensor(); };
  const std::vector<float> found = values_of(cut->step(denoise, x, step, noise)),
                           x0 = values_of(thresholded(backend(), x, {.ratio = 0.8, .most = 2})),
                           eps = values_of(x);
  for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], 0.8 * x0[i] + 0.6 * eps[i], 1e-6);
  EXPECT_NE(found, values_of(plain->step(denoise, x, step, noise)));
}

}  // namespace
}  // namespace tstitch
