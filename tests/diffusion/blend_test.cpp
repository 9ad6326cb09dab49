#include "tstitch/diffusion/blend.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "tests/diffusion/exact_denoisers.h"
#include "tstitch/diffusion/noise.h"
#include "tstitch/diffusion/sample.h"

namespace tstitch {
namespace {

using testing::backend;
using testing::GaussianDenoiser;
using testing::scramble;
using testing::tensor_of;
using testing::values_of;

const Shape kShape = {2, 4, 4, 2};  // (N, H, W, C)
constexpr int kSteps = 8;

NoiseSchedule schedule() { return NoiseSchedule::linear(1e-4, 2e-2, 1000); }

// Ends before t = 0, where noise is left.
Trajectory trajectory(bool clean) {
  std::vector<NoiseLevel> levels = schedule().levels(std::vector<int>{900, 780, 660, 540, 420, 300, 180, 60});
  if (!clean) levels.back() = schedule().level(20);
  return Trajectory(levels, std::vector<int>(kSteps, 0));
}

// The upper half is painted.
Tensor upper_half() {
  return tensor_of({4, 4}, [](int64_t i) { return i < 8 ? 1 : 0; });
}
bool is_painted(int64_t element) { return element % 32 < 16; }

struct Watch final : Observer {
  bool after(const Step& step, const Tensor& x) override {
    levels.push_back(step.next);
    seen.push_back(values_of(x));
    return true;
  }
  std::vector<NoiseLevel> levels;
  std::vector<std::vector<float>> seen;
};

class Blending : public ::testing::TestWithParam<const char*> {
 protected:
  // seeds: of the images.
  std::vector<float> run(Blend blend, const Tensor& mask, bool clean = true, Observer* watch = nullptr,
                         bool is_blended = true) {
    const Trajectory along = trajectory(clean);
    const auto base = make_solver(
        backend(), GetParam(), {.eta = 0.5, .schedule = std::make_shared<const NoiseSchedule>(schedule())});
    BlendedSolver solver(backend(), *base, blend, {.clean = z0_, .noise = noise_.initial(), .painted = mask},
                         {is_blended}, along.size() - 1);
    Denoiser* const denoisers[] = {&denoiser_};
    return values_of(sample(along, denoisers, solver, noise_, noise_.initial(), watch).x);
  }
  std::vector<float> plain() {
    const Trajectory along = trajectory(true);
    const auto base = make_solver(
        backend(), GetParam(), {.eta = 0.5, .schedule = std::make_shared<const NoiseSchedule>(schedule())});
    Denoiser* const denoisers[] = {&denoiser_};
    return values_of(sample(along, denoisers, *base, noise_, noise_.initial()).x);
  }

