#include "tstitch/engine/adaptive_batch.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "tstitch/base/clock.h"
#include "tstitch/ops/ops.h"

namespace tstitch {
namespace {

class TimedDenoiser final : public Denoiser {
 public:
  TimedDenoiser(std::unique_ptr<Denoiser> inner, ModelTime& time) : inner_(std::move(inner)), time_(time) {}

  Prediction predict(const Tensor& x, const NoiseLevel& level) const override {
    const Stopwatch stopwatch;
    Prediction prediction = inner_->predict(x, level);
    time_.seconds += stopwatch.seconds();
    ++time_.evaluations;
    return prediction;
  }
  void prepare(std::span<const NoiseLevel> levels) override { inner_->prepare(levels); }

 private:
  std::unique_ptr<Denoiser> inner_;
  ModelTime& time_;
};

}  // namespace

AdaptiveBatch::AdaptiveBatch(Backend& backend, std::span<const Model> models, const RunSpec& spec,
                             IndexRange images, const EncodedInputs& inputs, std::span<ModelTime> times)
    : backend_(backend),
      rule_(images.count, *spec.switch_threshold),
      denoiser_(backend, [=, &backend, &spec, &inputs](int model, std::span<const int64_t> rows) {
        std::vector<int64_t> of_rows;
        for (const int64_t row : rows) of_rows.push_back(images.first + row);
        const auto i = static_cast<size_t>(model);
        return std::make_unique<TimedDenoiser>(
            make_denoiser(backend, models[i], spec, spec.stages[i].cfg_scale, of_rows, *inputs.conditions[i]),
            times[i]);
      }) {}

void AdaptiveBatch::observe(const Step& step, const Prediction& prediction) {
  // combine: a prediction's rows may be strided.
  rule_.observe(backend_.download(combine(backend_, {{1, &prediction.x0}})), step.level);
}

int AdaptiveBatch::serving() const {
  return 2 * std::ranges::count(rule_.serving(), 1) > std::ssize(rule_.serving()) ? 1 : 0;
}

}  // namespace tstitch
