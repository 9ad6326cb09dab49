#include "tstitch/diffusion/noise_schedule.h"

#include <cmath>

#include "tstitch/base/error.h"

namespace tstitch {
namespace {

void check_parameters(double beta_start, double beta_end, int train_timesteps) {
  check(0 < beta_start && beta_start <= beta_end && beta_end < 1, ErrorKind::input,
        "a noise schedule with betas from ", beta_start, " to ", beta_end,
        ", expected 0 < beta_start <= beta_end < 1");
  check(1 <= train_timesteps && train_timesteps <= 1'000'000, ErrorKind::input, "a noise schedule of ",
        train_timesteps, " timesteps, expected 1 to 1000000");
}

// `count` numbers from start to end, both included, as numpy.linspace computes them.
std::vector<double> linspace(double start, double end, int count) {
  std::vector<double> values(static_cast<size_t>(count), start);
  const double step = count > 1 ? (end - start) / (count - 1) : 0;
  for (int i = 1; i < count; ++i) values[i] = i * step + start;
  if (count > 1) values.back() = end;
  return values;
}

}  // namespace

NoiseSchedule NoiseSchedule::linear(double beta_start, double beta_end, int train_timesteps) {
  check_parameters(beta_start, beta_end, train_timesteps);
  return NoiseSchedule(linspace(beta_start, beta_end, train_timesteps));
}

NoiseSchedule NoiseSchedule::scaled_linear(double beta_start, double beta_end, int train_timesteps) {
  check_parameters(beta_start, beta_end, train_timesteps);
  std::vector<double> betas = linspace(std::sqrt(beta_start), std::sqrt(beta_end), train_timesteps);
  for (double& beta : betas) beta *= beta;
  return NoiseSchedule(betas);
}

NoiseSchedule::NoiseSchedule(std::span<const double> betas) {
  alphas_cumprod_.reserve(betas.size());
  double product = 1;
  for (const double beta : betas) alphas_cumprod_.push_back(product *= 1 - beta);
}

NoiseLevel NoiseSchedule::level(int t) const {
  check_internal(0 <= t && t < train_timesteps(), "timestep ", t, " of a noise schedule of ",
                 train_timesteps());
  const double alpha_cumprod = alphas_cumprod_[static_cast<size_t>(t)];
  return {
      .t = static_cast<double>(t), .alpha = std::sqrt(alpha_cumprod), .sigma = std::sqrt(1 - alpha_cumprod)};
}

std::vector<NoiseLevel> NoiseSchedule::levels(std::span<const int> timesteps) const {
  std::vector<NoiseLevel> levels;
  levels.reserve(timesteps.size() + 1);
  for (const int t : timesteps) levels.push_back(level(t));
  levels.push_back(kClean);
  return levels;
}

}  // namespace tstitch
