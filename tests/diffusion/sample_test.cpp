// The identities of stitching, bit for bit.
#include "tstitch/diffusion/sample.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/diffusion/exact_denoisers.h"
#include "tests/support/expect_error.h"
#include "tstitch/diffusion/ddim.h"
#include "tstitch/diffusion/respacing.h"
#include "tstitch/diffusion/switch_rule.h"

namespace tstitch {
namespace {

using testing::backend;
using testing::CountingDenoiser;
using testing::expect_error;
using testing::GaussianDenoiser;
using testing::values_of;

constexpr int kStepCount = 20;

std::vector<int> timesteps() {
  std::vector<int> timesteps = respaced_timesteps(std::to_string(kStepCount), 1000);
  std::ranges::reverse(timesteps);
  return timesteps;
}

Trajectory trajectory_of(const std::vector<int>& assignment) {
  return Trajectory(NoiseSchedule::linear(1e-4, 2e-2, 1000).levels(timesteps()), assignment);
}

Trajectory stitched(double ratio) {
  const double fractions[] = {ratio, 1 - ratio};
  const std::vector<int> whole = timesteps();
  return trajectory_of(
      assign_steps(SwitchRule::dit, fractions, std::vector<double>(whole.begin(), whole.end()), 1000));
}

std::unique_ptr<Solver> solver_of(const std::string& name) {
  const auto schedule = std::make_shared<const NoiseSchedule>(NoiseSchedule::linear(1e-4, 2e-2, 1000));
  return make_solver(backend(), name, {.eta = 0.5, .schedule = schedule});
}

std::vector<float> run(const std::string& solver, const Trajectory& trajectory,
                       std::vector<Denoiser*> denoisers, std::vector<uint64_t> seeds = {3, 4}) {
  PhiloxNoise noise(backend(), std::move(seeds), {2, 4, 4});
  const Sampled sampled = sample(trajectory, denoisers, *solver_of(solver), noise, noise.initial());
  EXPECT_FALSE(sampled.cancelled);
  return values_of(sampled.x);
}

class Stitching : public ::testing::TestWithParam<const char*> {
 protected:
  const std::string solver = GetParam();
  GaussianDenoiser small{0.3, 0.5}, large{0.7, 0.4}, twin{0.7, 0.4};
};

INSTANTIATE_TEST_SUITE_P(Solvers, Stitching,
                         ::testing::Values("ddim", "ddpm", "pndm", "euler", "euler_a", "heun", "dpm2",
                                           "dpm2_a", "lms", "deis", "dpm++2s", "dpm++2m", "dpm++2m_sde",
                                           "unipc", "lcm", "tcd"));

TEST_P(Stitching, WithItselfChangesNothing) {
  const std::vector<float> pure = run(solver, stitched(1), {&large});
  for (const double ratio : {0.0, 0.1, 0.5, 1.0})
    EXPECT_EQ(run(solver, stitched(ratio), {&twin, &large}), pure);
  EXPECT_EQ(run(solver, trajectory_of(assign_at(std::vector<int>{3, 3, 11}, kStepCount)),
                {&large, &twin, &twin, &large}),
            pure);
}

TEST_P(Stitching, RatioZeroAndOneAreThePureModels) {
  EXPECT_EQ(run(solver, stitched(0), {&small, &large}),
            run(solver, trajectory_of(std::vector<int>(kStepCount)), {&large}));
  EXPECT_EQ(run(solver, stitched(1), {&small, &large}),
            run(solver, trajectory_of(std::vector<int>(kStepCount)), {&small}));
}

TEST_P(Stitching, InBetweenIsNeither) {
  const std::vector<float> half = run(solver, stitched(0.5), {&small, &large});
  EXPECT_NE(half, run(solver, stitched(0), {&small, &large}));
  EXPECT_NE(half, run(solver, stitched(1), {&small, &large}));
}

TEST_P(Stitching, EveryDenoiserServesWhatTheTrajectorySays) {
  for (const double ratio : {0.0, 0.4, 1.0}) {
    CountingDenoiser first(small), second(large);
    const Trajectory trajectory = stitched(ratio);
    run(solver, trajectory, {&first, &second});
    const auto rule = solver_of(solver);
    EXPECT_EQ(first.asked, levels_asked(trajectory, *rule, 0));
    EXPECT_EQ(second.asked, levels_asked(trajectory, *rule, 1));
    if (solver != "heun" && !solver.starts_with("dpm2")) {
      EXPECT_EQ(std::ssize(first.asked), trajectory.steps_of(0));
      EXPECT_EQ(std::ssize(second.asked), trajectory.steps_of(1));
    }
    EXPECT_EQ(first.prepared, first.asked);
    EXPECT_EQ(second.prepared, second.asked);
  }
}

TEST_P(Stitching, ImagesDoNotDependOnTheirBatch) {
  const std::vector<float> together = run(solver, stitched(0.4), {&small, &large}, {0, 1, 2, 3, 4, 5, 6, 7});
  for (uint64_t image = 0; image < 8; ++image) {
    const std::vector<float> alone = run(solver, stitched(0.4), {&small, &large}, {image});
    EXPECT_TRUE(std::ranges::equal(alone, std::span(together).subspan(image * alone.size(), alone.size())))
        << image;
  }
}

// From the second step on; from the fifth, for PNDM has to have its history.
TEST_P(Stitching, TheNextStepAllocatesNothing) {
  struct : Observer {
    bool after(const Step& step, const Tensor&) override {
      const int64_t now = host_memory().statistics().system_allocations;
      if (step.index <= 3) first = now;
      last = now;
      return true;
    }
    int64_t first = 0, last = 0;
  } allocations;
  PhiloxNoise noise(backend(), {3, 4, 5}, {2, 6, 6});
  Denoiser* const denoisers[] = {&small, &large};
  sample(stitched(0.4), denoisers, *solver_of(solver), noise, noise.initial(), &allocations);
  EXPECT_EQ(allocations.last, allocations.first);
}

// ---- the loop

TEST(Sample, WithEtaZeroNeedsNoNoise) {
  GaussianDenoiser large(0.7, 0.4);
  Denoiser* const denoisers[] = {&large};
  PhiloxNoise start(backend(), {3}, {2, 4, 4}), other(backend(), {4}, {2, 4, 4});
  GivenNoise none(backend(), {}, 0, {1, 2, 4, 4});
  Ddim solver(backend(), 0);
  const Trajectory trajectory = stitched(1);
  const std::vector<float> x = values_of(sample(trajectory, denoisers, solver, none, start.initial()).x);
  EXPECT_EQ(values_of(sample(trajectory, denoisers, solver, other, start.initial()).x), x);
}

// Notes every call; x counts the steps.
class RecordingSolver final : public Solver {
 public:
  Tensor step(DenoiseFn, const Tensor& x, const Step& step, NoiseFn) override {
    calls += 's' + std::to_string(step.index) + ' ';
    return combine_plus_one(x);
  }
  void reset() override { calls += "reset "; }

