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
  return make_levels(solver, schedule_of(golden), std::to_string(steps), options);
}

TEST(Diffusers, Levels) {
  const json goldens = read_goldens("levels.json");
  EXPECT_EQ(goldens.size(), 114u);
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

// DEIS lowers its order at the end of few steps; single steps end clean here.
SolverOptions options_of(const json& golden) {
  const int steps = golden.at("steps");
  const bool lowers = golden.at("solver") == "deis" && steps < 15;
  return {.eta = golden.value("eta", 0.0),
          .order = golden.value("order", 2),
          .first_order_at = lowers ? steps - 1 : -1,
          .schedule = std::make_shared<const NoiseSchedule>(schedule_of(golden))};
}

constexpr double kSqrt3 = 1.7320508075688772;

double difference(const json& golden, Parameterization kind) {
  const Shape nchw = {2, 3, 2, 2};
  const std::string solver = golden.at("solver");
  const std::vector<NoiseLevel> levels = levels_of(golden);
  const Trajectory trajectory(levels, std::vector<int>(levels.size() - 1, 0));
  GivenNoise noise(backend(),
                   {.initial = uniform("solver/x_T", nchw, kSqrt3),
                    .steps = uniform("solver/noise", {64, 2, 3, 2, 2}, kSqrt3)},
                   0, nchw);
  const Asked asked = denoiser_of(golden, kind);
  Denoiser* const denoisers[] = {asked.denoiser.get()};
  const auto rule = make_solver(backend(), solver, options_of(golden));
  const Tensor x = sample(trajectory, denoisers, *rule, noise, noise.initial()).x;
  const std::vector<float> found = values_of(to_channels_first(backend(), x));
  const auto expected = golden.at("x").get<std::vector<double>>();
  EXPECT_EQ(found.size(), expected.size());
  double largest = 0;
  for (size_t i = 0; i < found.size(); ++i) largest = std::max(largest, std::abs(found[i] - expected[i]));
  return largest;
}

TEST(Diffusers, Trajectories) {
  const json goldens = read_goldens("trajectories.json");
  EXPECT_EQ(goldens.size(), 182u);
  for (const json& golden : goldens) {
    json name = golden;
    name.erase("x");
    const std::string asked = golden.value("prediction", "");
    std::vector<Parameterization> kinds = {Parameterization::x0};
    if (asked == "v_prediction") kinds = {Parameterization::v, Parameterization::eps};
    if (golden.at("solver") == "flow_euler") kinds = {Parameterization::flow, Parameterization::x0};
    for (const Parameterization kind : kinds) {
      EXPECT_LE(difference(golden, kind), 4e-6) << name;
    }
  }
}

}  // namespace
}  // namespace tstitch
