// Levels and whole trajectories of every solver against diffusers (tools/goldens/make_solver_goldens.py).
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/diffusion/unbound_network.h"
#include "tstitch/base/hash.h"
#include "tstitch/base/philox.h"
#include "tstitch/diffusion/flow_schedule.h"
#include "tstitch/diffusion/sample.h"
#include "tstitch/diffusion/timesteps.h"
#include "tstitch/ops/ops.h"

namespace tstitch {
namespace {

using nlohmann::json;
using testing::backend;
using testing::values_of;

json read_goldens(const char* name) {
  std::ifstream file(std::string(TSTITCH_SOURCE_DIR "/tests/golden/solvers/") + name);
  EXPECT_TRUE(file.good()) << name;
  return json::parse(file);
}

// tools/common/random_weights.py's uniform(name, shape, scale, 7).
Tensor uniform(const std::string& name, const Shape& shape, double scale) {
  const uint64_t key = fnv1a(name.data(), name.size()) ^ 7;
  return testing::tensor_of(shape, [&](int64_t element) {
    const auto e = static_cast<uint32_t>(element);
    return ((philox({e / 4, 0, 0, 0}, key)[e % 4] >> 8) * 0x1p-23 - 1) * scale;
  });
}

NoiseSchedule schedule_of(const json& golden) {
  const std::string betas = golden.at("betas");
  return betas == "linear"          ? NoiseSchedule::linear(1e-4, 2e-2, 1000)
         : betas == "scaled_linear" ? NoiseSchedule::scaled_linear(0.00085, 0.012, 1000)
                                    : NoiseSchedule::cosine(1000);
}

std::vector<NoiseLevel> levels_of(const json& golden) {
  const std::string solver = golden.at("solver");
  const int steps = golden.at("steps");
  if (solver == "flow_euler") return FlowSchedule{.shift = golden.value("shift", 1.0)}.levels(steps);
  SpacingOptions options;
  if (golden.contains("spacing")) options.spacing = parse_spacing(golden.at("spacing").get<std::string>());
  if (solver == "heun" && !options.spacing) options.spacing = Spacing::linspace;  // theirs by default
  if (solver == "ddim") options.spacing = Spacing::leading;                       // diffusers has no respaced
  if (golden.contains("offset")) options.offset = golden.at("offset").get<int>();
  options.sigmas = *parse_sigma_spacing(golden.value("sigmas", "discrete"));
  if (golden.contains("final")) options.ends_clean = false;  // it is sigma_min
  if (golden.contains("lowest")) options.lowest = golden.at("lowest").get<double>();
  if (golden.contains("highest")) options.highest = golden.at("highest").get<double>();
  return make_levels(solver, schedule_of(golden), std::to_string(steps), options);
}

SolverOptions options_of(const json& golden) {
  SolverOptions options;
  const std::string solver = golden.at("solver"), type = golden.value("type", "");
  const int steps = golden.at("steps");
  options.order = golden.value("order", 2);
  if (golden.value("lower", true) && (solver == "unipc" || steps < 15)) options.end = steps;
  options.heun = type == "heun";
  options.bh1 = type == "bh1";
  options.uncorrected = golden.value("uncorrected", std::vector<int>());
  options.averages_v = solver == "pndm" && golden.value("prediction", "") == "v_prediction";
  options.timestep_scaling = golden.value("scaling", 10.0);
  if (golden.contains("thresholding")) {
    const json& values = golden.at("thresholding");
    options.thresholding = {.ratio = values[0], .most = values[1]};
  }
  return options;
}

TEST(Diffusers, Levels) {
  const json goldens = read_goldens("levels.json");
  EXPECT_EQ(goldens.size(), 100u);
  for (const json& golden : goldens) {
    json name = golden;
    for (const char* key : {"t", "alpha", "sigma"}) name.erase(key);
    const std::vector<NoiseLevel> levels = levels_of(golden);
    ASSERT_EQ(levels.size(), golden.at("sigma").size()) << name;
    for (size_t i = 0; i < levels.size(); ++i) {
      if (i + 1 < levels.size()) {
        const double t = golden.at("t").at(i);
        EXPECT_NEAR(levels[i].t, t, 1e-9 * (1 + t)) << name << " " << i;
      }
      const double alpha = golden.at("alpha").at(i), sigma = golden.at("sigma").at(i);
      EXPECT_NEAR(levels[i].alpha, alpha, 1e-9 * alpha + 1e-12) << name << " " << i;
      EXPECT_NEAR(levels[i].sigma, sigma, 1e-9 * sigma + 1e-12) << name << " " << i;
    }
  }
}

// ---- the same denoisers as in the script

// Two layers on the channels of every pixel, x0 = w2 tanh(w1 x + b1 + wt t / 1000), answered as the
// parameterization asks.
class Mlp final : public testing::UnboundNetwork {
 public:
  using LevelAt = std::function<NoiseLevel(double t)>;
  Mlp(Parameterization kind, LevelAt level_at) : kind_(kind), level_at_(std::move(level_at)) {}

