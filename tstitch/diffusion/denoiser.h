// What a solver knows of a network: an estimate of the clean latent and of the noise at a noise level.
// Everything a network predicts, and every guidance, is brought into this form, so that any of them can serve
// any step.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "tstitch/backend/backend.h"
#include "tstitch/diffusion/network.h"
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

// A condition bound to one row of whoever asks, and what belongs to that row along its trajectory.
struct BoundRow {
  std::shared_ptr<const BoundCondition> condition;
  uint64_t seed = 0;  // see EvaluationContext
  int64_t image = 0;
  int64_t evaluations = 0;           // so far, which whoever asks counts
  uint64_t controls = ~uint64_t{0};  // see Row
  Tensor kept = {};                  // see EvaluationContext
  bool whole = true;                 // see there
};
using BoundRows = std::vector<std::shared_ptr<BoundRow>>;

// A network's output as a prediction. When it has 2C columns, the second half is the learned variance.
class NetworkDenoiser final : public Denoiser {
 public:
  // rows: of every x that will be asked about, their conditions bound by the network; which must outlive
  // this, as must the evaluator. guidance and form: see Row.
  NetworkDenoiser(Backend& backend, Evaluator& evaluator, const Network& network, BoundRows rows,
                  Parameterization parameterization = Parameterization::eps, double guidance = 1,
                  const CheaperForm& form = {});

  Prediction predict(const Tensor& x, const NoiseLevel& level) const override;
  void prepare(std::span<const NoiseLevel> levels) override;

 private:
  std::span<const double> ahead_of(double t) const;

  Backend& backend_;
  Evaluator& evaluator_;
  const Network& network_;
  BoundRows rows_;
  Parameterization parameterization_;
  double guidance_;
  CheaperForm form_;
  std::vector<double> timesteps_;  // that were announced
  mutable size_t next_ = 0;        // of them
  mutable std::vector<Row> asked_;
};

}  // namespace tstitch
