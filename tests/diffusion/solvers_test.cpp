// Every solver against mathematics: the order at which it converges, and which of them are the same.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "tests/diffusion/exact_denoisers.h"
#include "tstitch/diffusion/flow_schedule.h"
#include "tstitch/diffusion/sample.h"
#include "tstitch/diffusion/timesteps.h"

namespace tstitch {
namespace {

using testing::backend;
using testing::GaussianDenoiser;
using testing::scramble;
using testing::tensor_of;
using testing::values_of;

Tensor some_x(double name) {
  return tensor_of({1, 4, 4, 1}, [=](int64_t i) { return scramble(i, name); });
}

std::vector<float> run(const std::string& solver, const std::vector<NoiseLevel>& levels,
                       const Denoiser& denoiser, const SolverOptions& options = {}) {
  const Trajectory trajectory(levels, std::vector<int>(levels.size() - 1, 0));
  testing::CountingDenoiser counting(denoiser);
  Denoiser* const denoisers[] = {&counting};
  PhiloxNoise noise(backend(), {5}, {1, 4, 4});
  return values_of(
      sample(trajectory, denoisers, *make_solver(backend(), solver, options), noise, some_x(4)).x);
}

// ---- order of convergence

constexpr double kMean = 0.7, kDeviation = 0.4;
using Path = NoiseLevel (*)(double s);  // s = 0 the start, 1 the end

// x = cos(a) x0 + sin(a) eps, evenly in the angle; evenly in sigma / alpha; evenly in log(alpha / sigma).
NoiseLevel by_angle(double s) { return level_of_ratio(0, std::tan(1.4 - 1.2 * s)); }
NoiseLevel by_ratio(double s) { return level_of_ratio(0, 4 - 3.7 * s); }
NoiseLevel by_log_snr(double s) { return level_of_ratio(0, 4 * std::pow(0.05, s)); }

// The probability flow of Gaussian data keeps (x - alpha mean) / deviation of x at every level, so its exact
// solution is known at every level. Largest error over some x, after `steps` steps along the path.
double error(const std::string& solver, Path path, int steps, const SolverOptions& options = {}) {
  std::vector<NoiseLevel> levels;
  for (int i = 0; i <= steps; ++i) levels.push_back(path(static_cast<double>(i) / steps));
  if (solver == "pndm") levels.insert(levels.begin() + 1, levels[1]);
  const GaussianDenoiser gaussian(kMean, kDeviation);
  const std::vector<float> x = run(solver, levels, gaussian, options);
  const NoiseLevel first = levels.front(), last = levels.back();
  double largest = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double z =
        (some_x(4).data<float>()[i] - first.alpha * kMean) / std::sqrt(gaussian.variance_at(first));
    largest =
        std::max(largest, std::abs(x[i] - (last.alpha * kMean + std::sqrt(gaussian.variance_at(last)) * z)));
  }
  return largest;
}

double order(const std::string& solver, Path path, int steps, const SolverOptions& options = {}) {
  return std::log2(error(solver, path, steps, options) / error(solver, path, 2 * steps, options));
}

TEST(Convergence, EulerHasOrderOne) {
  for (const Path path : {by_angle, by_ratio, by_log_snr}) EXPECT_NEAR(order("euler", path, 64), 1, 0.05);
}

TEST(Convergence, HeunHasOrderTwo) {
  for (const Path path : {by_angle, by_ratio, by_log_snr}) EXPECT_NEAR(order("heun", path, 32), 2, 0.1);
}

TEST(Convergence, DpmSolverHasOrderTwo) {
  EXPECT_NEAR(order("dpm++2m", by_angle, 64), 2, 0.2);
  EXPECT_NEAR(order("dpm++2m", by_ratio, 128), 2, 0.4);
}

TEST(Convergence, TheOrderOfTheMultistepSolversIsAChoice) {
  EXPECT_NEAR(order("dpm++2m", by_log_snr, 64, {.order = 1}), 1, 0.1);
  EXPECT_NEAR(order("dpm++2m", by_log_snr, 32, {.heun = true}), 2, 0.2);
  EXPECT_NEAR(order("dpm++2m", by_log_snr, 16, {.order = 3}), 3, 0.3);
  EXPECT_NEAR(order("unipc", by_log_snr, 32, {.order = 1}), 2, 0.2);
  EXPECT_NEAR(order("unipc", by_log_snr, 32, {.bh1 = true}), 3, 0.3);
  EXPECT_NEAR(order("unipc", by_ratio, 48, {.order = 3}), 4, 0.3);
}

// The corrector's order; in log(alpha / sigma) its steps are even, and the asymptote is reached first.
TEST(Convergence, UniPcHasOrderThree) {
  EXPECT_NEAR(order("unipc", by_log_snr, 32), 3, 0.1);
  EXPECT_NEAR(order("unipc", by_angle, 64), 3, 0.25);
}

// Its weights are Adams and Bashforth's for even steps, but the flow moves in sigma / alpha: order 4 needs
// steps that are even there, else it is 2 (Liu et al. 2022, appendix).
TEST(Convergence, PndmHasOrderTwoAndFourWhereItsStepsAreEven) {
  EXPECT_NEAR(order("pndm", by_log_snr, 32), 2, 0.1);
  EXPECT_NEAR(order("pndm", by_ratio, 32), 4, 0.4);
}

TEST(Convergence, AStepOfHigherOrderIsWorthIt) {
  for (const std::string solver : {"heun", "pndm", "dpm++2m", "unipc"})
    EXPECT_LT(error(solver, by_log_snr, 32), error("euler", by_log_snr, 32) / 10) << solver;
}

// ---- solvers that are one

const NoiseSchedule& schedule() {
  static const NoiseSchedule linear = NoiseSchedule::linear(1e-4, 2e-2, 1000);
  return linear;
}

void expect_near(const std::vector<float>& a, const std::vector<float>& b, double tolerance) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], tolerance);
}

