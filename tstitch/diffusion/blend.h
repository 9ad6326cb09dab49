// Painting a part of a picture with networks that were not trained to: what is known of the rest is put in
// wherever they are asked.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "tstitch/backend/backend.h"
#include "tstitch/diffusion/solver.h"
#include "tstitch/tensor/tensor.h"

namespace tstitch {

// Where the known part is put.
enum class Blend {
  step,  // into x, after every step: the clean latent under the noise of the start, of that level (diffusers)
  x0,    // into what a network answers, as if it had known: into the estimate of x0, and of eps by it
};

std::string_view name_of(Blend blend);  // "step", "x0"
std::optional<Blend> parse_blend(std::string_view name);

// Of the pictures of a batch.
struct KnownPart {
  Tensor clean;    // z0: (N, H, W, C) f32 on the backend
  Tensor noise;    // of the start: the same
  Tensor painted;  // m: (H, W) f32 on the host, the share of each place that is painted, 0 ... 1
};

// A solver of which the part 1 - m stays what is known. With Blend::step, x after a step to (alpha, sigma) is
//   m x + (1 - m) (alpha z0 + sigma noise),
// after the last step of the trajectory, whatever its level, m x + (1 - m) z0; and so is the x of a question
// at another level than the step's first. With Blend::x0, what is answered at x is
//   x0 <- m x0 + (1 - m) z0,  eps <- m eps + (1 - m) (x - alpha z0) / sigma.
class BlendedSolver final : public Solver {
 public:
  // base must outlive this. blended: of every denoiser, whether its steps are; others stay as base makes
  // them. last: index of the trajectory's last step.
  BlendedSolver(Backend& backend, Solver& base, Blend blend, KnownPart known, std::vector<bool> blended,
                int last);

  Tensor step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn noise) override;
  std::vector<NoiseLevel> evaluation_levels(const Step& step) const override {
    return base_.evaluation_levels(step);
  }
  void reset() override { base_.reset(); }

 private:
  Tensor mixed(const Tensor& painted, const Tensor& known) const;  // m painted + (1 - m) known
  Tensor put_back(const Tensor& x, const NoiseLevel& level) const;
  Prediction informed(const Prediction& answer, const Tensor& x, const NoiseLevel& level) const;

  Backend& backend_;
  Solver& base_;
  Blend blend_;
  KnownPart known_;
  std::vector<bool> blended_;
  int last_;
};

}  // namespace tstitch
