// Switching image by image: the measure by hand, the rule, and that a row of a routed batch is what it would
// be alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "tests/diffusion/exact_denoisers.h"
#include "tests/support/expect_error.h"
#include "tstitch/diffusion/adaptive_switch.h"
#include "tstitch/diffusion/respacing.h"
#include "tstitch/diffusion/routed_denoiser.h"
#include "tstitch/diffusion/sample.h"
#include "tstitch/diffusion/switch_rule.h"

namespace tstitch {
namespace {

using testing::backend;
using testing::expect_error;
using testing::GaussianDenoiser;
using testing::tensor_of;
using testing::values_of;

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

TEST(AdaptiveSwitch, TheThresholdItselfIsNotEnough) {
  AdaptiveSwitch rule(1, 0.75);
  rule.observe(checkered({1}), kLevel);
  EXPECT_EQ(rule.serving()[0], 0);
}

// ---- routing

// A denoiser that knows which rows it was bound to, as one with classes does: row n has the mean n / 10.
class RowDenoiser final : public Denoiser {
 public:
  RowDenoiser(double deviation, std::span<const int64_t> rows, bool with_variance = false)
      : deviation_(deviation), rows_(rows.begin(), rows.end()), with_variance_(with_variance) {}

  Prediction predict(const Tensor& x, const NoiseLevel& level) const override {
    EXPECT_EQ(x.extent(0), std::ssize(rows_));
    Prediction all{Tensor(x.shape(), DType::f32), Tensor(x.shape(), DType::f32), {}};
    for (int64_t n = 0; n < x.extent(0); ++n) {
      const auto row = static_cast<double>(rows_[static_cast<size_t>(n)]);
      const Prediction one = GaussianDenoiser(row / 10, deviation_).predict(x.slice(n, n + 1), level);
      std::copy_n(one.x0.data<float>(), one.x0.elements(), all.x0.slice(n, n + 1).data<float>());
      std::copy_n(one.eps.data<float>(), one.eps.elements(), all.eps.slice(n, n + 1).data<float>());
    }
    if (with_variance_) all.variance = tensor_of(x.shape(), [&](int64_t) { return deviation_ - 0.4; });
    return all;
  }