const testing::FiniteSetDenoiser& three_points() {
  static const testing::FiniteSetDenoiser denoiser(
      {values_of(some_x(1)), values_of(some_x(2)), values_of(some_x(3))});
  return denoiser;
}

TEST(Solvers, EulerIsDdim) {
  for (const SigmaSpacing sigmas : {SigmaSpacing::discrete, SigmaSpacing::karras}) {
    const auto levels = make_levels("euler", schedule(), "20", {.sigmas = sigmas});
    EXPECT_EQ(run("euler", levels, three_points()), run("ddim", levels, three_points()));
  }
}

TEST(Solvers, AncestralEulerIsDdimWithEtaOneAndDdpm) {
  const auto levels = make_levels("euler_a", schedule(), "20", {});
  const std::vector<float> x = run("euler_a", levels, three_points());
  expect_near(run("ddim", levels, three_points(), {.eta = 1}), x, 2e-5);
  expect_near(run("ddpm", levels, three_points()), x, 2e-5);
}

// The first step of every multistep method is the one without history, the step to the clean level too.
TEST(Solvers, TwoStepsAreOfOrderOne) {
  const auto levels = make_levels("dpm++2m", schedule(), "2", {});
  const std::vector<float> x = run("euler", levels, three_points());
  expect_near(run("dpm++2m", levels, three_points()), x, 1e-5);
  expect_near(run("dpm++2m_sde", levels, three_points()), run("euler_a", levels, three_points()), 1e-5);
}

// From the lowest of Karras's sigmas to "sigma_min", and to no noise at all: h is 0 or infinite, which a
// slope does not survive. diffusers has NaN there.
TEST(Solvers, TheLastStepsOfHighOrderAreFinite) {
  for (const bool clean : {false, true})
    for (const char* solver : {"dpm++2m", "dpm++2m_sde", "unipc"})
      for (const SolverOptions& options :
           {SolverOptions{.order = 3}, SolverOptions{.heun = true, .bh1 = true}}) {
        const auto levels =
            make_levels(solver, schedule(), "10", {.sigmas = SigmaSpacing::karras, .ends_clean = clean});
        for (const float value : run(solver, levels, three_points(), options))
          EXPECT_TRUE(std::isfinite(value)) << solver;
      }
}

TEST(Solvers, UniPcWithoutItsCorrectorIsDpmSolver) {
  const auto levels = make_levels("unipc", schedule(), "10", {});
  const std::vector<int> all = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  expect_near(run("unipc", levels, three_points(), {.uncorrected = all}),
              run("dpm++2m", levels, three_points()), 1e-5);
}

TEST(Solvers, FlowEulerMovesAlongTheVelocity) {
  const GaussianDenoiser gaussian(kMean, kDeviation);
  std::vector<float> expected = values_of(some_x(4));
  const std::vector<NoiseLevel> levels = FlowSchedule{.shift = 3}.levels(10);
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    const Tensor x = tensor_of({1, 4, 4, 1}, [&](int64_t e) { return expected[static_cast<size_t>(e)]; });
    const Prediction at = gaussian.predict(x, levels[i]);
    for (size_t e = 0; e < expected.size(); ++e)
      expected[e] += static_cast<float>((levels[i + 1].sigma - levels[i].sigma) *
                                        (at.eps.data<float>()[e] - at.x0.data<float>()[e]));
  }
  expect_near(run("flow_euler", levels, gaussian), expected, 1e-6);
}

