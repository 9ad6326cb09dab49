#include "tstitch/tune/similarity.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/engine/evaluation_counts.h"
#include "tstitch/ops/ops.h"
#include "tstitch/tune/forwarding_observer.h"
#include "tstitch/tune/watch.h"

namespace tstitch {
namespace {

// One Similarity for every pair of models and every step.
class Pairs {
 public:
  Pairs(int models, int steps) {
    for (int second = 1; second < models; ++second)
      for (int first = 0; first < second; ++first)
        pairs_.push_back({first, second, std::vector<Similarity>(static_cast<size_t>(steps))});
  }

  // tensors: one of each model.
  void add(int step, std::span<const Tensor> tensors) {
    for (Pair& pair : pairs_)
      pair.steps[static_cast<size_t>(step)].add(tensors[static_cast<size_t>(pair.first)],
                                                tensors[static_cast<size_t>(pair.second)]);
  }

  std::vector<PairSimilarity> result(const Trajectory& trajectory) const {
    std::vector<PairSimilarity> result;
    for (const Pair& pair : pairs_) {
      result.push_back({pair.first, pair.second, {}});
      for (int i = 0; i < std::ssize(pair.steps); ++i) {
        const Similarity& s = pair.steps[static_cast<size_t>(i)];
        const NoiseLevel level = i == 0 ? trajectory[0].level : trajectory[i - 1].next;
        result.back().steps.push_back({i, level, s.cosine(), s.mse(), s.relative_mse()});
      }
    }
    return result;
  }

 private:
  struct Pair {
    int first, second;
    std::vector<Similarity> steps;
  };
  std::vector<Pair> pairs_;
};

Tensor on_host(Backend& backend, const Tensor& x) { return backend.download(to_channels_first(backend, x)); }

// Asks all models what the one that serves the step was asked.
class Predictions final : public ForwardingObserver {
 public:
  Predictions(RunObserver& outer, Backend& backend, std::span<const Model> models, const RunSpec& spec,
              const EncodedInputs& inputs)
      : ForwardingObserver(outer),
        backend_(backend),
        spec_(spec),
        asker_(backend, models, spec, inputs),
        others_(models.size()),
        eps_(static_cast<int>(models.size()), spec.trajectory.size()),
        x0_(eps_) {}

  void predicted(IndexRange images, const Step& step, const Tensor& x,
                 const Prediction& prediction) override {
    if (step.index == 0) bind(images);
    for (const auto& other : others_) other->enter(step);
    std::vector<Tensor> eps, x0;
    for (int i = 0; i < std::ssize(others_); ++i) {
      const Prediction of_model =
          i == step.denoiser ? prediction : others_[static_cast<size_t>(i)]->predict(x, step.level);
      eps.push_back(on_host(backend_, of_model.eps));
      x0.push_back(on_host(backend_, of_model.x0));
    }
    eps_.add(step.index, eps);
    x0_.add(step.index, x0);
  }

  std::vector<PairSimilarity> result() const {
    std::vector<PairSimilarity> result = eps_.result(spec_.trajectory);
    const std::vector<PairSimilarity> x0 = x0_.result(spec_.trajectory);
    for (size_t pair = 0; pair < result.size(); ++pair)
      for (size_t i = 0; i < result[pair].steps.size(); ++i)
        result[pair].steps[i].x0_mse = x0[pair].steps[i].mse;
    return result;
  }

 private:
  void bind(IndexRange images) {
    for (size_t i = 0; i < others_.size(); ++i) {
      std::vector<NoiseLevel> levels;
      for (const Step& step : spec_.trajectory)
        if (step.denoiser != static_cast<int>(i)) levels.push_back(step.level);
      others_[i] = asker_.stage(i, images, levels);
    }
    asker_.end_batch();
  }

  Backend& backend_;
  const RunSpec& spec_;
  StageAsker asker_;
  std::vector<std::unique_ptr<StageDenoiser>> others_;  // each model, for the steps that others serve
  Pairs eps_, x0_;
};

// The latents of one batch along a whole trajectory.
class Latents final : public PartObserver, public BatchSink {
 public:
  Latents(RunObserver& outer, Backend& backend, int64_t part, int64_t parts)
      : PartObserver(outer, part, parts), backend_(backend) {}

  void predicted(IndexRange, const Step&, const Tensor& x, const Prediction&) override {
    latents_.push_back(on_host(backend_, x));
  }
  void take(IndexRange, const Tensor& latents) override { latents_.push_back(latents); }

  const std::vector<Tensor>& latents() const { return latents_; }  // after 0 ... N steps