 private:
  double deviation_;
  std::vector<int64_t> rows_;
  bool with_variance_;
};

constexpr double kDeviation[] = {0.5, 0.3};
constexpr int kStepCount = 12;

Trajectory trajectory_of(const std::vector<int>& assignment) {
  std::vector<int> timesteps = respaced_timesteps(std::to_string(kStepCount), 1000);
  std::ranges::reverse(timesteps);
  return Trajectory(NoiseSchedule::linear(1e-4, 2e-2, 1000).levels(timesteps), assignment);
}

// After how many steps each of the images goes over.
const std::vector<int> kSwitches = {3, 0, 7, 3, 12};

std::vector<float> fixed(const std::string& solver, uint64_t image, int switch_step) {
  PhiloxNoise noise(backend(), {3 + image}, {2, 4, 4});
  const int64_t row[] = {static_cast<int64_t>(image)};
  RowDenoiser small(kDeviation[0], row, true), large(kDeviation[1], row, true);
  Denoiser* const denoisers[] = {&small, &large};
  const std::vector<int> at = {switch_step};
  return values_of(sample(trajectory_of(assign_at(at, kStepCount)), denoisers,
                          *make_solver(backend(), solver, {.eta = 0.5}), noise, noise.initial())
                       .x);
}

class Routing : public ::testing::TestWithParam<const char*> {};

TEST_P(Routing, EveryImageIsAsItWouldBeAlone) {
  int bound = 0;
  RoutedDenoiser routed(backend(), [&](int denoiser, std::span<const int64_t> rows) {
    ++bound;
    return std::make_unique<RowDenoiser>(kDeviation[denoiser], rows, true);
  });
  struct Router : Observer {
    explicit Router(RoutedDenoiser& r) : routed(r) {}
    void before(const Step& step) override {
      std::vector<int> serving;
      for (const int at : kSwitches) serving.push_back(step.index >= at);
      routed.route(serving);
    }
    RoutedDenoiser& routed;
  } router(routed);
  PhiloxNoise noise(backend(), {3, 4, 5, 6, 7}, {2, 4, 4});
  Denoiser* const denoisers[] = {&routed};
  const std::vector<float> all =
      values_of(sample(trajectory_of(std::vector<int>(kStepCount)), denoisers,
                       *make_solver(backend(), GetParam(), {.eta = 0.5}), noise, noise.initial(), &router)
                    .x);
  for (uint64_t image = 0; image < kSwitches.size(); ++image) {
    const std::vector<float> alone = fixed(GetParam(), image, kSwitches[image]);
    EXPECT_TRUE(std::ranges::equal(alone, std::span(all).subspan(image * alone.size(), alone.size())))
        << image;
  }
  EXPECT_EQ(bound, 6) << "two at the beginning, two at each of two switches";
}

INSTANTIATE_TEST_SUITE_P(Solvers, Routing,
                         ::testing::Values("ddim", "ddpm", "pndm", "euler", "euler_a", "heun", "dpm++2m",
                                           "dpm++2m_sde", "unipc", "lcm"));

TEST(RoutedDenoiser, BindsOnlyRowsThatChanged) {
  std::vector<std::pair<int, std::vector<int64_t>>> bound;
  RoutedDenoiser routed(backend(), [&](int denoiser, std::span<const int64_t> rows) {
    bound.emplace_back(denoiser, std::vector<int64_t>(rows.begin(), rows.end()));
    return std::make_unique<RowDenoiser>(0.5, rows);
  });
  routed.route(std::vector{0, 2, 1, 0});
  EXPECT_EQ(std::exchange(bound, {}), (decltype(bound){{0, {0, 3}}, {2, {1}}, {1, {2}}}));
  routed.route(std::vector{0, 2, 1, 0});
  EXPECT_TRUE(bound.empty());
  routed.route(std::vector{0, 2, 2, 0});
  EXPECT_EQ(bound, (decltype(bound){{2, {1, 2}}}));
}

TEST(RoutedDenoiser, AnnouncesTheLevelsToCome) {
  // Notes how many levels a denoiser is told when it is bound.
  struct Noting final : Denoiser {
    explicit Noting(std::vector<size_t>& t) : told(t) {}
    Prediction predict(const Tensor& x, const NoiseLevel&) const override { return {x, x, {}}; }
    void prepare(std::span<const NoiseLevel> levels) override { told.push_back(levels.size()); }
    std::vector<size_t>& told;
  };
  std::vector<size_t> told;
  RoutedDenoiser routed(backend(),
                        [&](int, std::span<const int64_t>) { return std::make_unique<Noting>(told); });
  routed.prepare(std::vector<NoiseLevel>(5, kLevel));
  const Tensor x = tensor_of({2, 4, 4, 2}, [](int64_t i) { return static_cast<double>(i) / 64; });
  routed.route(std::vector{0, 0});
  for (int i = 0; i < 3; ++i) routed.predict(x, kLevel);
  routed.route(std::vector{0, 1});
  EXPECT_EQ(told, (std::vector<size_t>{5, 2, 2}));
}

TEST(RoutedDenoiser, RefusesAVarianceOfSomeImagesOnly) {
  RoutedDenoiser routed(backend(), [&](int denoiser, std::span<const int64_t> rows) {
    return std::make_unique<RowDenoiser>(0.5, rows, denoiser == 1);
  });
  routed.route(std::vector{0, 1});
  const Tensor x = tensor_of({2, 4, 4, 2}, [](int64_t i) { return static_cast<double>(i) / 64; });
  expect_error(ErrorKind::input, "predicts a variance", [&] { routed.predict(x, kLevel); });
}

}  // namespace
}  // namespace tstitch
