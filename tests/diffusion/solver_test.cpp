#include "tstitch/diffusion/solver.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tests/diffusion/exact_denoisers.h"
#include "tests/support/expect_error.h"
#include "tstitch/diffusion/ddim.h"
#include "tstitch/diffusion/ddpm.h"
#include "tstitch/diffusion/respacing.h"
#include "tstitch/diffusion/sample.h"

namespace tstitch {
namespace {

using testing::backend;
using testing::expect_error;
using testing::FiniteSetDenoiser;
using testing::GaussianDenoiser;
using testing::scramble;
using testing::tensor_of;
using testing::values_of;

const NoiseSchedule& schedule() {
  static const NoiseSchedule linear = NoiseSchedule::linear(1e-4, 2e-2, 1000);
  return linear;
}

Trajectory respaced(const std::string& spec) {
  std::vector<int> timesteps = respaced_timesteps(spec, 1000);
  std::ranges::reverse(timesteps);
  return Trajectory(schedule().levels(timesteps), std::vector<int>(timesteps.size(), 0));
}

// ---- one step against the formulas of the reference, in its own terms (abar, beta) and in f64

struct OneStep {
  double abar, abar_prev;
  std::vector<float> x, eps, v, noise, result;
};

// `t_next` < 0: the step that ends clean.
OneStep cross(Solver& solver, int t, int t_next, bool learned, bool* drew = nullptr) {
  const Shape shape = {2, 3, 3, 4};
  const Tensor x = tensor_of(shape, [](int64_t i) { return scramble(i, 1); });
  const Tensor out = tensor_of({2, 3, 3, 8}, [](int64_t i) { return 0.5 * scramble(i, 2); });
  const Tensor fresh = tensor_of(shape, [](int64_t i) { return scramble(i, 3); });
  const Tensor eps = out.slice_columns(0, 4), v = out.slice_columns(4, 8);  // strided, as networks give them
  const Step step = {.index = 0,
                     .level = schedule().level(t),
                     .next = t_next < 0 ? kClean : schedule().level(t_next),
                     .denoiser = 0};
  int evaluations = 0;
  const Tensor result = solver.step(
      [&](const Tensor& x_at, const NoiseLevel& level) {
        ++evaluations;
        return Prediction{x0_from_eps(backend(), x_at, eps, level), eps, learned ? v : Tensor()};
      },
      x, step,
      [&] {
        if (drew) *drew = true;
        return fresh;
      });
  EXPECT_EQ(evaluations, 1);
  return {.abar = schedule().alphas_cumprod()[t],
          .abar_prev = t_next < 0 ? 1 : schedule().alphas_cumprod()[t_next],
          .x = values_of(x),
          .eps = values_of(eps),
          .v = values_of(v),
          .noise = values_of(fresh),
          .result = values_of(result)};
}

constexpr std::pair<int, int> kSteps[] = {{999, 989}, {500, 400}, {500, 499}, {10, 0}, {1, 0}, {999, 0}};

// The rounding of f32 is amplified by the 1 / alpha in x0 (158 at t = 999): the bound follows it.
double tolerance(const OneStep& s) { return 1e-6 / std::sqrt(s.abar) * std::sqrt(s.abar_prev) + 2e-6; }

TEST(Ddim, OneStepIsItsFormula) {
  for (const double eta : {0.0, 0.3, 1.0})
    for (const auto& [t, t_next] : kSteps) {
      Ddim solver(backend(), eta);
      const OneStep s = cross(solver, t, t_next, false);
      for (size_t i = 0; i < s.x.size(); ++i) {
        const double x0 = std::sqrt(1 / s.abar) * s.x[i] - std::sqrt(1 / s.abar - 1) * s.eps[i];
        const double sigma =
            eta * std::sqrt((1 - s.abar_prev) / (1 - s.abar)) * std::sqrt(1 - s.abar / s.abar_prev);
        const double expected = x0 * std::sqrt(s.abar_prev) +
                                std::sqrt(1 - s.abar_prev - sigma * sigma) * s.eps[i] + sigma * s.noise[i];
        ASSERT_NEAR(s.result[i], expected, tolerance(s)) << "eta " << eta << ", " << t << " to " << t_next;
      }
    }
}

TEST(Ddim, EndsAtX0) {
  Ddim solver(backend(), 1);
  bool drew = false;
  const OneStep s = cross(solver, 5, -1, true, &drew);
  EXPECT_FALSE(drew);
  for (size_t i = 0; i < s.x.size(); ++i)
    ASSERT_NEAR(s.result[i], (s.x[i] - std::sqrt(1 - s.abar) * s.eps[i]) / std::sqrt(s.abar), 1e-6);
}

TEST(Ddim, DrawsNothingWithoutEta) {
  bool drew = false;
  Ddim deterministic(backend(), 0), stochastic(backend(), 0.1);
  cross(deterministic, 500, 400, false, &drew);
  EXPECT_FALSE(drew);
  cross(stochastic, 500, 400, false, &drew);
  EXPECT_TRUE(drew);
}

TEST(Ddpm, OneStepIsItsFormula) {
  for (const bool learned : {false, true})
    for (const auto& [t, t_next] : kSteps) {
      Ddpm solver(backend());
      const OneStep s = cross(solver, t, t_next, learned);
      const double beta = 1 - s.abar / s.abar_prev, alpha = 1 - beta;
      const double posterior = beta * (1 - s.abar_prev) / (1 - s.abar);
      for (size_t i = 0; i < s.x.size(); ++i) {
        const double x0 = std::sqrt(1 / s.abar) * s.x[i] - std::sqrt(1 / s.abar - 1) * s.eps[i];
        const double mean = beta * std::sqrt(s.abar_prev) / (1 - s.abar) * x0 +
                            (1 - s.abar_prev) * std::sqrt(alpha) / (1 - s.abar) * s.x[i];
        const double f = (s.v[i] + 1) / 2;
        const double log_variance =
            learned ? f * std::log(beta) + (1 - f) * std::log(posterior) : std::log(posterior);
        const double expected = mean + std::exp(0.5 * log_variance) * s.noise[i];
        ASSERT_NEAR(s.result[i], expected, tolerance(s))
            << (learned ? "learned, " : "fixed, ") << t << " to " << t_next;
      }
    }
}

TEST(Ddpm, TheLastStepIsItsMean) {
  for (const bool learned : {false, true}) {
    Ddpm solver(backend());
    bool drew = false;
    const OneStep s = cross(solver, 5, -1, learned, &drew);
    EXPECT_FALSE(drew);
    for (size_t i = 0; i < s.x.size(); ++i)
      ASSERT_NEAR(s.result[i], (s.x[i] - std::sqrt(1 - s.abar) * s.eps[i]) / std::sqrt(s.abar), 1e-6);
  }
}

TEST(Ddpm, IsDdimWithEtaOne) {
  Ddpm ddpm(backend());
  Ddim ddim(backend(), 1);
  const std::vector<float> a = cross(ddpm, 500, 400, false).result, b = cross(ddim, 500, 400, false).result;
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 5e-6);
}

// ---- whole trajectories against mathematics

constexpr double kMean = 0.7, kDeviation = 0.4;

Tensor run(Solver& solver, const Trajectory& trajectory, Denoiser& denoiser, NoiseSource& noise,
           const Tensor& x) {
  Denoiser* const denoisers[] = {&denoiser};
  return sample(trajectory, denoisers, solver, noise, x).x;
}

// N steps along x = cos(a) x0 + sin(a) eps, evenly spaced in the angle a.
Trajectory circular(int steps) {
  std::vector<NoiseLevel> levels;
  for (int i = 0; i < steps; ++i) {
    const double angle = 1.5 * (steps - i) / steps;
    levels.push_back({.t = 0, .alpha = std::cos(angle), .sigma = std::sin(angle)});
  }
  levels.push_back(kClean);
  return Trajectory(levels, std::vector<int>(steps, 0));
}

// The probability flow of Gaussian data keeps (x - alpha mean) / deviation of x at every level: from x_T, the
// exact solution at the clean level is mean + deviation z. Largest error of DDIM over some x_T.
double ddim_error(int steps) {
  const Trajectory trajectory = circular(steps);
  const NoiseLevel start = trajectory[0].level;
  GaussianDenoiser gaussian(kMean, kDeviation);
  GivenNoise no_noise(backend(), {}, 0, {1, 1, 4, 4});
  Ddim solver(backend(), 0);
  const Tensor x_T = tensor_of({1, 4, 4, 1}, [](int64_t i) { return scramble(i, 4); });
  const std::vector<float> x = values_of(run(solver, trajectory, gaussian, no_noise, x_T));
  double error = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double z = (x_T.data<float>()[i] - start.alpha * kMean) / std::sqrt(gaussian.variance_at(start));
    error = std::max(error, std::abs(x[i] - (kMean + kDeviation * z)));
  }
  return error;
}

