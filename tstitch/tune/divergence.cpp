#include "tstitch/tune/divergence.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/diffusion/sample.h"
#include "tstitch/diffusion/solver.h"
#include "tstitch/ops/ops.h"
#include "tstitch/tune/forwarding_observer.h"
#include "tstitch/tune/similarity.h"
#include "tstitch/tune/watch.h"

namespace tstitch {
namespace {

constexpr int64_t kMostAges = 16;
constexpr const char* kNothingDiffers =
    "--measure-weights: no form differs from the last model while its evaluations are whole: nothing to "
    "measure the weights of steps by";

// The number of a step's first evaluation.
int first_evaluation(const Divergence& divergence, int step) {
  const auto begin = divergence.evaluations.begin();
  return std::accumulate(begin, begin + step, 0);
}

// Asks every form what the last model is asked.
class Distances final : public ForwardingObserver {
 public:
  Distances(RunObserver& outer, Backend& backend, std::span<const Model> models, const RunSpec& spec,
            const EncodedInputs& inputs, std::vector<int> evaluations, double sigma_data)
      : ForwardingObserver(outer),
        backend_(backend),
        models_(models),
        spec_(spec),
        asker_(backend, models, spec, inputs),
        forms_(models.size() - 1) {
    result_.evaluations = std::move(evaluations);
    for (const Step& step : spec.trajectory) result_.weights.push_back(step_weight(step, sigma_data));
    const size_t all = result_.all_evaluations();
    for (size_t i = 0; i < forms_.size(); ++i) {
      forms_[i].ages = models[i].info.form.cache.every;
      for (size_t n = 0; n < all; ++n)
        forms_[i].at.emplace_back(std::min(n + 1, static_cast<size_t>(forms_[i].ages)));
    }
  }

  void evaluated(IndexRange images, const Step& step, const NoiseLevel& level, const Tensor& x,
                 const Prediction& prediction) override {
    if (evaluation_ == 0) bind(images);
    const auto answer = [&](const Prediction& of) {
      return backend_.download(to_channels_first(backend_, step.level.alpha > 0 ? of.eps : of.x0));
    };
    const Tensor expected = answer(prediction);
    for (Form& form : forms_)
      for (size_t begun = 0; begun < std::min(evaluation_ + 1, form.asked.size()); ++begun) {
        StageDenoiser& asked = *form.asked[begun];
        asked.enter(step);
        const size_t age = (evaluation_ - begun) % static_cast<size_t>(form.ages);
        form.at[evaluation_][age].add(answer(asked.predict(x, level)), expected);
      }
    evaluation_ = (evaluation_ + 1) % result_.all_evaluations();
  }

  Divergence result() {
    for (const Form& form : forms_) {
      FormDivergence& of_form = result_.forms.emplace_back();
      of_form.ages = form.ages;
      for (const auto& ages : form.at) {
        of_form.at.emplace_back();
        for (const Similarity& s : ages) {
          const double relative = std::sqrt(s.relative_mse());
          check(std::isfinite(relative), ErrorKind::input, models_.back().info.name,
                " predicts nothing but 0 somewhere: no distance from that is of any meaning");
          of_form.at.back().push_back(
              {.rms = std::sqrt(s.mse()), .relative = relative, .cosine = s.cosine().mean});
        }
      }
    }
    result_.forms.emplace_back();
    return std::move(result_);
  }

 private:
  struct Form {
    int64_t ages = 1;
    // For the images of a batch, by the evaluation it begins with.
    std::vector<std::unique_ptr<StageDenoiser>> asked = {};
    std::vector<std::vector<Similarity>> at = {};  // [evaluation][age]
  };