 private:
  Backend& backend_;
  std::vector<Tensor> latents_;
};

}  // namespace

void Similarity::add(const Tensor& a, const Tensor& b) {
  check_internal(a.shape() == b.shape(), "similarity of ", a.shape(), " and ", b.shape());
  const int64_t images = a.extent(0), size = a.elements() / images;
  const float *p = a.data<float>(), *q = b.data<float>();
  for (int64_t image = 0; image < images; ++image) {
    double aa = 0, bb = 0, ab = 0, difference = 0;
    for (const float* end = p + size; p < end; ++p, ++q) {
      const double x = *p, y = *q;
      aa += x * x;
      bb += y * y;
      ab += x * y;
      difference += (x - y) * (x - y);
    }
    const double scale = std::sqrt(aa * bb);
    check(std::isfinite(scale), ErrorKind::input,
          "latents or predictions are not finite: the models or the guidance scale do not suit this "
          "trajectory");
    cosines_.push_back(scale > 0 ? std::clamp(ab / scale, -1.0, 1.0) : aa == bb ? 1 : 0);
    squares_ += difference;
    reference_ += bb;
  }
  elements_ += a.elements();
}

Statistic Similarity::cosine() const {
  const auto n = static_cast<double>(cosines_.size());
  double mean = 0, squares = 0;
  for (const double cosine : cosines_) mean += cosine / n;
  for (const double cosine : cosines_) squares += (cosine - mean) * (cosine - mean);
  return {mean, n > 1 ? std::sqrt(squares / (n - 1)) : 0};
}

double Similarity::mse() const { return squares_ / static_cast<double>(elements_); }

double Similarity::relative_mse() const {
  if (squares_ == 0) return 0;
  return reference_ > 0 ? squares_ / reference_ : std::numeric_limits<double>::infinity();
}

RunSpec served_by(const RunSpec& spec, int model) {
  return served_by(spec, std::vector<int>(static_cast<size_t>(spec.trajectory.size()), model));
}

RunSpec served_by(const RunSpec& spec, const std::vector<int>& assignment) {
  std::vector<NoiseLevel> levels;
  for (const Step& step : spec.trajectory) levels.push_back(step.level);
  levels.push_back(spec.trajectory[spec.trajectory.size() - 1].next);
  RunSpec served = spec;
  served.trajectory = Trajectory(levels, assignment);
  return served;
}

void check_asks_once(std::span<const RunSpec> alone, std::span<const ModelInfo> models) {
  for (size_t i = 0; i < models.size(); ++i)
    check(!models[i].form.cache.holds() ||
              evaluation_counts(alone[i], static_cast<int>(i)).all == alone[i].trajectory.size(),
          ErrorKind::usage, models[i].name, " has cache=, and ", alone[i].options.sampler,
          " asks more than once a step, where predictions are compared once: expected another --sampler, or "
          "analyze divergence, which compares every evaluation");
}

std::vector<PairSimilarity> prediction_similarity(Backend& backend, std::span<const Model> models,
                                                  const RunSpec& spec, RunObserver& observer,
                                                  const EncodedInputs& inputs) {
  check_compared(models);
  Predictions predictions(observer, backend, models, spec, inputs);
  const bool done = watch(backend, models, spec, predictions, inputs);
  return done ? predictions.result() : std::vector<PairSimilarity>();
}

std::vector<PairSimilarity> latent_similarity(Backend& backend, std::span<const Model> models,
                                              const RunSpec& spec, RunObserver& observer,
                                              const EncodedInputs& inputs) {
  check_compared(models);
  const int count = static_cast<int>(models.size()), steps = spec.trajectory.size();
  std::vector<RunSpec> specs;
  for (int i = 0; i < count; ++i) specs.push_back(served_by(spec, i));
  Pairs pairs(count, steps + 1);
  // Batch by batch, so that the latents of all steps are kept for one batch only.
  const int64_t batches = (spec.images() + spec.options.batch_size - 1) / spec.options.batch_size;
  for (int64_t batch = 0; batch < batches; ++batch) {
    const int64_t first = batch * spec.options.batch_size;
    const IndexRange images = {first, std::min(spec.options.batch_size, spec.images() - first)};
    std::vector<std::vector<Tensor>> latents;
    for (int i = 0; i < count; ++i) {
      Latents kept(observer, backend, batch * count + i, batches * count);
      if (run(backend, models, specs[static_cast<size_t>(i)], {&images, 1}, kept, kept, inputs).cancelled)
        return {};
      latents.push_back(kept.latents());
    }
    for (int step = 0; step <= steps; ++step) {
      std::vector<Tensor> there;
      for (const std::vector<Tensor>& of_model : latents)
        there.push_back(of_model[static_cast<size_t>(step)]);
      pairs.add(step, there);
    }
  }
  return pairs.result(spec.trajectory);
}

}  // namespace tstitch
