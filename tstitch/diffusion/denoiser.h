// What a solver knows of a network: an estimate of the clean latent and of the noise at a noise level.
// Everything a network predicts, and every guidance, is brought into this form, so that any of them can serve
// any step.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "tstitch/backend/backend.h"
#include "tstitch/diffusion/noise_schedule.h"
#include "tstitch/tensor/tensor.h"

namespace tstitch {

// All (N, H, W, C) f32; rows may be strided. x = alpha x0 + sigma eps.
struct Prediction {
  Tensor x0;
  Tensor eps;
  // The learned variance as the network gives it: -1 the posterior's, 1 beta's, between them in log space
  // (Nichol & Dhariwal 2021, eq. 15, where it is 2 v - 1); empty when the network does not predict one. Not
  // the v of v-prediction, which no solver sees.
  Tensor variance;
};

// F(x, t): an architecture with its weights, its condition already bound.
class Network {
 public:
  virtual ~Network() = default;
  // x: (N, H, W, C) f32, t: the timestep of training. Returns the raw output, f32, (N, H, W, C) or (.., 2C).
  virtual Tensor operator()(const Tensor& x, double t) const = 0;
  // The timesteps that will be asked for, so that what depends on t alone can be computed once. Only a hint.
  virtual void prepare(std::span<const double> /*timesteps*/) {}
};

class Denoiser {
 public:
  virtual ~Denoiser() = default;
  // x: (N, H, W, C) f32 at that level.
  virtual Prediction predict(const Tensor& x, const NoiseLevel& level) const = 0;
  // The levels that will be asked for. Only a hint.
  virtual void prepare(std::span<const NoiseLevel> /*levels*/) {}
};

// (x - sigma eps) / alpha; needs alpha > 0. x and eps: (N, H, W, C) f32.
Tensor x0_from_eps(Backend& backend, const Tensor& x, const Tensor& eps, const NoiseLevel& level);

// What a network was trained to predict, x = alpha x0 + sigma eps.
enum class Parameterization {
  eps,   // the noise (Ho et al. 2020, arXiv 2006.11239, eq. 14); needs alpha > 0
  v,     // alpha eps - sigma x0 on variance-preserving levels (Salimans & Ho 2022, arXiv 2202.00512, app. D)
  x0,    // the clean latent ("sample")
  flow,  // the velocity eps - x0 on the levels of a rectified flow (Liu et al. 2022, arXiv 2209.03003)
};

std::string_view name_of(Parameterization parameterization);  // "eps", "v", "x0", "flow"

// A network's output as a prediction. When it has 2C columns, the second half is the learned variance.
class NetworkDenoiser final : public Denoiser {
 public:
  NetworkDenoiser(Backend& backend, std::unique_ptr<Network> network,
                  Parameterization parameterization = Parameterization::eps);

  Prediction predict(const Tensor& x, const NoiseLevel& level) const override;
  void prepare(std::span<const NoiseLevel> levels) override;

 private:
  Backend& backend_;
  std::unique_ptr<Network> network_;
  Parameterization parameterization_;
};

}  // namespace tstitch