  std::string calls;

 private:
  static Tensor combine_plus_one(const Tensor& x) {
    return testing::tensor_of(x.shape(), [&](int64_t i) { return x.data<float>()[i] + 1; });
  }
};

class RecordingObserver final : public Observer {
 public:
  RecordingObserver(std::string& calls, int stop_after) : calls_(calls), stop_after_(stop_after) {}

  void before(const Step& step) override { calls_ += '<' + std::to_string(step.index) + ' '; }
  bool after(const Step& step, const Tensor& x) override {
    calls_ += '>' + std::to_string(step.index) + ' ';
    EXPECT_EQ(x.data<float>()[0], static_cast<float>(step.index + 1));
    return step.index != stop_after_;
  }

 private:
  std::string& calls_;
  int stop_after_;
};

Trajectory three_steps(std::vector<int> assignment = {0, 1, 1}) {
  return Trajectory(NoiseSchedule::linear(1e-4, 2e-2, 1000).levels(std::vector<int>{900, 500, 100}),
                    assignment);
}

Sampled record(RecordingSolver& solver, int stop_after) {
  GaussianDenoiser gaussian(0, 1);
  Denoiser* const denoisers[] = {&gaussian, &gaussian};
  GivenNoise none(backend(), {}, 0, {1, 1, 1, 1});
  RecordingObserver observer(solver.calls, stop_after);
  return sample(three_steps(), denoisers, solver, none,
                testing::tensor_of({1, 1, 1, 1}, [](int64_t) { return 0; }), &observer);
}

TEST(Sample, ResetsOnceAndTellsBeforeAndAfterEveryStep) {
  RecordingSolver solver;
  const Sampled sampled = record(solver, -1);
  EXPECT_FALSE(sampled.cancelled);
  EXPECT_EQ(sampled.x.data<float>()[0], 3);
  EXPECT_EQ(solver.calls, "reset <0 s0 >0 <1 s1 >1 <2 s2 >2 ");
}

TEST(Sample, StopsWhenToldTo) {
  RecordingSolver solver;
  const Sampled sampled = record(solver, 1);
  EXPECT_TRUE(sampled.cancelled);
  EXPECT_EQ(sampled.x.data<float>()[0], 2);
  EXPECT_EQ(solver.calls, "reset <0 s0 >0 <1 s1 >1 ");
}

TEST(Sample, StoppingAfterTheLastStepCountsAsCancelled) {
  RecordingSolver solver;
  EXPECT_TRUE(record(solver, 2).cancelled);
}

TEST(Sample, RefusesATrajectoryForMoreModels) {
  GaussianDenoiser gaussian(0, 1);
  Denoiser* const denoisers[] = {&gaussian, &gaussian};
  GivenNoise none(backend(), {}, 0, {1, 1, 1, 1});
  RecordingSolver solver;
  expect_error(ErrorKind::usage, "step 3 of the trajectory is for model 3, but there are 2", [&] {
    sample(three_steps({0, 1, 2}), denoisers, solver, none, Tensor({1, 1, 1, 1}, DType::f32));
  });
  EXPECT_EQ(solver.calls, "");
}

}  // namespace
}  // namespace tstitch