  GaussianDenoiser denoiser_{0.7, 0.4};
  const Tensor z0_ = tensor_of(kShape, [](int64_t i) { return scramble(i, 1); });
  PhiloxNoise noise_{backend(), {3, 4}, {2, 4, 4}};
};

INSTANTIATE_TEST_SUITE_P(Solvers, Blending,
                         ::testing::Values("ddim", "ddpm", "pndm", "euler_a", "heun", "dpm2", "lms", "deis",
                                           "dpm++2s", "dpm++2m", "dpm++2m_sde", "unipc", "lcm", "tcd"));

TEST_P(Blending, WhatIsKnownStaysTheCleanLatentUnderTheNoiseOfTheStart) {
  const std::vector<float> z0 = values_of(z0_), noise = values_of(noise_.initial());
  for (const bool clean : {true, false}) {
    Watch watch;
    const std::vector<float> last = run(Blend::step, upper_half(), clean, &watch);
    for (size_t step = 0; step < watch.seen.size(); ++step) {
      const NoiseLevel level = step + 1 == kSteps ? kClean : watch.levels[step];
      for (int64_t i = 0; i < std::ssize(z0); ++i)
        if (!is_painted(i)) {
          const auto e = static_cast<size_t>(i);
          EXPECT_NEAR(watch.seen[step][e], level.alpha * z0[e] + level.sigma * noise[e], 1e-5);
        }
    }
    for (size_t i = 0; i < z0.size(); ++i) {
      EXPECT_EQ(last[i] == z0[i], !is_painted(static_cast<int64_t>(i))) << i;
    }
  }
}

TEST_P(Blending, WhatIsKnownOfX0IsWhereItEnds) {
  const std::vector<float> z0 = values_of(z0_), last = run(Blend::x0, upper_half());
  for (int64_t i = 0; i < std::ssize(z0); ++i)
    if (!is_painted(i)) {
      EXPECT_NEAR(last[static_cast<size_t>(i)], z0[static_cast<size_t>(i)], 2e-4) << i;
    }
}

// Pixels of this denoiser know nothing of each other: what is painted is what it is without a mask.
TEST_P(Blending, WhatIsPaintedIsUntouched) {
  const std::vector<float> whole = plain();
  const Tensor all = tensor_of({4, 4}, [](int64_t) { return 1; });
  for (const Blend blend : {Blend::step, Blend::x0}) {
    EXPECT_EQ(run(blend, all), whole);
    const std::vector<float> half = run(blend, upper_half());
    for (int64_t i = 0; i < std::ssize(whole); ++i)
      if (is_painted(i)) {
        EXPECT_EQ(half[static_cast<size_t>(i)], whole[static_cast<size_t>(i)]);
      }
    EXPECT_EQ(run(blend, upper_half(), true, nullptr, false), whole);  // a denoiser that sees the mask itself
  }
}

TEST(Blend, ASoftMaskIsAShare) {
  const auto base = make_solver(backend(), "ddim", {});
  const Shape one = {1, 1, 2, 1};
  const auto full = [&](double value) { return tensor_of(one, [&](int64_t) { return value; }); };
  const Tensor mask = tensor_of({1, 2}, [](int64_t i) { return i == 0 ? 0.25 : 1; });
  const Step step = {.index = 0, .level = {500, 0.6, 0.8}, .next = {400, 0.8, 0.6}, .denoiser = 0};
  const Tensor x = full(1);
  const auto answer = [&](const Tensor&, const NoiseLevel&) { return Prediction{full(2), full(-1), {}}; };
  const auto found = [&](Blend blend) {
    BlendedSolver solver(backend(), *base, blend, {.clean = full(4), .noise = full(3), .painted = mask},
                         {true}, 1);
    return values_of(solver.step(answer, x, step, [] { return Tensor(); }));
  };
  const double painted = 0.8 * 2 + 0.6 * -1, known = 0.8 * 4 + 0.6 * 3;
  EXPECT_NEAR(found(Blend::step)[0], 0.25 * painted + 0.75 * known, 1e-6);
  EXPECT_NEAR(found(Blend::step)[1], painted, 1e-6);
  const double exact_eps = (1 - 0.6 * 4) / 0.8;
  EXPECT_NEAR(found(Blend::x0)[0], 0.8 * (0.25 * 2 + 0.75 * 4) + 0.6 * (0.25 * -1 + 0.75 * exact_eps), 1e-6);
  EXPECT_NEAR(found(Blend::x0)[1], painted, 1e-6);
}

// Every question shows the network what is known at its level.
TEST(Blend, SecondQuestionsSeeWhatIsKnown) {
  for (const char* name : {"heun", "dpm2"}) {
    const auto base =
        make_solver(backend(), name, {.schedule = std::make_shared<const NoiseSchedule>(schedule())});
    const Shape one = {1, 1, 1, 1};
    const auto full = [&](double value) { return tensor_of(one, [&](int64_t) { return value; }); };
    BlendedSolver solver(
        backend(), *base, Blend::step,
        {.clean = full(4), .noise = full(3), .painted = tensor_of({1, 1}, [](int64_t) { return 0; })}, {true},
        1);
    const Step step = {
        .index = 0, .level = schedule().level(500), .next = schedule().level(400), .denoiser = 0};
    std::vector<double> asked, known;
    solver.step(
        [&](const Tensor& x, const NoiseLevel& level) {
          asked.push_back(values_of(x)[0]);
          known.push_back(level.alpha * 4 + level.sigma * 3);
          return Prediction{full(0), full(0), {}};
        },
        full(1), step, [&] { return full(0); });
    ASSERT_EQ(asked.size(), 2u);
    EXPECT_EQ(asked[0], 1);
    EXPECT_NEAR(asked[1], known[1], 1e-6);
  }
}

}  // namespace
}  // namespace tstitch
