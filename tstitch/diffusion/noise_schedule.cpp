#include "tstitch/diffusion/noise_schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tstitch/base/error.h"

namespace tstitch {
namespace {

void check_length(int train_timesteps) {
  check(1 <= train_timesteps && train_timesteps <= 1'000'000, ErrorKind::input, "a noise schedule of ",
        train_timesteps, " timesteps, expected 1 to 1000000");
}

void check_parameters(double beta_start, double beta_end, int train_timesteps) {
  check(0 < beta_start && beta_start <= beta_end && beta_end < 1, ErrorKind::input,
        "a noise schedule with betas from ", beta_start, " to ", beta_end,
        ", expected 0 < beta_start <= beta_end < 1");
  check_length(train_timesteps);
}

// `count` numbers from start to end, both included, as numpy.linspace computes them.
std::vector<double> linspace(double start, double end, int count) {
  std::vector<double> values(static_cast<size_t>(count), start);
  const double step = count > 1 ? (end - start) / (count - 1) : 0;
  for (int i = 1; i < count; ++i) values[i] = i * step + start;
  if (count > 1) values.back() = end;
  return values;
}

// The same as torch.linspace computes them in float32: from both ends to the middle, with fused
// multiplication.
std::vector<float> linspace32(double start, double end, int count) {
  const auto first = static_cast<float>(start), last = static_cast<float>(end);
  const float step = count > 1 ? (last - first) / static_cast<float>(count - 1) : 0;
  std::vector<float> values;
  for (int i = 0; i < count; ++i)
    values.push_back(i < count / 2 ? std::fma(step, static_cast<float>(i), first)
                                   : std::fma(-step, static_cast<float>(count - 1 - i), last));
  return values;
}

std::vector<float> rounded(std::span<const double> values) { return {values.begin(), values.end()}; }

double ratio_of_cumprod(double alpha_cumprod) { return std::sqrt((1 - alpha_cumprod) / alpha_cumprod); }

}  // namespace

double half_log_snr(const NoiseLevel& level) { return std::log(level.alpha / level.sigma); }

NoiseLevel level_of_ratio(double t, double ratio) {
  const double alpha = 1 / std::sqrt(1 + ratio * ratio);
  return {.t = t, .alpha = alpha, .sigma = ratio * alpha};
}

NoiseSchedule NoiseSchedule::linear(double beta_start, double beta_end, int train_timesteps) {
  check_parameters(beta_start, beta_end, train_timesteps);
  return of(linspace(beta_start, beta_end, train_timesteps),
            linspace32(beta_start, beta_end, train_timesteps));
}

NoiseSchedule NoiseSchedule::scaled_linear(double beta_start, double beta_end, int train_timesteps) {
  check_parameters(beta_start, beta_end, train_timesteps);
  std::vector<double> betas = linspace(std::sqrt(beta_start), std::sqrt(beta_end), train_timesteps);
  for (double& beta : betas) beta *= beta;
  std::vector<float> betas32 = linspace32(std::sqrt(beta_start), std::sqrt(beta_end), train_timesteps);
  for (float& beta : betas32) beta *= beta;
  return of(betas, betas32);
}

NoiseSchedule NoiseSchedule::cosine(int train_timesteps) {
  check_length(train_timesteps);
  const auto f = [&](int t) {
    const double cosine =
        std::cos((static_cast<double>(t) / train_timesteps + 0.008) / 1.008 * std::numbers::pi / 2);
    return cosine * cosine;
  };
  std::vector<double> betas;
  for (int t = 0; t < train_timesteps; ++t) betas.push_back(std::min(1 - f(t + 1) / f(t), 0.999));
  return of(betas);
}

NoiseSchedule NoiseSchedule::of(std::span<const double> betas) { return of(betas, rounded(betas)); }

NoiseSchedule NoiseSchedule::of(std::span<const double> betas, std::span<const float> betas32) {
  check_length(static_cast<int>(betas.size()));
  NoiseSchedule schedule;
  schedule.alphas_cumprod_.reserve(betas.size());
  double product = 1;
  for (const double beta : betas) {
    check(0 < beta && beta < 1, ErrorKind::input, "a noise schedule with a beta of ", beta,
          ", expected more than 0 and less than 1");
    schedule.alphas_cumprod_.push_back(product *= 1 - beta);
  }
  product = 1;
  for (const float beta : betas32) product *= 1 - beta;
  schedule.last_alpha_cumprod32_ = static_cast<float>(product);
  return schedule;
}

NoiseSchedule NoiseSchedule::zero_terminal_snr() const {
  const double first = std::sqrt(alphas_cumprod_.front()), last = std::sqrt(alphas_cumprod_.back());
  check(first > last, ErrorKind::input, "a noise schedule of ", train_timesteps(),
        " timesteps, expected more than one to take the signal from the last");
  NoiseSchedule schedule;
  for (const double alpha_cumprod : alphas_cumprod_) {
    const double alpha = (std::sqrt(alpha_cumprod) - last) * (first / (first - last));
    schedule.alphas_cumprod_.push_back(alpha * alpha);
  }
  return schedule;
}

NoiseSchedule NoiseSchedule::with_finite_ratios() const {
  NoiseSchedule schedule = *this;
  if (schedule.alphas_cumprod_.back() == 0)
    schedule.alphas_cumprod_.back() = schedule.last_alpha_cumprod32_ = 0x1p-24;
  return schedule;
}

NoiseLevel NoiseSchedule::level(int t) const {
  check_internal(0 <= t && t < train_timesteps(), "timestep ", t, " of a noise schedule of ",
                 train_timesteps());
  const double alpha_cumprod = alphas_cumprod_[static_cast<size_t>(t)];
  return {
      .t = static_cast<double>(t), .alpha = std::sqrt(alpha_cumprod), .sigma = std::sqrt(1 - alpha_cumprod)};
}

NoiseLevel NoiseSchedule::level_between(double t) const {
  check_internal(0 <= t && t <= train_timesteps() - 1, "timestep ", t, " of a noise schedule of ",
                 train_timesteps());
  const int low = static_cast<int>(t);
  if (t == low) return level(low);
  const double below = ratio_of_cumprod(alphas_cumprod_[static_cast<size_t>(low)]);
  const double above = ratio_of_cumprod(alphas_cumprod_[static_cast<size_t>(low) + 1]);
  return level_of_ratio(t, below + (t - low) * (above - below));
}

double NoiseSchedule::timestep_of_ratio(double ratio) const {
  // alphas_cumprod falls with t, and the ratio rises: the first timestep with a larger one.
  const auto above = std::ranges::upper_bound(alphas_cumprod_, ratio, {}, ratio_of_cumprod);
  if (above == alphas_cumprod_.begin()) return 0;
  if (above == alphas_cumprod_.end()) return train_timesteps() - 1;
  const double low = std::log(ratio_of_cumprod(above[-1])), high = std::log(ratio_of_cumprod(*above));
  return static_cast<double>(above - alphas_cumprod_.begin()) - 1 + (std::log(ratio) - low) / (high - low);
}

bool NoiseSchedule::float32_falls_short() const {
  const double log = std::log(double{std::sqrt((1 - last_alpha_cumprod32_) / last_alpha_cumprod32_)});
  return log < static_cast<float>(log);
}

std::vector<NoiseLevel> NoiseSchedule::levels(std::span<const int> timesteps) const {
  std::vector<NoiseLevel> levels;
  levels.reserve(timesteps.size() + 1);
  for (const int t : timesteps) levels.push_back(level(t));
  levels.push_back(kClean);
  return levels;
}

}  // namespace tstitch
