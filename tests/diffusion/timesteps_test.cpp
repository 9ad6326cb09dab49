#include "tstitch/diffusion/timesteps.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/expect_error.h"
#include "tstitch/diffusion/beta_quantile.h"
#include "tstitch/diffusion/flow_schedule.h"
#include "tstitch/diffusion/solver.h"

namespace tstitch {
namespace {

using testing::expect_error;

const NoiseSchedule& schedule() {
  static const NoiseSchedule scaled = NoiseSchedule::scaled_linear(0.00085, 0.012, 1000);
  return scaled;
}

std::vector<double> timesteps(std::string_view solver, std::string_view steps,
                              const SpacingOptions& options = {}) {
  const std::vector<NoiseLevel> levels = make_levels(solver, schedule(), steps, options);
  std::vector<double> timesteps;
  for (size_t i = 0; i + 1 < levels.size(); ++i) timesteps.push_back(levels[i].t);
  return timesteps;
}

using Timesteps = std::vector<double>;

// ---- defaults: the timesteps that the pipelines of the reference walk (tools/goldens/make_solver_goldens.py
// compares all numbers of all of them)

TEST(MakeLevels, DdimAndDdpmAreTheDiTCodes) {
  for (const char* solver : {"ddim", "ddpm"}) {
    EXPECT_EQ(timesteps(solver, "5"), (Timesteps{999, 749, 500, 250, 0}));
    EXPECT_EQ(timesteps(solver, "2,1"), (Timesteps{500, 499, 0}));
    EXPECT_EQ(make_levels(solver, schedule(), "5", {}).back(), kClean);
  }
}

// Of 50 steps a strength of 0.75 takes the last 37, as diffusers' pipelines count.
TEST(MakeLevels, AStrengthKeepsTheLastSteps) {
  const Timesteps all = timesteps("ddim", "50");
  EXPECT_EQ(timesteps("ddim", "50", {.strength = 0.75}), Timesteps(all.begin() + 13, all.end()));
  EXPECT_EQ(timesteps("ddim", "50", {.strength = 1}), all);
  EXPECT_EQ(timesteps("pndm", "4", {.strength = 0.5}), (Timesteps{251, 1, 1}));
  EXPECT_EQ(make_levels(FlowSchedule{}, "10", 0.35).size(), 4u);
  for (const double strength : {0.0, -1.0, 1.01, 0.019, std::nan("")})
    expect_error(ErrorKind::usage, "strength", [&] { timesteps("ddim", "50", {.strength = strength}); });
}

// 51 evaluations for 50 steps, the second timestep twice, and an end that is not quite clean.
TEST(MakeLevels, PndmIsStableDiffusions) {
  const Timesteps fifty = timesteps("pndm", "50");
  ASSERT_EQ(fifty.size(), 51u);
  EXPECT_EQ(Timesteps(fifty.begin(), fifty.begin() + 5), (Timesteps{981, 961, 961, 941, 921}));
  EXPECT_EQ(fifty.back(), 1);
  EXPECT_EQ(make_levels("pndm", schedule(), "50", {}).back(), schedule().level(0));
  EXPECT_EQ(timesteps("pndm", "1"), Timesteps{1});
  EXPECT_EQ(timesteps("pndm", "2"), (Timesteps{501, 1, 1}));
}

TEST(MakeLevels, EulerKeepsFractions) {
  EXPECT_EQ(timesteps("euler", "5"), (Timesteps{999, 749.25, 499.5, 249.75, 0}));
  EXPECT_EQ(timesteps("euler", "5", {.spacing = Spacing::leading, .offset = 1}),
            (Timesteps{801, 601, 401, 201, 1}));
  EXPECT_EQ(timesteps("euler", "5", {.spacing = Spacing::trailing}), (Timesteps{999, 799, 599, 399, 199}));
  for (const char* solver : {"dpm2", "dpm2_a", "lms"})
    EXPECT_EQ(timesteps(solver, "5"), timesteps("euler", "5")) << solver;
}

TEST(MakeLevels, Dpm2RoundsTheTimestepsOfKarrasSigmas) {
  for (const double t : timesteps("dpm2", "7", {.sigmas = SigmaSpacing::karras})) EXPECT_EQ(t, std::round(t));
  EXPECT_NE(timesteps("lms", "7", {.sigmas = SigmaSpacing::karras})[3],
            timesteps("dpm2", "7", {.sigmas = SigmaSpacing::karras})[3]);
}

// DEIS has no choice of its end; with Karras sigmas, which reach it, its last step leads nowhere.
TEST(MakeLevels, DeisAndTcdEndAtTheLevelOfTimestepZero) {
  for (const char* solver : {"deis", "tcd"})
    for (const bool ends_clean : {false, true})
      EXPECT_EQ(make_levels(solver, schedule(), "5", {.ends_clean = ends_clean}).back(), schedule().level(0))
          << solver;
  const auto karras = make_levels("deis", schedule(), "5", {.sigmas = SigmaSpacing::karras});
  EXPECT_NEAR(karras[4].sigma, karras[5].sigma, 1e-12);
  EXPECT_EQ(make_levels("dpm++2s", schedule(), "5", {}).back(), kClean);
  EXPECT_EQ(make_levels("dpm++2s", schedule(), "5", {.ends_clean = false}).back(), schedule().level(0));
}

TEST(InitialScale, IsTheFirstSigmaOfThoseThatWorkInIt) {
  for (const char* solver : {"euler", "euler_a", "heun", "dpm2", "dpm2_a", "lms"}) {
    const NoiseLevel first = schedule().level(999);
    EXPECT_EQ(initial_scale(solver, {}, first), first.sigma) << solver;
    EXPECT_EQ(initial_scale(solver, {.spacing = Spacing::leading}, first), 1) << solver;
  }
  for (const char* solver : {"ddim", "deis", "dpm++2s", "dpm++2m", "tcd"})
    EXPECT_EQ(initial_scale(solver, {}, schedule().level(999)), 1) << solver;
}

TEST(MakeLevels, HeunStopsAWholeStepAboveTheEnd) {
  EXPECT_EQ(timesteps("heun", "5"), (Timesteps{999, 799, 599, 399, 199}));
}

TEST(MakeLevels, MultistepsLeaveOutTheLowest) {
  for (const char* solver : {"deis", "dpm++2s", "dpm++2m", "dpm++2m_sde", "unipc"}) {
    EXPECT_EQ(timesteps(solver, "4"), (Timesteps{999, 749, 500, 250}));
    EXPECT_EQ(timesteps(solver, "4", {.spacing = Spacing::leading}), (Timesteps{800, 600, 400, 200}));
  }
}

TEST(MakeLevels, LcmAndTcdTakeWhatWasDistilled) {
  for (const char* solver : {"lcm", "tcd"}) {
    EXPECT_EQ(timesteps(solver, "4"), (Timesteps{999, 759, 499, 259}));
    EXPECT_EQ(timesteps(solver, "2"), (Timesteps{999, 499}));
    EXPECT_EQ(timesteps(solver, "8"), (Timesteps{999, 879, 759, 639, 499, 379, 259, 139}));
  }
}

// As diffusers' LCMScheduler places them.
TEST(MakeLevels, LcmsMayTakeAllStepsBelowTheStrength) {
  const auto below = [](double strength, const char* steps) {
    return timesteps("lcm", steps, {.strength = strength, .strength_keeps_steps = true});
  };
  EXPECT_EQ(below(0.5, "4"), (Timesteps{499, 379, 259, 139}));
  EXPECT_EQ(below(0.3, "4"), (Timesteps{299, 239, 159, 79}));
  EXPECT_EQ(below(0.1, "5"), (Timesteps{99, 79, 59, 39, 19}));
  EXPECT_EQ(below(1, "4"), timesteps("lcm", "4"));
  // Of other timesteps the last ones are taken.
  EXPECT_EQ(
      timesteps("ddim", "4", {.spacing = Spacing::trailing, .strength = 0.5, .strength_keeps_steps = true}),
      (Timesteps{499, 249}));
}

TEST(MakeLevels, TimestepsMayBeNamed) {
  for (const char* solver : {"ddim", "ddpm", "euler", "euler_a", "heun", "dpm2", "lms", "deis", "dpm++2s",
                             "dpm++2m", "unipc", "lcm", "tcd"}) {
    EXPECT_EQ(timesteps(solver, "", {.timesteps = {999, 850, 24}}), (Timesteps{999, 850, 24})) << solver;
    EXPECT_EQ(timesteps(solver, "", {.strength = 0.7, .timesteps = {999, 850, 24}}), (Timesteps{850, 24}));
    EXPECT_EQ(timesteps(solver, "", {.spacing = Spacing::lcm, .timesteps = {800}}), (Timesteps{800}));
  }
}

// ---- what holds for all

TEST(MakeLevels, EverySolverHasLevels) {
  std::string names = solver_names() + ", ";
  for (size_t comma; (comma = names.find(", ")) != std::string::npos; names.erase(0, comma + 2)) {
    const std::string solver = names.substr(0, comma);
    if (solver == "flow_euler") continue;
    EXPECT_GE(timesteps(solver, "7").size(), 7u) << solver;
  }
}

TEST(MakeLevels, FallAndKeepUnitVariance) {
  for (const char* solver : {"ddim", "euler", "dpm2", "lms", "dpm++2s", "dpm++2m", "unipc"})
    for (const Spacing spacing : {Spacing::respaced, Spacing::leading, Spacing::linspace, Spacing::trailing})
      for (const SigmaSpacing sigmas :
           {SigmaSpacing::discrete, SigmaSpacing::karras, SigmaSpacing::exponential})
        for (const char* steps : {"1", "2", "30", "999"}) {
          const auto levels = make_levels(solver, schedule(), steps, {.spacing = spacing, .sigmas = sigmas});
          ASSERT_EQ(levels.size(), static_cast<size_t>(std::stoi(steps)) + 1);
          EXPECT_EQ(levels.back(), kClean);
          for (size_t i = 0; i + 1 < levels.size(); ++i) {
            EXPECT_GT(levels[i].sigma, levels[i + 1].sigma) << solver << " " << name_of(spacing) << " " << i;
            EXPECT_GE(levels[i].t, levels[i + 1].t);
            EXPECT_NEAR(levels[i].alpha * levels[i].alpha + levels[i].sigma * levels[i].sigma, 1, 1e-12);
          }
        }
}

TEST(MakeLevels, KarrasIsEvenInTheSeventhRoot) {
  const auto levels = make_levels("euler", schedule(), "10", {.sigmas = SigmaSpacing::karras});
  const auto root = [&](int i) { return std::pow(levels[i].sigma / levels[i].alpha, 1.0 / 7); };
  for (int i = 1; i < 9; ++i) EXPECT_NEAR(root(i - 1) - root(i), root(i) - root(i + 1), 1e-12);
  EXPECT_NEAR(levels[0].t, 999, 1e-9);
  EXPECT_NEAR(levels[9].t, 0, 1e-9);
}

// scipy.stats.beta.ppf(p, 0.6, 0.6).
TEST(MakeLevels, BetaIsAtTheQuantilesOfItsDistribution) {
  for (const auto& [p, x] : {std::pair{0.0, 0.0},
                             {1e-6, 1.8558824624053043e-10},
                             {0.001, 1.855873851745199e-05},
                             {0.1, 0.03958440558878085},
                             {1 / 3.0, 0.2754132907776234},
                             {0.5, 0.5},
                             {0.75, 0.824319621347305},
                             {0.999, 0.9999814412614826},
                             {1.0, 1.0}})
    EXPECT_NEAR(beta_quantile(p), x, 1e-14 + 1e-10 * x) << p;
}

TEST(MakeLevels, SigmasMayHaveARangeOfTheirOwn) {
  for (const char* solver : {"euler", "unipc"})
    for (const SigmaSpacing sigmas : {SigmaSpacing::karras, SigmaSpacing::exponential, SigmaSpacing::beta}) {
      const auto levels =
          make_levels(solver, schedule(), "5", {.sigmas = sigmas, .lowest = 0.1, .highest = 10});
      EXPECT_NEAR(levels[0].sigma / levels[0].alpha, 10, 1e-12);
      EXPECT_NEAR(levels[4].sigma / levels[4].alpha, 0.1, 1e-12);
    }
  expect_error(ErrorKind::usage, "sigma / alpha from 0.5 to 1", [] {
    make_levels("euler", schedule(), "5", {.sigmas = SigmaSpacing::karras, .lowest = 1, .highest = 0.5});
  });
}

// As diffusers with torch 2.9.1 and numpy 2.4.
TEST(MakeLevels, TheFirstTimestepIsCutOffAsInFloat32) {
  EXPECT_FALSE(NoiseSchedule::linear(1e-4, 2e-2, 1000).float32_falls_short());
  EXPECT_TRUE(schedule().float32_falls_short());
  EXPECT_TRUE(NoiseSchedule::cosine(1000).float32_falls_short());
  EXPECT_TRUE(schedule().zero_terminal_snr().with_finite_ratios().float32_falls_short());
  for (const SigmaSpacing sigmas : {SigmaSpacing::exponential, SigmaSpacing::beta}) {
    EXPECT_EQ(timesteps("dpm++2m", "10", {.sigmas = sigmas})[0], 998);
    EXPECT_NEAR(timesteps("euler", "10", {.sigmas = sigmas})[0], 999, 1e-9);
  }
}

TEST(MakeLevels, NamesAreParsed) {
  for (const Spacing spacing :
       {Spacing::respaced, Spacing::leading, Spacing::linspace, Spacing::trailing, Spacing::lcm})
    EXPECT_EQ(parse_spacing(name_of(spacing)), spacing);
  for (const SigmaSpacing sigmas : {SigmaSpacing::discrete, SigmaSpacing::karras, SigmaSpacing::exponential,
                                    SigmaSpacing::beta, SigmaSpacing::lu})
    EXPECT_EQ(parse_sigma_spacing(name_of(sigmas)), sigmas);
  EXPECT_EQ(parse_spacing("even"), std::nullopt);
  EXPECT_EQ(parse_sigma_spacing(""), std::nullopt);
  EXPECT_EQ(spacing_names(), "respaced, leading, linspace, trailing, lcm");
  EXPECT_EQ(sigma_spacing_names(), "discrete, karras, exponential, beta, lu");
}

TEST(MakeLevels, RefusesWhatDoesNotFit) {
  const auto refuses = [](const std::string& part, const char* solver, const char* steps,
                          const SpacingOptions& options) {
    expect_error(ErrorKind::usage, part, [&] { make_levels(solver, schedule(), steps, options); });
  };
  refuses("sampler 'flow_euler' is for rectified flows", "flow_euler", "10", {});
  refuses("for the sampler 'plms'", "plms", "10", {});
  for (const char* steps : {"0", "-1", "", "ten", "10,20", "ddim10", "1e3", "99999999999"})
    refuses(concat("steps '", steps, "', expected a whole number"), "euler", steps, {});
  refuses("steps '1001': at most 1000", "euler", "1001", {});
  refuses("steps '1000': at most 999", "dpm++2m", "1000", {});
  refuses("steps '51': at most 50", "lcm", "51", {});
  refuses("1001 steps asked for", "ddim", "1001", {});
  refuses("timestep 1000, but the model was trained with 1000", "pndm", "1000", {});
  refuses("an offset of -1", "euler", "10", {.spacing = Spacing::leading, .offset = -1});
  refuses("sampler 'pndm' takes no karras sigmas", "pndm", "10", {.sigmas = SigmaSpacing::karras});
  refuses("sampler 'lcm' takes no exponential sigmas", "lcm", "4", {.sigmas = SigmaSpacing::exponential});
  refuses("sampler 'tcd' takes no karras sigmas", "tcd", "4", {.sigmas = SigmaSpacing::karras});
  refuses("a strength of 2, expected", "lcm", "4", {.strength = 2, .strength_keeps_steps = true});
  refuses("a strength of 0.01 leaves none of 50 timesteps", "lcm", "1",
          {.strength = 0.01, .strength_keeps_steps = true});
  refuses("steps '26': at most 25", "lcm", "26", {.strength = 0.5, .strength_keeps_steps = true});
  refuses("steps '4' and --timesteps exclude each other", "ddim", "4", {.timesteps = {800}});
  refuses(
      "--timesteps does not go with the sampler pndm, which needs equal steps: expected --sampler ddim, "
      "ddpm, "
      "euler, euler_a, heun, dpm2, dpm2_a, lms, deis, dpm++2s, dpm++2m, dpm++2m_sde, unipc, lcm, tcd",
      "pndm", "", {.timesteps = {800}});
  refuses("karras sigmas have timesteps of their own, and --timesteps names others", "euler", "",
          {.sigmas = SigmaSpacing::karras, .timesteps = {800}});
  refuses("--timesteps has 1000, expected 0 ... 999", "ddim", "", {.timesteps = {1000}});
  refuses("--timesteps has 5 behind 5, expected them to fall", "ddim", "", {.timesteps = {5, 5}});
  expect_error(ErrorKind::usage, "at least 50 timesteps, this one has 40",
               [] { make_levels("lcm", NoiseSchedule::linear(1e-4, 2e-2, 40), "4", {}); });
}

TEST(FlowSchedule, RunsFromPureNoiseToClean) {
  for (const double shift : {1.0, 3.0})
    for (const int steps : {1, 2, 28}) {
      const std::vector<NoiseLevel> levels = FlowSchedule{.shift = shift}.levels(steps);
      ASSERT_EQ(std::ssize(levels), steps + 1);
      EXPECT_EQ(levels[0], (NoiseLevel{1000, 0, 1}));
      EXPECT_EQ(levels.back(), kClean);
      for (int i = 0; i < steps; ++i) {
        EXPECT_GT(levels[i].sigma, levels[i + 1].sigma);
        EXPECT_EQ(levels[i].alpha, 1 - levels[i].sigma);
        EXPECT_EQ(levels[i].t, 1000 * levels[i].sigma);
      }
    }
  expect_error(ErrorKind::usage, "steps 0", [] { FlowSchedule{}.levels(0); });
  expect_error(ErrorKind::usage, "steps 1001, expected 1 to 1000", [] { FlowSchedule{}.levels(1001); });
  expect_error(ErrorKind::input, "shift 0", [] { FlowSchedule{.shift = 0}.levels(10); });
}

}  // namespace
}  // namespace tstitch
