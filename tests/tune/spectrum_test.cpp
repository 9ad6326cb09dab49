#include "tstitch/tune/spectrum.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "analyses.h"
#include "tests/support/fake_device.h"

namespace tstitch {
namespace {

void expect_near(const std::vector<double>& found, const std::vector<double>& expected, double tolerance) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], tolerance) << i;
}

TEST(Spectrum, AgreesWithNumPy) {
  for (const nlohmann::json& golden : golden_analyses("spectrum")) {
    const Shape shape = shape_of(golden);
    SCOPED_TRACE(shape);
    LogAmplitude whole(shape[2], shape[3]), parts(shape[2], shape[3]);
    const Tensor x = array("latents", shape);
    whole.add(x);
    for (int64_t i = 0; i < shape[0]; ++i) parts.add(x.slice(i, i + 1));
    expect_near(whole.radial(), golden["radial"], 1e-10);
    expect_near(whole.diagonal(), golden["diagonal"], 1e-10);
    expect_near(parts.radial(), whole.radial(), 1e-13);
    EXPECT_EQ(LogAmplitude::frequencies(shape[2], shape[3]).size(), golden["radial"].size());
  }
}

// A wave of 5 periods in 20 pixels: everything is at 2 * 5 / 20 of the highest frequency, in both directions.
TEST(Spectrum, OfAWaveIsItsFrequency) {
  constexpr int64_t kSide = 20;
  for (const bool along_rows : {false, true}) {
    Tensor x({1, 1, kSide, kSide}, DType::f32);
    for (int64_t i = 0; i < kSide * kSide; ++i)
      x.data<float>()[i] = static_cast<float>(std::cos(
          2 * std::numbers::pi * 5 * static_cast<double>(along_rows ? i % kSide : i / kSide) / kSide));
    LogAmplitude amplitude(kSide, kSide);
    amplitude.add(x);
    const std::vector<double> radial = amplitude.radial(),
                              frequencies = LogAmplitude::frequencies(kSide, kSide);
    EXPECT_EQ(std::ranges::max_element(radial) - radial.begin(), 5);
    EXPECT_DOUBLE_EQ(frequencies[5], 0.5);
    EXPECT_DOUBLE_EQ(frequencies.back(), 1);
  }
}

TEST(Spectrum, FollowsTheTrajectory) {
  const Small small({"two", "one"});
  RunObserver silent;
  const std::vector<StepSpectrum> steps =
      latent_spectrum(*small.backend, small.models, *small.spec, silent, small.inputs);
  const RunResult result = run(*small.backend, small.models, *small.spec, silent);
  ASSERT_EQ(steps.size(), 7u);
  for (int i = 0; i <= 6; ++i) EXPECT_EQ(steps[static_cast<size_t>(i)].step, i);
  EXPECT_EQ(steps[0].level, small.spec->trajectory[0].level);
  EXPECT_EQ(steps[6].level, small.spec->trajectory[5].next);
  LogAmplitude last(28, 28);
  last.add(result.latents);
  expect_near(steps[6].radial, last.radial(), 1e-12);
  // Of the noise at the start, E log |F| = log sqrt(H W) - Euler's constant / 2, whatever the frequency.
  for (size_t ring = 3; ring < steps[0].radial.size(); ++ring)
    EXPECT_NEAR(steps[0].radial[ring], std::log(28) - 0.5772 / 2, 0.35);
}

TEST(Spectrum, OnADeviceIsThatOfTheHost) {
  const Small host({"two", "one"}), device({"two", "one"}, fake_device({.dtype = "f32", .threads = 2}));
  RunObserver silent;
  const auto spectrum = [&](const Small& small) {
    return latent_spectrum(*small.backend, small.models, *small.spec, silent, small.inputs);
  };
  const std::vector<StepSpectrum> found = spectrum(device), expected = spectrum(host);
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(found[i].radial, expected[i].radial);
}

TEST(Spectrum, OfACancelledRunIsNothing) {
  const Small small({"two", "one"});
  Impatient observer;
  EXPECT_TRUE(latent_spectrum(*small.backend, small.models, *small.spec, observer, small.inputs).empty());
}

}  // namespace
}  // namespace tstitch
