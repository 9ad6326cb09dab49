#include "tstitch/diffusion/blend.h"

#include <array>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/ops/ops.h"

namespace tstitch {
namespace {

constexpr std::array<std::string_view, 2> kNames = {"step", "x0"};

}  // namespace

std::string_view name_of(Blend blend) { return kNames[static_cast<size_t>(blend)]; }

std::optional<Blend> parse_blend(std::string_view name) {
  for (const Blend blend : {Blend::step, Blend::x0})
    if (name == name_of(blend)) return blend;
  return std::nullopt;
}

BlendedSolver::BlendedSolver(Backend& backend, Solver& base, Blend blend, KnownPart known,
                             std::vector<bool> blended, int last)
    : backend_(backend),
      base_(base),
      blend_(blend),
      known_(std::move(known)),
      blended_(std::move(blended)),
      last_(last) {
  const Shape& nhwc = known_.clean.shape();
  check_internal(
      nhwc.rank() == 4 && known_.noise.shape() == nhwc && known_.painted.shape() == Shape({nhwc[1], nhwc[2]}),
      "a mask ", known_.painted.shape(), " over latents ", nhwc, " and noise ", known_.noise.shape());
}

Tensor BlendedSolver::step(DenoiseFn denoise, const Tensor& x, const Step& step, NoiseFn noise) {
  if (!blended_[static_cast<size_t>(step.denoiser)]) return base_.step(denoise, x, step, noise);
  if (blend_ == Blend::x0)
    return base_.step([&](const Tensor& x_at,
                          const NoiseLevel& level) { return informed(denoise(x_at, level), x_at, level); },
                      x, step, noise);
  const Tensor next = base_.step(
      [&](const Tensor& x_at, const NoiseLevel& level) {
        return denoise(level == step.level ? x_at : put_back(x_at, level), level);
      },
      x, step, noise);
  return put_back(next, step.index == last_ ? kClean : step.next);
}

// On the host: a latent is small beside an evaluation, and no operation of a backend multiplies two tensors.
Tensor BlendedSolver::mixed(const Tensor& painted, const Tensor& known) const {
  Tensor out = backend_.download(painted);
  const Tensor there = backend_.download(known);
  const int64_t places = known_.painted.elements(), channels = out.columns();
  const float* m = known_.painted.data<float>();
  const float* k = there.data<float>();
  float* x = out.data<float>();
  for (int64_t n = 0; n < out.extent(0); ++n)
    for (int64_t place = 0; place < places; ++place)
      for (int64_t c = 0; c < channels; ++c, ++x, ++k) *x = m[place] * *x + (1 - m[place]) * *k;
  return backend_.upload(out);
}

Tensor BlendedSolver::put_back(const Tensor& x, const NoiseLevel& level) const {
  return mixed(x, combine(backend_, {{level.alpha, &known_.clean}, {level.sigma, &known_.noise}}));
}

Prediction BlendedSolver::informed(const Prediction& answer, const Tensor& x, const NoiseLevel& level) const {
  const Tensor eps = combine(backend_, {{1 / level.sigma, &x}, {-level.alpha / level.sigma, &known_.clean}});
  return {.x0 = mixed(answer.x0, known_.clean), .eps = mixed(answer.eps, eps), .variance = answer.variance};
}

}  // namespace tstitch
