#include "tstitch/diffusion/noise_schedule.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

#include "tests/support/expect_error.h"

namespace tstitch {
namespace {

using testing::expect_error;

// numpy.cumprod(1 - numpy.linspace(1e-4, 2e-2, 1000)), all digits.
TEST(NoiseSchedule, LinearIsTheOneOfDiT) {
  const NoiseSchedule schedule = NoiseSchedule::linear(1e-4, 2e-2, 1000);
  EXPECT_EQ(schedule.train_timesteps(), 1000);
  EXPECT_DOUBLE_EQ(schedule.alphas_cumprod()[0], 0.9999);
  EXPECT_DOUBLE_EQ(schedule.alphas_cumprod()[1], 0.9997800920720721);
  EXPECT_DOUBLE_EQ(schedule.alphas_cumprod()[500], 0.07779665836502389);
  EXPECT_DOUBLE_EQ(schedule.alphas_cumprod()[999], 4.035829765375676e-05);
}

// numpy.cumprod(1 - numpy.linspace(0.00085 ** 0.5, 0.012 ** 0.5, 1000) ** 2), all digits.
TEST(NoiseSchedule, ScaledLinearIsTheOneOfStableDiffusion) {
  const NoiseSchedule schedule = NoiseSchedule::scaled_linear(0.00085, 0.012, 1000);
  EXPECT_DOUBLE_EQ(schedule.alphas_cumprod()[0], 0.99915);
  EXPECT_DOUBLE_EQ(schedule.alphas_cumprod()[500], 0.2763326838229746);
  EXPECT_DOUBLE_EQ(schedule.alphas_cumprod()[999], 0.004660098513077238);
}

// numpy.cumprod(1 - betas) with diffusers' betas_for_alpha_bar(1000), all digits; the last beta is capped.
TEST(NoiseSchedule, CosineIsTheOneOfIddpm) {
  const NoiseSchedule schedule = NoiseSchedule::cosine(1000);
  EXPECT_NEAR(schedule.alphas_cumprod()[0] / 0.999958715775178, 1, 1e-12);
  EXPECT_NEAR(schedule.alphas_cumprod()[500] / 0.49228517244880304, 1, 1e-12);
  EXPECT_NEAR(schedule.alphas_cumprod()[999] / 2.4287669070348567e-09, 1, 1e-9);
  expect_error(ErrorKind::input, "a noise schedule of 0 timesteps", [] { NoiseSchedule::cosine(0); });
}

TEST(NoiseSchedule, BetweenTheTimestepsTheRatioIsLinear) {
  const NoiseSchedule schedule = NoiseSchedule::linear(1e-4, 2e-2, 1000);
  const auto ratio = [](const NoiseLevel& level) { return level.sigma / level.alpha; };
  for (const int t : {0, 1, 500, 998}) {
    EXPECT_EQ(schedule.level_between(t), schedule.level(t));
    const NoiseLevel level = schedule.level_between(t + 0.25);
    EXPECT_EQ(level.t, t + 0.25);
    EXPECT_NEAR(ratio(level), 0.75 * ratio(schedule.level(t)) + 0.25 * ratio(schedule.level(t + 1)),
                1e-12 * ratio(level));
    EXPECT_NEAR(level.alpha * level.alpha + level.sigma * level.sigma, 1, 1e-15);
  }
  EXPECT_EQ(schedule.level_between(999), schedule.level(999));
  expect_error(ErrorKind::internal, "timestep 999.5 of", [&] { schedule.level_between(999.5); });
  expect_error(ErrorKind::internal, "timestep -0.5 of", [&] { schedule.level_between(-0.5); });
}

TEST(NoiseSchedule, ARatioHasATimestep) {
  const NoiseSchedule schedule = NoiseSchedule::linear(1e-4, 2e-2, 1000);
  const auto ratio = [&](int t) { return schedule.level(t).sigma / schedule.level(t).alpha; };
  for (const int t : {0, 1, 500, 999}) EXPECT_NEAR(schedule.timestep_of_ratio(ratio(t)), t, 1e-9);
  EXPECT_NEAR(schedule.timestep_of_ratio(std::sqrt(ratio(10) * ratio(11))), 10.5, 1e-9);
  EXPECT_EQ(schedule.timestep_of_ratio(1e-6), 0);
  EXPECT_EQ(schedule.timestep_of_ratio(1e6), 999);
}

TEST(NoiseSchedule, LevelsKeepUnitVariance) {
  const NoiseSchedule schedule = NoiseSchedule::linear(1e-4, 2e-2, 1000);
  for (int t = 0; t < 1000; ++t) {
    const NoiseLevel level = schedule.level(t);
    EXPECT_EQ(level.t, t);
    EXPECT_DOUBLE_EQ(level.alpha * level.alpha, schedule.alphas_cumprod()[t]);
    EXPECT_DOUBLE_EQ(level.alpha * level.alpha + level.sigma * level.sigma, 1);
  }
  expect_error(ErrorKind::internal, "timestep 1000 of", [&] { schedule.level(1000); });
  expect_error(ErrorKind::internal, "timestep -1 of", [&] { schedule.level(-1); });
}

TEST(NoiseSchedule, LevelsOfATrajectoryEndClean) {
  const NoiseSchedule schedule = NoiseSchedule::linear(1e-4, 2e-2, 1000);
  const std::vector<int> timesteps = {999, 500, 0};
  const std::vector<NoiseLevel> levels = schedule.levels(timesteps);
  ASSERT_EQ(levels.size(), 4u);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(levels[i], schedule.level(timesteps[i]));
  EXPECT_EQ(levels[3], kClean);
}

TEST(NoiseSchedule, CanEndWithoutAnySignal) {
  const NoiseSchedule trained = NoiseSchedule::scaled_linear(0.00085, 0.012, 1000);
  const NoiseSchedule zero = trained.zero_terminal_snr();
  EXPECT_DOUBLE_EQ(zero.alphas_cumprod()[0], trained.alphas_cumprod()[0]);
  EXPECT_LT(zero.alphas_cumprod()[500], trained.alphas_cumprod()[500]);
  EXPECT_EQ(zero.level(999), (NoiseLevel{999, 0, 1}));
  EXPECT_EQ(zero.with_finite_ratios().level(999).alpha, 0x1p-12);
  EXPECT_EQ(zero.with_finite_ratios().level(998), zero.level(998));
  EXPECT_EQ(trained.with_finite_ratios().level(999), trained.level(999));
  expect_error(ErrorKind::input, "1 timesteps",
               [] { NoiseSchedule::of(std::array{0.1}).zero_terminal_snr(); });
  expect_error(ErrorKind::input, "a beta of 1,", [] { NoiseSchedule::of(std::array{0.1, 1.0}); });
}

TEST(NoiseSchedule, OneTimestepIsASchedule) {
  EXPECT_DOUBLE_EQ(NoiseSchedule::linear(0.1, 0.2, 1).alphas_cumprod()[0], 0.9);
}

TEST(NoiseSchedule, RefusesParametersOutOfRange) {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  for (const auto& make : {NoiseSchedule::linear, NoiseSchedule::scaled_linear}) {
    expect_error(ErrorKind::input, "betas from 0 to 0.02", [&] { make(0, 0.02, 1000); });
    expect_error(ErrorKind::input, "betas from 0.02 to 0.01", [&] { make(0.02, 0.01, 1000); });
    expect_error(ErrorKind::input, "betas from 0.02 to 1,", [&] { make(0.02, 1, 1000); });
    expect_error(ErrorKind::input, "betas from nan", [&] { make(kNaN, 0.02, 1000); });
    expect_error(ErrorKind::input, "to nan", [&] { make(0.01, kNaN, 1000); });
    expect_error(ErrorKind::input, "0 timesteps", [&] { make(0.01, 0.02, 0); });
    expect_error(ErrorKind::input, "2000000000 timesteps", [&] { make(0.01, 0.02, 2'000'000'000); });
  }
}

}  // namespace
}  // namespace tstitch
