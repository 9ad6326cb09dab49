// How much noise a latent carries at every timestep of training: the discrete variance-preserving schedules
// of DDPM (Ho et al. 2020, arXiv 2006.11239, section 2).
#pragma once

#include <span>
#include <vector>

namespace tstitch {

// A point of the trajectory: x = alpha x0 + sigma eps with eps ~ N(0, 1). Variance preserving, alpha^2 +
// sigma^2 = 1, for the schedules here; alpha + sigma = 1 for rectified flows (flow_schedule.h).
struct NoiseLevel {
  double t;      // what the network is told: the timestep of training, 0 .. T-1, not always whole
  double alpha;  // sqrt(alphas_cumprod[t])
  double sigma;  // sqrt(1 - alphas_cumprod[t])

  bool operator==(const NoiseLevel&) const = default;
};

// Where every trajectory ends: no noise left. No network is asked here, so t is nothing but 0.
inline constexpr NoiseLevel kClean = {.t = 0, .alpha = 1, .sigma = 0};

// lambda = log(alpha / sigma), half the logarithm of the signal-to-noise ratio (Lu et al. 2022, arXiv
// 2206.00927, section 2.1); infinite at the clean end.
double half_log_snr(const NoiseLevel& level);

// The variance-preserving level with sigma / alpha = ratio >= 0, for t: what Karras et al. 2022 (arXiv
// 2206.00364) call sigma is this ratio, and their x is x / alpha here.
NoiseLevel level_of_ratio(double t, double ratio);

// beta_t, the variance that step t of the forward process adds, for t = 0 .. T-1; everything in f64.
class NoiseSchedule {
 public:
  // beta_t evenly spaced from beta_start to beta_end (Ho et al. 2020, section 4; DiT: 1e-4, 2e-2, 1000).
  static NoiseSchedule linear(double beta_start, double beta_end, int train_timesteps);
  // sqrt(beta_t) evenly spaced (Rombach et al. 2022; Stable Diffusion: 0.00085, 0.012, 1000; their
  // class-conditional LDM: 0.0015, 0.0195, 1000). Both throw Error{input} unless 0 < beta_start <= beta_end <
  // 1 and 1 <= T <= 1,000,000: the numbers come from model files.
  static NoiseSchedule scaled_linear(double beta_start, double beta_end, int train_timesteps);
  // alphas_cumprod along cos^2, each beta at most 0.999 (Nichol & Dhariwal 2021, eq. 17;
  // "squaredcos_cap_v2"). Throws Error{input} unless 1 <= T <= 1,000,000.
  static NoiseSchedule cosine(int train_timesteps);
  // Any others. Throws Error{input} unless each is in 0 ... 1, both left out, and there are 1 to 1,000,000.
  static NoiseSchedule of(std::span<const double> betas);

  // The same schedule, its last timestep without any signal: sqrt(alphas_cumprod) shifted so that it ends at
  // 0 and scaled so that it begins where it did (Lin et al. 2023, arXiv 2305.08891, algorithm 1).
  NoiseSchedule zero_terminal_snr() const;
  // The same schedule, with 2^-24 instead where the last of alphas_cumprod is 0: for solvers that work with
  // sigma / alpha. The number is diffusers'.
  NoiseSchedule with_finite_ratios() const;

  int train_timesteps() const { return static_cast<int>(alphas_cumprod_.size()); }  // T
  // prod_{s <= t} (1 - beta_s) for t = 0 .. T-1, decreasing.
  std::span<const double> alphas_cumprod() const { return alphas_cumprod_; }

  // The noise level of timestep t; Error{internal} unless 0 <= t < T.
  NoiseLevel level(int t) const;
  // The same between the whole timesteps, sigma / alpha interpolated linearly; Error{internal} unless 0 <= t
  // <= T-1.
  NoiseLevel level_between(double t) const;
  // The timestep of a ratio sigma / alpha > 0, its logarithm interpolated linearly, clamped to 0 .. T-1.
  double timestep_of_ratio(double ratio) const;
  // Whether diffusers, which has a schedule in float32, finds the timestep of the last ratio to be a little
  // below T-1 and so cuts it off to T-2: whether the logarithm of the ratio rounds up. Its arithmetic is
  // followed to the bit, with logarithms that are rounded correctly; NumPy's are not always, which is another
  // answer for 1 schedule in 25, none of the published ones.
  bool float32_falls_short() const;
  // The levels of `timesteps`, given in sampling order (decreasing), and kClean after them: N + 1 levels.
  std::vector<NoiseLevel> levels(std::span<const int> timesteps) const;

 private:
  NoiseSchedule() = default;
  // betas32: as PyTorch has them in float32.
  static NoiseSchedule of(std::span<const double> betas, std::span<const float> betas32);

  std::vector<double> alphas_cumprod_;
  float last_alpha_cumprod32_ = 0;
};

}  // namespace tstitch