TEST(Ddim, ConvergesWithOrderOne) {
  EXPECT_LT(ddim_error(256), 0.01);
  for (const int steps : {32, 64, 128}) {
    const double order = std::log2(ddim_error(steps) / ddim_error(2 * steps));
    EXPECT_NEAR(order, 1, 0.1) << steps << " to " << 2 * steps;
  }
}

TEST(Ddim, FollowsTheProbabilityFlowOfTheDiTSchedule) {
  const Trajectory trajectory = respaced("1000");
  GaussianDenoiser gaussian(kMean, kDeviation);
  GivenNoise no_noise(backend(), {}, 0, {1, 1, 4, 4});
  Ddim solver(backend(), 0);
  const Tensor x_T = tensor_of({1, 4, 4, 1}, [](int64_t i) { return scramble(i, 4); });
  const std::vector<float> x = values_of(run(solver, trajectory, gaussian, no_noise, x_T));
  for (size_t i = 0; i < x.size(); ++i)
    EXPECT_NEAR(x[i], kMean + kDeviation * (x_T.data<float>()[i] - trajectory[0].level.alpha * kMean), 0.01);
}

struct Moments {
  double mean, variance;
};

Moments moments(const Tensor& x) {
  double sum = 0, squares = 0;
  const std::vector<float> values = values_of(x);
  for (const double value : values) sum += value;
  const double mean = sum / static_cast<double>(values.size());
  for (const double value : values) squares += (value - mean) * (value - mean);
  return {mean, squares / static_cast<double>(values.size() - 1)};
}