// Where the network is asked so low that c_skip and c_out matter: at t = 0 it must be the identity.
TEST(Solvers, LcmIsTheIdentityAtTheEnd) {
  const auto lcm = make_solver(backend(), "lcm", {});
  const Tensor x = some_x(1), x0 = some_x(2);
  for (const double t : {0.0, 0.05, 1.0}) {
    const std::vector<float> found = values_of(lcm->step(
        [&](const Tensor&, const NoiseLevel&) {
          return Prediction{x0, x0, {}};
        },
        x, {.index = 0, .level = {t, 0.99, std::sqrt(1 - 0.99 * 0.99)}, .next = kClean, .denoiser = 0},
        [] { return Tensor(); }));
    const double squares = 100 * t * t + 0.25;
    for (size_t i = 0; i < found.size(); ++i)
      EXPECT_NEAR(found[i],
                  0.25 / squares * x.data<float>()[i] + 10 * t / std::sqrt(squares) * x0.data<float>()[i],
                  1e-6);
  }
}

// ---- history

constexpr const char* kMultistep[] = {"pndm", "dpm++2m", "dpm++2m_sde", "unipc"};

// From `x` along levels first .. last of the trajectory, model 0 up to level `switch_at`, model 1 from there.
Tensor stitch(Solver& solver, const std::vector<NoiseLevel>& levels, int first, int switch_at, Tensor x) {
  const GaussianDenoiser small(0.3, 0.5), large(kMean, kDeviation);
  PhiloxNoise noise(backend(), {5}, {1, 4, 4});
  solver.reset();
  for (int i = first; i + 1 < std::ssize(levels); ++i) {
    const Denoiser& denoiser = i < switch_at ? static_cast<const Denoiser&>(small) : large;
    x = solver.step(
        [&](const Tensor& at, const NoiseLevel& level) { return denoiser.predict(at, level); }, x,
        {.index = i, .level = levels[i], .next = levels[i + 1], .denoiser = i < switch_at ? 0 : 1},
        [&] { return noise.step(i); });
  }
  return x;
}

TEST(History, IsForgottenBetweenRuns) {
  for (const char* name : kMultistep) {
    const auto levels = make_levels(name, schedule(), "10", {});
    const auto solver = make_solver(backend(), name, {});
    const std::vector<float> first = values_of(stitch(*solver, levels, 0, 4, some_x(4)));
    EXPECT_EQ(values_of(stitch(*solver, levels, 0, 4, some_x(4))), first) << name;
  }
}

// With reset_at_switch the second model's part is what it would be as a trajectory of its own.
TEST(History, SurvivesASwitchUnlessToldNotTo) {
  constexpr int kSwitch = 5;
  for (const char* name : kMultistep) {
    const auto levels = make_levels(name, schedule(), "10", {});
    const std::vector<NoiseLevel> before(levels.begin(), levels.begin() + kSwitch + 1);
    const auto keeps = make_solver(backend(), name, {});
    const auto resets = make_solver(backend(), name, {.reset_at_switch = true});
    const Tensor middle = stitch(*keeps, before, 0, kSwitch, some_x(4));
    const std::vector<float> alone = values_of(stitch(*keeps, levels, kSwitch, kSwitch, middle));
    EXPECT_EQ(values_of(stitch(*resets, levels, 0, kSwitch, some_x(4))), alone) << name;
    EXPECT_NE(values_of(stitch(*keeps, levels, 0, kSwitch, some_x(4))), alone) << name;
  }
}

TEST(History, IsNothingToOneStepSolvers) {
  for (const char* name : {"ddim", "ddpm", "euler", "euler_a", "heun", "lcm"}) {
    const auto levels = make_levels(name, schedule(), "10", {});
    const auto keeps = make_solver(backend(), name, {});
    const auto resets = make_solver(backend(), name, {.reset_at_switch = true});
    EXPECT_EQ(values_of(stitch(*keeps, levels, 0, 5, some_x(4))),
              values_of(stitch(*resets, levels, 0, 5, some_x(4))))
        << name;
  }
}

// A switch within PNDM's start leaves nothing to average with: the repeated step then leads nowhere.
TEST(History, MayEndWithinTheStartOfPndm) {
  const auto levels = make_levels("pndm", schedule(), "10", {});
  const auto resets = make_solver(backend(), "pndm", {.reset_at_switch = true});
  const auto keeps = make_solver(backend(), "pndm", {});
  const Tensor second =
      stitch(*keeps, {levels.begin(), levels.begin() + 2}, 0, 1, some_x(4));  // after the first step
  EXPECT_EQ(values_of(stitch(*resets, levels, 0, 1, some_x(4))),
            values_of(stitch(*keeps, levels, 2, 1, second)));
}

}  // namespace
}  // namespace tstitch
