#pragma once

#include <memory>
#include <span>

#include "tstitch/base/function_ref.h"
#include "tstitch/base/index_range.h"
#include "tstitch/condition/condition_maker.h"
#include "tstitch/diffusion/denoiser.h"
#include "tstitch/engine/condition_binder.h"
#include "tstitch/engine/run_spec.h"
#include "tstitch/zoo/model.h"

namespace tstitch {

// The rows of some images in a stage: what they show and, where guidance needs it, what they are led away
// from.
struct StageRows {
  BoundRows conditions, nulls;

  StageRows of(std::span<const int64_t> images) const;  // those of them, by their numbers here
  void steer(uint64_t controls) const;                  // from now on by these of their controls, see Row
  void begin() const;                                   // as if nothing had been asked about them
  void count() const;                                   // one more evaluation, of whichever of them
  // Of the next evaluation, by the number of each row's: whole(number).
  void set_whole(FunctionRef<bool(int64_t evaluation)> whole) const;
};

// The scale of the stage's guidance if it guides in any step, whoever the trajectory says serves it; else 1.
double cfg_scale_of(const RunSpec& spec, int stage);

// Of these images of the spec, to be guided with that scale.
StageRows bind_rows(ConditionBinder& binder, const Model& model, const RunSpec& spec, double cfg_scale,
                    const ConditionMaker& conditions, IndexRange images);

// The model as a run asks it about these rows with guidance of that scale.
std::unique_ptr<Denoiser> make_denoiser(Backend& backend, Evaluator& evaluator, const Model& model,
                                        const RunSpec& spec, double cfg_scale, const StageRows& rows);

// A stage's model asked about these rows: guided in some steps and not in others (Stage::cfg_interval).
class StageDenoiser final : public Denoiser {
 public:
  // stage: its number. Evaluator, model and spec must outlive it.
  StageDenoiser(Backend& backend, Evaluator& evaluator, const Model& model, const RunSpec& spec, int stage,
                const StageRows& rows);

  // Before anything is predicted in a step, whoever the trajectory says serves it.
  void enter(const Step& step);
  Prediction predict(const Tensor& x, const NoiseLevel& level) const override;
  void prepare(std::span<const NoiseLevel> levels) override;

 private:
  const RunSpec& spec_;
  int stage_;
  StageRows rows_;
  std::unique_ptr<Denoiser> guided_, plain_;  // those of the two that a step may need
  Denoiser* serving_ = nullptr;
  BlockCache cache_;
  // Where these do not lie evenly apart: of the evaluations of the steps that follow each other in this
  // stage, those that are whole.
  std::vector<int64_t> whole_;
};

}  // namespace tstitch
