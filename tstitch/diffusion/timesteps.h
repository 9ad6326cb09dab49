// Which noise levels a trajectory of a solver visits.
//
// DDPM and DDIM keep the respacing of the DiT code (respacing.h). The other solvers follow diffusers, whose
// schedulers place the same number of steps in three ways ("spacing": Lin et al. 2023, arXiv 2305.08891,
// table 2), each family with its own idea of where the last step lies; on top of that the ratio sigma / alpha
// can be spaced evenly in a power (Karras et al. 2022, eq. 5) or in its logarithm, or by a distribution
// instead.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tstitch/diffusion/flow_schedule.h"
#include "tstitch/diffusion/noise_schedule.h"

namespace tstitch {

// T timesteps of training, N steps, in sampling order.
enum class Spacing {
  respaced,  // the DiT code's: T-1 ... 0, whole, both ends included (respacing.h)
  leading,   // multiples of T div N, from N - 1 of them down to 0, plus the offset
  linspace,  // T-1 ... 0, evenly
  trailing,  // T-1 down in strides of T / N, so that the last step is a whole stride above -1
  lcm,       // as even as possible a choice among the timesteps an LCM was distilled at
};

// How sigma / alpha falls from the highest to the lowest level.
enum class SigmaSpacing {
  discrete,     // as the timesteps say
  karras,       // evenly in (sigma / alpha)^(1/7)
  exponential,  // evenly in log(sigma / alpha)
  beta,         // at the quantiles of a beta distribution (beta_quantile.h)
  lu,  // as exponential; the multistep solvers ask at whole timesteps, as with Karras (Lu et al. 2022)
};

std::string_view name_of(Spacing spacing);  // "respaced", ...
std::string_view name_of(SigmaSpacing spacing);
std::optional<Spacing> parse_spacing(std::string_view name);  // the inverse of name_of
std::optional<SigmaSpacing> parse_sigma_spacing(std::string_view name);
std::string spacing_names();  // "respaced, leading, ..."
std::string sigma_spacing_names();

struct SpacingOptions {
  std::optional<Spacing> spacing;      // default: the solver's, see below
  std::optional<SigmaSpacing> sigmas;  // default: discrete
  std::optional<int> offset;  // added to the timesteps of `leading` ("steps_offset"), >= 0; default: the
                              // solver's
  double strength = 1;  // share of the steps that are taken, the last ones: what an initial picture that is
                        // not to be lost altogether needs (Meng et al. 2021, arXiv 2108.01073)
  std::optional<bool> ends_clean;  // else at the level of t = 0: "set_alpha_to_one" of ddim and pndm,
                                   // "final_sigmas_type" of euler, dpm++2m(_sde), dpm++2s, unipc, no choice
                                   // of the others; default: the solver's
  int distilled = 50;              // timesteps, for the spacing lcm ("original_inference_steps")
  // With that spacing a strength takes N steps of the lower share of these timesteps, as diffusers' pipelines
  // of latent consistency models do, instead of the last of N.
  bool strength_keeps_steps = false;
  // Instead of a number of steps and a spacing: those very timesteps, falling, 0 ... T - 1. How much noise
  // the start has still follows from the spacing (initial_scale).
  std::vector<int> timesteps;
  // The ratios sigma / alpha between which the sigmas that are not discrete fall ("sigma_min", "sigma_max");
  // default: those of the timesteps.
  std::optional<double> lowest, highest;
};

// The N + 1 levels of a trajectory, decreasing. Defaults, and how the steps are placed:
//
//   solver                    spacing   differs in
//   ddim, ddpm                respaced
//   pndm                      leading   offset 1; the second level twice (N + 2 levels, pndm.h); ends at the
//                                       level of t = 0 instead of clean: all as Stable Diffusion configures
//                                       it
//   euler, euler_a, lms       linspace  timesteps of linspace are not rounded
//   heun                      trailing  the same. diffusers' default is linspace too, but that ends at t = 0,
//                                       whose eps, the least certain, becomes half the slope of a long step:
//                                       speckled pictures
//   dpm2, dpm2_a              linspace  as euler, but with karras the network is told t rounded to nearest
//   dpm++2m(_sde), dpm++2s,   linspace  linspace and leading place N + 1 timesteps and leave out the lowest;
//   unipc, deis                         the other sigmas span all T timesteps instead of those chosen, and
//                                       the network is told t rounded: to nearest with karras and lu, else
//                                       down. Where they do not end clean, as deis never does, they end at
//                                       their lowest
//   lcm, tcd                  lcm       tcd ends at the level of t = 0
//
// A strength leaves the last int(strength N) of N steps, or with `strength_keeps_steps` the lowest
// int(strength D) of D distilled timesteps to choose N from; Error{usage} unless it is in (0, 1] and leaves
// one. `respaced` places the same timesteps for all of them. pndm needs equal steps, lcm and tcd the
// timesteps of their training: they take only discrete sigmas. steps: see respaced_timesteps; other spacings
// than respaced take a number only, and options.timesteps none: they go with discrete sigmas and any solver
// but pndm. Throws Error{usage} for an unknown solver, for steps, timesteps or an offset that do not fit T,
// and for flow_euler, whose levels are FlowSchedule's (flow_schedule.h).
//
// Where the schedule ends without any signal, ddim, ddpm, lcm and tcd start at that very level, where only
// models of v and x0 can be asked; the others divide by alpha and start at NoiseSchedule::with_finite_ratios.
std::vector<NoiseLevel> make_levels(std::string_view solver, const NoiseSchedule& schedule,
                                    std::string_view steps, const SpacingOptions& options);

// What the noise at the start is multiplied with. diffusers' Euler, Euler ancestral, Heun, DPM2 and LMS start
// from noise of exactly the first sigma where the first timestep is the last of training (linspace,
// trailing), and so leave out the trace of the picture that is left there; everything else starts from unit
// variance.
double initial_scale(std::string_view solver, const SpacingOptions& options, const NoiseLevel& first);

// Those of a rectified flow, for flow_euler. steps: a number; Error{usage} unless it is 1 ... T.
std::vector<NoiseLevel> make_levels(const FlowSchedule& schedule, std::string_view steps, double strength);

}  // namespace tstitch
