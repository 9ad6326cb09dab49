// What a solver knows of a network: an estimate of the clean latent and of the noise at a noise level.
// Everything a network predicts, and every guidance, is brought into this form, so that any of them can serve
// any step.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "tstitch/backend/backend.h"
#include "tstitch/diffusion/noise_schedule.h"
#include "tstitch/tensor/tensor.h"

namespace tstitch {

// All (N, H, W, C) f32; rows may be strided. x = alpha x0 + sigma eps.
struct Prediction {
  Tensor x0;
  Tensor eps;
  Tensor v;  // learned variance: -1 the posterior's, 1 beta's, between them in log space (Nichol & Dhariwal
             // 2021, eq. 15, with v = 2 f - 1); empty when the network does not predict one
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

// A network trained to predict the noise (Ho et al. 2020, eq. 14). When its output has 2C columns, the second
// half is the learned variance.
class EpsDenoiser final : public Denoiser {
 public:
  EpsDenoiser(Backend& backend, std::unique_ptr<Network> network);

  Prediction predict(const Tensor& x, const NoiseLevel& level) const override;
  void prepare(std::span<const NoiseLevel> levels) override;

 private:
  Backend& backend_;
  std::unique_ptr<Network> network_;
};

}  // namespace tstitch
