#include "tstitch/engine/stage_denoiser.h"

namespace tstitch {

StageDenoiser::StageDenoiser(Backend& backend, const Model& model, const RunSpec& spec, int stage,
                             IndexRange images, const ConditionMaker& conditions)
    : spec_(spec), stage_(stage) {
  for (const Step& step : spec.trajectory) {
    const double scale = cfg_scale_at(step);
    auto& bound = scale == 1 ? plain_ : guided_;
    if (!bound) bound = make_denoiser(backend, model, spec, scale, images, conditions);
  }
}

double StageDenoiser::cfg_scale_at(const Step& step) const {
  Step own = step;
  own.denoiser = stage_;
  return spec_.cfg_scale_at(own);
}

void StageDenoiser::enter(const Step& step) {
  serving_ = cfg_scale_at(step) == 1 ? plain_.get() : guided_.get();
}

void StageDenoiser::prepare(std::span<const NoiseLevel> levels) {
  for (Denoiser* bound : {guided_.get(), plain_.get()})
    if (bound) bound->prepare(levels);
}

}  // namespace tstitch