  void bind(IndexRange images) {
    const auto solver = make_solver(backend_, spec_.options.sampler, spec_.solver);
    const std::vector<NoiseLevel> levels =
        levels_asked(spec_.trajectory, *solver, spec_.trajectory[0].denoiser);
    for (size_t i = 0; i < forms_.size(); ++i) {
      forms_[i].asked.clear();
      for (size_t begun = 0; begun < forms_[i].at.back().size(); ++begun)
        forms_[i].asked.push_back(asker_.stage(i, images, levels));
    }
    asker_.end_batch();
  }

  Backend& backend_;
  std::span<const Model> models_;
  const RunSpec& spec_;
  StageAsker asker_;
  std::vector<Form> forms_;
  size_t evaluation_ = 0;  // of the batch, that comes next
  Divergence result_;
};

}  // namespace

size_t Divergence::all_evaluations() const {
  return static_cast<size_t>(std::accumulate(evaluations.begin(), evaluations.end(), 0));
}

std::vector<int> evaluations_of_steps(Backend& backend, const RunSpec& spec) {
  const auto solver = make_solver(backend, spec.options.sampler, spec.solver);
  std::vector<int> counts;
  for (const Step& step : spec.trajectory)
    counts.push_back(static_cast<int>(solver->evaluation_levels(step).size()));
  return counts;
}

void check_compares(std::span<const ModelInfo> models) {
  const ModelInfo& last = models.back();
  check(!last.form.cache.holds(), ErrorKind::usage, last.name,
        " is what the others are compared with, and with cache= its own answers depend on when it was last "
        "whole: expected a last --stage without");
  for (const ModelInfo& model : models) {
    check(!model.form.cache.focus, ErrorKind::usage, model.name, " has cache= with center=, and which ",
          "evaluations are whole depends on how many there are: expected cache= evenly apart");
    check(model.form.cache.every <= kMostAges, ErrorKind::usage, model.name,
          " has cache=", model.form.cache.every, ", and each of so many ages would be measured: expected ",
          kMostAges, " at most");
  }
}

int64_t divergence_bytes(std::span<const ModelInfo> models, const RunSpec& spec, int64_t images) {
  const int64_t rows = std::min(spec.options.batch_size, images) * (spec.needs_null(models) ? 2 : 1),
                steps = spec.trajectory.size();
  int64_t bytes = 0;
  for (const ModelInfo& model : models) {
    BackendOptions device = spec.options.backend;
    if (!model.dtype.empty()) device.dtype = model.dtype;
    const int64_t others = std::min(model.form.cache.every, steps) - 1;
    bytes += rows * others *
             model.architecture->kept_bytes(model.form, spec.height, spec.width, compute_dtype(device));
  }
  return bytes;
}

Divergence measure_divergence(Backend& backend, std::span<const Model> models, const RunSpec& spec,
                              RunObserver& observer, const EncodedInputs& inputs, double sigma_data) {
  check_compared(models);
  std::vector<ModelInfo> infos;
  for (const Model& model : models) infos.push_back(model.info);
  check_compares(infos);
  const RunSpec alone = served_by(spec, static_cast<int>(models.size()) - 1);
  Distances distances(observer, backend, models, alone, inputs, evaluations_of_steps(backend, alone),
                      sigma_data);
  if (!watch(backend, models, alone, distances, inputs)) return {};
  return distances.result();
}

void check_weights_tell(std::span<const ModelInfo> models, const RunSpec& spec) {
  const auto while_whole = [&](size_t i) {
    Stage stage = spec.stages[i];
    stage.form.cache = {};
    return stage;
  };
  const size_t last = models.size() - 1;
  bool differs = false;
  for (size_t i = 0; i < last; ++i)
    differs |= !same_network(models[i], models[last]) || while_whole(i) != while_whole(last);
  check(differs, ErrorKind::usage, kNothingDiffers);
}

double step_weight(const Step& step, double s) {
  const auto [t, alpha, sigma] = step.level;
  const auto& next = step.next;
  if (next.alpha <= 0) return 0;  // noise alone behind it, too: nothing has been added yet
  const double behind = next.sigma / next.alpha;
  if (alpha <= 0) return 1 / std::hypot(s, behind);
  return std::max(0.0, std::asinh(sigma / alpha / s) - std::asinh(behind / s));
}

bool measure_weights(Backend& backend, std::span<const Model> models, const RunSpec& spec,
                     RunObserver& observer, const EncodedInputs& inputs, double sigma_data,
                     Divergence& divergence) {
  constexpr size_t kMostSteps = 12;
  const int last = static_cast<int>(models.size()) - 1, steps = spec.trajectory.size();
  const auto whole = [&](int form, int step) {
    return step_divergence(divergence, static_cast<size_t>(form), step, 0);
  };
  int farthest = 0;
  double most = 0;
  for (int form = 0; form < last; ++form) {
    double sum = 0;
    for (int step = 0; step < steps; ++step) sum += whole(form, step);
    if (sum > most) most = sum, farthest = form;
  }
  check(most > 0, ErrorKind::usage, kNothingDiffers);

  const RunSpec alone = served_by(spec, last);
  std::vector<int> all, chosen;  // steps that tell something, and some of them
  for (int step = 0; step < steps; ++step)
    if (whole(farthest, step) > 0) all.push_back(step);
  for (size_t i = 0; i < std::min(all.size(), kMostSteps); ++i)
    chosen.push_back(all.size() <= kMostSteps ? all[i] : all[i * (all.size() - 1) / (kMostSteps - 1)]);
  const auto parts = std::ssize(chosen) + 1;
  const auto latents_of = [&](const RunSpec& run_spec, int64_t part) {
    PartObserver observed(observer, part, parts);
    return run(backend, models, run_spec, observed, inputs);
  };
  const RunResult expected = latents_of(alone, 0);
  std::vector<double> factors;  // logarithms, of the chosen steps
  for (size_t i = 0; i < chosen.size() && !expected.cancelled; ++i) {
    std::vector<int> assignment(static_cast<size_t>(steps), last);
    assignment[static_cast<size_t>(chosen[i])] = farthest;
    const RunResult moved = latents_of(served_by(spec, assignment), static_cast<int64_t>(i) + 1);
    if (moved.cancelled) return false;
    Similarity change;
    change.add(moved.latents, expected.latents);
    const double estimated = sigma_data * whole(farthest, chosen[i]);
    // What moves nothing has a weight of almost nothing.
    factors.push_back(std::log(std::max(std::sqrt(change.mse()) / estimated, 1e-6)));
  }
  if (expected.cancelled) return false;
  for (int step = 0; step < steps; ++step) {
    const auto behind = static_cast<size_t>(std::ranges::upper_bound(chosen, step) - chosen.begin());
    const size_t from = behind > 0 ? behind - 1 : 0, to = std::min(behind, chosen.size() - 1);
    const double share =
        from == to ? 0 : static_cast<double>(step - chosen[from]) / (chosen[to] - chosen[from]);
    divergence.weights[static_cast<size_t>(step)] *=
        std::exp((1 - share) * factors[from] + share * factors[to]);
  }
  return true;
}

double step_divergence(const Divergence& divergence, size_t form, int step, int64_t age) {
  const FormDivergence& of_form = divergence.forms[form];
  if (of_form.at.empty()) return 0;
  const int first = first_evaluation(divergence, step),
            count = divergence.evaluations[static_cast<size_t>(step)];
  double sum = 0;
  for (int e = 0; e < count; ++e)
    sum +=
        of_form.at[static_cast<size_t>(first + e)][static_cast<size_t>((age + e) % of_form.ages)].rms / count;
  return divergence.weights[static_cast<size_t>(step)] * sum;
}

double whole_divergence(const Divergence& divergence, size_t form) {
  double sum = 0;
  for (int step = 0; step < static_cast<int>(divergence.evaluations.size()); ++step)
    sum += step_divergence(divergence, form, step,
                           first_evaluation(divergence, step) % divergence.forms[form].ages);
  return sum;
}

}  // namespace tstitch
