// Schedules, switch counts and single solver steps against the files of tools/goldens/make_goldens.py, which
// checks its own numbers against diffusers.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/diffusion/exact_denoisers.h"
#include "tstitch/base/hash.h"
#include "tstitch/base/philox.h"
#include "tstitch/diffusion/noise_schedule.h"
#include "tstitch/diffusion/respacing.h"
#include "tstitch/diffusion/solver.h"
#include "tstitch/diffusion/switch_rule.h"

namespace tstitch {
namespace {

using testing::backend;
using testing::tensor_of;
using testing::values_of;

std::ifstream open(const std::string& name) {
  std::ifstream file(TSTITCH_SOURCE_DIR "/tests/golden/dit/" + name, std::ios::binary);
  EXPECT_TRUE(file.good()) << name;
  return file;
}

nlohmann::json read_json(const std::string& name) { return nlohmann::json::parse(open(name)); }

TEST(Golden, RespacedTimesteps) {
  const nlohmann::json goldens = read_json("schedules.json").at("timesteps");
  for (const auto& [spec, timesteps] : goldens.items())
    EXPECT_EQ(respaced_timesteps(spec, 1000), timesteps.get<std::vector<int>>()) << spec;
}

TEST(Golden, AlphasCumprod) {
  const nlohmann::json goldens = read_json("schedules.json").at("alphas_cumprod");
  const auto compare = [&](const char* name, const NoiseSchedule& schedule) {
    for (const auto& [t, value] : goldens.at(name).items())
      EXPECT_DOUBLE_EQ(schedule.alphas_cumprod()[std::stoul(t)], std::stod(value.get<std::string>()))
          << name << " " << t;
  };
  compare("linear", NoiseSchedule::linear(1e-4, 2e-2, 1000));
  compare("scaled_linear", NoiseSchedule::scaled_linear(0.00085, 0.012, 1000));
}

// ---- switch counts

std::vector<int> dit_timesteps(const std::string& spec) {
  std::vector<int> timesteps = respaced_timesteps(spec, 1000);
  std::ranges::reverse(timesteps);
  return timesteps;
}

std::vector<double> as_numbers(const std::vector<int>& timesteps) {
  return {timesteps.begin(), timesteps.end()};
}

std::vector<int> ldm_timesteps(const std::string& steps) {
  std::vector<int> timesteps;
  for (int t = 0; t < 1000; t += 1000 / std::stoi(steps)) timesteps.insert(timesteps.begin(), t + 1);
  return timesteps;
}

std::vector<int> any_timesteps(const std::string& steps) { return std::vector<int>(std::stoul(steps), 0); }

TEST(Golden, SwitchCounts) {
  const nlohmann::json goldens = read_json("switch_counts.json");
  const auto ratios = goldens.at("ratios").get<std::vector<double>>();
  const auto compare = [&](SwitchRule rule, std::vector<int> (*timesteps_of)(const std::string&)) {
    for (const auto& [steps, counts] : goldens.at(std::string(name_of(rule))).items())
      for (size_t k = 0; k < ratios.size(); ++k) {
        const double fractions[] = {ratios[k], 1 - ratios[k]};
        const std::vector<int> assignment =
            assign_steps(rule, fractions, as_numbers(timesteps_of(steps)), 1000);
        EXPECT_EQ(std::ranges::count(assignment, 0), counts.at(k).get<int>())
            << name_of(rule) << ", " << steps << " steps, ratio " << ratios[k];
      }
  };
  compare(SwitchRule::dit, dit_timesteps);
  compare(SwitchRule::ldm, ldm_timesteps);
  compare(SwitchRule::step, any_timesteps);
  compare(SwitchRule::lcm, any_timesteps);
}

TEST(Golden, MultiSwitchCounts) {
  const nlohmann::json goldens = read_json("switch_counts.json").at("multi");
  for (const auto& [name, counts] : goldens.items()) {  // "0.4,0.2,0.4 steps 10"
    double fractions[3];
    int steps;
    ASSERT_EQ(std::sscanf(name.c_str(), "%lf,%lf,%lf steps %d", &fractions[0], &fractions[1], &fractions[2],
                          &steps),
              4);
    const std::vector<int> assignment =
        assign_steps(SwitchRule::dit, fractions, as_numbers(dit_timesteps(std::to_string(steps))), 1000);
    for (int model = 0; model < 3; ++model)
      EXPECT_EQ(std::ranges::count(assignment, model), counts.at(model).get<int>())
          << name << ", model " << model;
  }
}

// ---- solver steps

const Shape kLatent = {2, 4, 4, 1};  // with one channel, channels-first and channels-last are the same
constexpr int64_t kElements = 32;
constexpr int kSteps = 10;

// Input `name` of step i, counted from the clean end: slice i of tools/common/random_weights.py's
// uniform(name, (10, 2, 1, 4, 4)).
Tensor input(const std::string& name, double scale, int i) {
  const uint64_t key = fnv1a(name.data(), name.size()) ^ 7;
  return tensor_of(kLatent, [&](int64_t element) {
    const auto e = static_cast<uint32_t>(i * kElements + element);
    return ((philox({e / 4, 0, 0, 0}, key)[e % 4] >> 8) * 0x1p-23 - 1) * scale;
  });
}

std::vector<float> read_npy(const std::string& name) {
  std::ifstream file = open(name);
  char preamble[10];  // "\x93NUMPY", version 1.0, and how long the header is
  file.read(preamble, sizeof preamble);
  file.ignore(static_cast<uint8_t>(preamble[8]) + 256 * static_cast<uint8_t>(preamble[9]));
  std::vector<float> values(kSteps * kElements);
  file.read(reinterpret_cast<char*>(values.data()), std::ssize(values) * 4);
  EXPECT_TRUE(file.good() && file.peek() == EOF) << name;
  return values;
}

void compare_steps(const std::string& golden, const char* solver_name, double eta, bool learned) {
  const std::vector<float> expected = read_npy(golden);
  const std::vector<NoiseLevel> levels = NoiseSchedule::linear(1e-4, 2e-2, 1000).levels(dit_timesteps("10"));
  const auto solver = make_solver(backend(), solver_name, {.eta = eta});
  for (int i = 0; i < kSteps; ++i) {
    const int index = kSteps - 1 - i;
    const Tensor x = input("step/x", std::sqrt(3.0), i), eps = input("step/eps", std::sqrt(3.0), i);
    const Tensor v = input("step/v", 1, i), noise = input("step/noise", std::sqrt(3.0), i);
    const Step step = {.index = index, .level = levels[index], .next = levels[index + 1], .denoiser = 0};
    const Tensor result = solver->step(
        [&](const Tensor& x_at, const NoiseLevel& level) {
          return Prediction{x0_from_eps(backend(), x_at, eps, level), eps, learned ? v : Tensor()};
        },
        x, step, [&] { return noise; });
    const std::vector<float> found = values_of(result);
    // f32 loses up to 1e-7 of x0, which is x / alpha: hundreds at the first steps.
    const double tolerance = 1e-6 + 5e-7 * levels[index + 1].alpha / levels[index].alpha;
    for (int64_t e = 0; e < kElements; ++e)
      ASSERT_NEAR(found[e], expected[i * kElements + e], tolerance)
          << golden << ", step " << index << ", element " << e;
  }
}

TEST(Golden, DdimSteps) { compare_steps("step_ddim.npy", "ddim", 0, false); }
TEST(Golden, DdimStepsWithNoise) { compare_steps("step_ddim_eta0.7.npy", "ddim", 0.7, true); }
TEST(Golden, DdpmStepsWithLearnedVariance) { compare_steps("step_ddpm_learned.npy", "ddpm", 0, true); }
TEST(Golden, DdpmStepsWithFixedVariance) { compare_steps("step_ddpm_small.npy", "ddpm", 0, false); }

}  // namespace
}  // namespace tstitch
