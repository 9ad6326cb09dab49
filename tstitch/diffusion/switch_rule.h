// Which model serves which step: the switching rules of T-Stitch (Pan et al. 2024, arXiv 2402.14167).
//
// The paper gives the first round(r N) of N steps to the small model. Its code never rounds: it compares, at
// every step, the progress with the share r, and every code path does so differently. Whoever wants the
// images of the reference needs its comparisons to the last bit: with T = 1000 and r = 0.7 the DiT rule asks
// t / 1000 >= 1 - 0.7, and since 1 - 0.7 is 0.30000000000000004 in binary, t = 300 belongs to the large
// model, which makes 699 steps of 1000 small ones instead of 700. So the expressions here are the
// reference's, in its types and order; do not simplify them.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace tstitch {

// The rule of the reference's code path of that name. t: timestep of training, which may lie between two, T:
// their number, i: step 0 .. N-1, r: share of the small model.
enum class SwitchRule {
  dit,    // small iff t / T >= 1 - r; with three models or more the multi-model rule, see assign_steps
  ldm,    // small iff r == 1 or t / T > 1 - r
  step,   // small iff (i + 1) / N <= r: Stable Diffusion, SDXL, ControlNet
  lcm,    // small iff r == 1, or r != 0 and i / N <= r: one step more than `step` gives
  round,  // small iff i < round(r N), ties to even as Python rounds: the paper's text
};

std::string_view name_of(SwitchRule rule);                           // "dit", ...
std::optional<SwitchRule> parse_switch_rule(std::string_view name);  // the inverse of name_of

// The index of the denoiser that serves each step.
//
// fractions: the share of each model in the order of use, each in [0, 1], their sum 1 within 1e-6.
// timesteps: of every step, in sampling order, each 0 <= t <= T (pure noise of a rectified flow is T);
// repeated ones count as often as they stand there, as in the reference.
//
// For two models r is fractions[0], as in the reference. For more, a step goes to the first model for which
// the rule says "small" with r = its share and those before it together; `dit` instead follows the
// reference's MultiTStitch: the first model with 1 - t / T <= that cumulative share, compared in f32. What no
// model claims goes to the last one with a share above 0, and a model without a share gets no step. (In the
// reference MultiTStitch crashes when rounding leaves a step unclaimed.)
//
// Throws Error{usage} for bad fractions.
std::vector<int> assign_steps(SwitchRule rule, std::span<const double> fractions,
                              std::span<const double> timesteps, int train_timesteps);

// The same with the switches named: model j serves the steps from switch_steps[j - 1] (0 for the first model)
// up to, not including, switch_steps[j] (`steps` for the last). One switch at K: K steps small, the rest
// large. Throws Error{usage} unless 0 <= switch_steps[0] <= switch_steps[1] <= ... <= steps.
std::vector<int> assign_at(std::span<const int> switch_steps, int steps);

}  // namespace tstitch