// Five standard deviations of the estimates from n = 40,000 numbers, s / sqrt(n) and s^2 sqrt(2 / n). The
// numbers drawn are always the same.
constexpr double kMeanTolerance = 5 * kDeviation / 200;
constexpr double kVarianceTolerance = 5 * kDeviation * kDeviation * std::numbers::sqrt2 / 200;

// DDPM's step is linear here, so that its mean and variance after every step are known exactly.
TEST(Ddpm, FixedVarianceGivesTheDistributionOfItsChain) {
  GaussianDenoiser gaussian(kMean, kDeviation);
  for (const char* steps : {"10", "50"}) {
    const Trajectory trajectory = respaced(steps);
    double mean = 0, variance = 1;
    for (const Step& step : trajectory) {
      const double a = step.level.alpha * step.level.alpha, a_prev = step.next.alpha * step.next.alpha;
      const double beta = 1 - a / a_prev;
      const double of_x0 = beta * std::sqrt(a_prev) / (1 - a),
                   of_x = (1 - a_prev) * std::sqrt(1 - beta) / (1 - a);
      const double gain = std::sqrt(a) * kDeviation * kDeviation / gaussian.variance_at(step.level);
      const double slope = of_x0 * gain + of_x;
      mean = slope * mean + of_x0 * (kMean - gain * std::sqrt(a) * kMean);
      variance = slope * slope * variance + beta * (1 - a_prev) / (1 - a);
    }
    PhiloxNoise noise(backend(), {5}, {1, 200, 200});
    Ddpm solver(backend());
    const Moments found = moments(run(solver, trajectory, gaussian, noise, noise.initial()));
    EXPECT_NEAR(found.mean, mean, kMeanTolerance) << steps;
    EXPECT_NEAR(found.variance, variance, kVarianceTolerance) << steps;
  }
}

// Many steps make the chain the reverse of the forward process: with 1000, the recursion above gives a
// variance of 0.157 where the data has 0.16. 10,000 numbers: twice the deviation of the estimates.
TEST(Ddpm, ManyStepsGiveTheDistributionOfTheData) {
  GaussianDenoiser gaussian(kMean, kDeviation);
  PhiloxNoise noise(backend(), {6}, {1, 100, 100});
  Ddpm solver(backend());
  const Moments found = moments(run(solver, respaced("1000"), gaussian, noise, noise.initial()));
  EXPECT_NEAR(found.mean, kMean, 2 * kMeanTolerance);
  EXPECT_NEAR(found.variance, kDeviation * kDeviation, 2 * kVarianceTolerance + 0.003);
}

// A Gaussian whose network learned the true variance of every reverse step; it lies between the posterior's
// (the data a point) and beta (the data N(0, 1)). Then few steps are as exact as many.
class LearnedGaussian final : public Denoiser {
 public:
  explicit LearnedGaussian(const Trajectory& trajectory) : trajectory_(trajectory) {}

