// Classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598): a denoiser that holds a denoiser.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "tstitch/diffusion/denoiser.h"

namespace tstitch {

// eps = eps_u + scale (eps_c - eps_u), x0 likewise (which is the x0 of that eps: one x, two estimates on its
// line), the learned variance of the conditional half.
class GuidedDenoiser final : public Denoiser {
 public:
  // base: of 2N rows, the conditions of all pictures first, then what guidance leads them away from.
  // scale: 1 = none (then use the conditional denoiser alone: half the work).
  // channels: only the first so many are guided, the others stay conditional. Meta's DiT code guides 3 of its
  // 4 latent channels (models.py, forward_with_cfg, facebookresearch/DiT@ed81ce2) and T-Stitch inherits it;
  // all others guide all.
  GuidedDenoiser(Backend& backend, std::unique_ptr<Denoiser> base, double scale, int64_t channels);

  Prediction predict(const Tensor& x, const NoiseLevel& level) const override;
  void prepare(std::span<const NoiseLevel> levels) override;

 private:
  Backend& backend_;
  std::unique_ptr<Denoiser> base_;
  double scale_;
  int64_t channels_;
};

}  // namespace tstitch