  Tensor answer(const Tensor& x, std::span<const Row> rows) const override {
    const double t = rows[0].t;
    Tensor out(x.shape(), DType::f32);
    for (int64_t row = 0; row < x.rows(); ++row) {
      const float* x_row = x.data<float>() + row * kChannels;
      double x0[kChannels] = {};
      for (int64_t h = 0; h < kHidden; ++h) {
        double sum = b1_.data<float>()[h] + wt_.data<float>()[h] * t / 1000;
        for (int64_t c = 0; c < kChannels; ++c) sum += w1_.data<float>()[h * kChannels + c] * x_row[c];
        for (int64_t c = 0; c < kChannels; ++c) x0[c] += w2_.data<float>()[c * kHidden + h] * std::tanh(sum);
      }
      for (int64_t c = 0; c < kChannels; ++c)
        out.data<float>()[row * kChannels + c] = static_cast<float>(answer(x_row[c], x0[c], t));
    }
    return out;
  }

 private:
  static constexpr int64_t kChannels = 3, kHidden = 8;

  double answer(double x, double x0, double t) const {
    if (kind_ == Parameterization::x0) return x0;
    const NoiseLevel level = level_at_(t);
    const double eps = (x - level.alpha * x0) / level.sigma;
    if (kind_ == Parameterization::eps) return eps;
    return kind_ == Parameterization::v ? level.alpha * eps - level.sigma * x0 : eps - x0;
  }

  Parameterization kind_;
  LevelAt level_at_;
  Tensor w1_ = uniform("solver/w1", {kHidden, kChannels}, 1), b1_ = uniform("solver/b1", {kHidden}, 0.5);
  Tensor wt_ = uniform("solver/wt", {kHidden}, 1), w2_ = uniform("solver/w2", {kChannels, kHidden}, 0.5);
};

// With what it asks.
struct Asked {
  std::unique_ptr<Network> network;
  std::unique_ptr<Denoiser> denoiser;
};

Asked denoiser_of(const json& golden, Parameterization kind) {
  if (golden.at("denoiser") == "gaussian")
    return {nullptr, std::make_unique<testing::GaussianDenoiser>(0.3, 0.5)};
  const auto level_at = [=, schedule = schedule_of(golden)](double t) {
    if (kind == Parameterization::flow) return NoiseLevel{t, 1 - t / 1000, t / 1000};
    return schedule.level_between(t);
  };
  auto network = std::make_unique<Mlp>(kind, level_at);
  auto denoiser = std::make_unique<NetworkDenoiser>(testing::denoiser_of(*network, 2, kind));
  return {std::move(network), std::move(denoiser)};
}

constexpr double kSqrt3 = 1.7320508075688772;

// kinds: of the networks that share the trajectory, equal shares each.
double difference(const json& golden, const std::vector<Parameterization>& kinds) {
  const Shape nchw = {2, 3, 2, 2};
  const std::string solver = golden.at("solver");
  const std::vector<NoiseLevel> levels = levels_of(golden);
  std::vector<int> assignment;
  for (size_t step = 0; step + 1 < levels.size(); ++step)
    assignment.push_back(static_cast<int>(step * kinds.size() / (levels.size() - 1)));
  GivenNoise noise(backend(),
                   {.initial = uniform("solver/x_T", nchw, kSqrt3),
                    .steps = uniform("solver/noise", {64, 2, 3, 2, 2}, kSqrt3)},
                   0, nchw);
  std::vector<Asked> asked;
  std::vector<Denoiser*> denoisers;
  for (const Parameterization kind : kinds) {
    asked.push_back(denoiser_of(golden, kind));
    denoisers.push_back(asked.back().denoiser.get());
  }
  const auto rule = make_solver(backend(), solver, options_of(golden));
  const Tensor x = sample(Trajectory(levels, assignment), denoisers, *rule, noise, noise.initial()).x;
  const std::vector<float> found = values_of(to_channels_first(backend(), x));
  const auto expected = golden.at("x").get<std::vector<double>>();
  EXPECT_EQ(found.size(), expected.size());
  double largest = 0;
  for (size_t i = 0; i < found.size(); ++i) largest = std::max(largest, std::abs(found[i] - expected[i]));
  return largest;
}

TEST(Diffusers, Trajectories) {
  const json goldens = read_goldens("trajectories.json");
  EXPECT_EQ(goldens.size(), 133u);
  for (const json& golden : goldens) {
    json name = golden;
    name.erase("x");
    const std::string asked = golden.value("prediction", "");
    std::vector<Parameterization> kinds = {Parameterization::x0};
    if (asked == "v_prediction") kinds = {Parameterization::v, Parameterization::eps};
    if (golden.at("solver") == "flow_euler") kinds = {Parameterization::flow, Parameterization::x0};
    for (const Parameterization kind : kinds) {
      EXPECT_LE(difference(golden, {kind}), 4e-6) << name;
    }
  }
}

// What a network predicts is nothing to the trajectory it serves. Where levels lie at their timesteps, from
// which these networks know them, and not at a sigma / alpha of 20291.
TEST(Diffusers, NetworksOfEpsVAndX0ShareTrajectories) {
  for (const json& golden : read_goldens("trajectories.json"))
    if (golden.at("denoiser") == "mlp" && golden.at("solver") != "flow_euler" && !golden.contains("sigmas") &&
        golden.at("betas") != "squaredcos_cap_v2") {
      EXPECT_LE(difference(golden, {Parameterization::eps, Parameterization::v, Parameterization::x0}), 4e-6)
          << golden.at("solver") << golden.at("steps");
    }
}

}  // namespace
}  // namespace tstitch