  Prediction predict(const Tensor& x, const NoiseLevel& level) const override {
    const auto step = std::ranges::find(trajectory_, level, &Step::level);
    Prediction at = gaussian_.predict(x, level);
    const double sigma2 = level.sigma * level.sigma, sigma2_next = step->next.sigma * step->next.sigma;
    const double ratio = level.alpha / step->next.alpha, beta = 1 - ratio * ratio;
    const double posterior = beta * sigma2_next / sigma2, of_x0 = beta * step->next.alpha / sigma2;
    const double exact = posterior + of_x0 * of_x0 * gaussian_.posterior_variance(level);
    const double f = std::log(exact / posterior) / std::log(beta / posterior);
    if (sigma2_next > 0) {
      EXPECT_GE(f, 0);
      EXPECT_LE(f, 1);
    }
    at.variance = tensor_of(x.shape(), [&](int64_t) { return 2 * f - 1; });
    return at;
  }

 private:
  const Trajectory& trajectory_;
  GaussianDenoiser gaussian_{kMean, kDeviation};
};

TEST(Ddpm, LearnedVarianceIsExactInFewSteps) {
  const Trajectory trajectory = respaced("5");
  LearnedGaussian learned(trajectory);
  PhiloxNoise noise(backend(), {7}, {1, 200, 200});
  Ddpm solver(backend());
  const Moments found = moments(run(solver, trajectory, learned, noise, noise.initial()));
  EXPECT_NEAR(found.mean, kMean, kMeanTolerance);
  EXPECT_NEAR(found.variance, kDeviation * kDeviation, kVarianceTolerance);
}

TEST(Solvers, EndOnAPointOfAFiniteSet) {
  const std::vector<std::vector<float>> points = {{1, 0, -1, 0.5f}, {-1, 1, 0, 0}, {0.5f, -0.5f, 1, -1}};
  FiniteSetDenoiser ideal(points);
  for (const char* name : {"ddim", "ddpm"}) {
    const auto solver = make_solver(backend(), name, {});
    PhiloxNoise noise(backend(), {8, 9, 10, 11, 12, 13, 14, 15}, {1, 2, 2});
    const std::vector<float> x = values_of(run(*solver, respaced("100"), ideal, noise, noise.initial()));
    std::vector<int> hits(points.size());
    for (size_t n = 0; n < 8; ++n) {
      double nearest = 1e9;
      size_t which = 0;
      for (size_t p = 0; p < points.size(); ++p) {
        double distance = 0;
        for (size_t i = 0; i < 4; ++i)
          distance = std::max<double>(distance, std::abs(x[4 * n + i] - points[p][i]));
        if (distance < nearest) nearest = distance, which = p;
      }
      EXPECT_LT(nearest, 1e-4) << name << ", image " << n;
      ++hits[which];
    }
    EXPECT_GT(std::ranges::count_if(hits, [](int n) { return n > 0; }), 1)
        << name << ": always the same point";
  }
}

// ---- the table

TEST(MakeSolver, KnowsItsNames) {
  EXPECT_EQ(solver_names(),
            "ddim, ddpm, pndm, euler, euler_a, heun, dpm2, dpm2_a, lms, deis, dpm++2s, dpm++2m, dpm++2m_sde, "
            "unipc, "
            "lcm, tcd, flow_euler");
  EXPECT_NE(dynamic_cast<Ddim*>(make_solver(backend(), "ddim", {.eta = 1}).get()), nullptr);
  EXPECT_NE(dynamic_cast<Ddpm*>(make_solver(backend(), "ddpm", {}).get()), nullptr);
}

TEST(MakeSolver, RefusesOthers) {
  expect_error(ErrorKind::usage, "sampler 'plms', expected one of ddim, ddpm",
               [] { make_solver(backend(), "plms", {}); });
  expect_error(ErrorKind::usage, "sampler ''", [] { make_solver(backend(), "", {}); });
  expect_error(ErrorKind::usage, "eta -0.1, expected 0 to 1",
               [] { make_solver(backend(), "ddim", {.eta = -0.1}); });
  expect_error(ErrorKind::usage, "eta 1.5, expected 0 to 1",
               [] { make_solver(backend(), "ddim", {.eta = 1.5}); });
  const auto schedule = std::make_shared<const NoiseSchedule>(NoiseSchedule::linear(1e-4, 2e-2, 1000));
  expect_error(ErrorKind::usage, "eta 1.5, expected 0 to 1",
               [&] { make_solver(backend(), "tcd", {.eta = 1.5, .schedule = schedule}); });
  for (const char* name : {"dpm2", "dpm2_a", "tcd"})
    expect_error(ErrorKind::internal, "without a noise schedule", [&] { make_solver(backend(), name, {}); });
  expect_error(ErrorKind::usage, "eta nan", [] { make_solver(backend(), "ddim", {.eta = std::nan("")}); });
}

}  // namespace
}  // namespace tstitch
