#include "tstitch/engine/evaluation_counts.h"

#include <algorithm>

#include "tstitch/diffusion/solver.h"

namespace tstitch {
namespace {

// Counts without computing: solvers ask for a backend all the same.
class Counter {
 public:
  explicit Counter(const RunSpec& spec)
      : spec_(spec),
        backend_(make_backend({.device = "reference", .dtype = "f32"})),
        solver_(make_solver(*backend_, spec.options.sampler, spec.solver)) {}

  int64_t evaluations(int first, int count) const {
    int64_t sum = 0;
    for (int i = first; i < first + count; ++i)
      sum += std::ssize(solver_->evaluation_levels(spec_.trajectory[i]));
    return sum;
  }

 private:
  const RunSpec& spec_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Solver> solver_;
};

}  // namespace

EvaluationCounts evaluation_counts(const RunSpec& spec, int stage) {
  const Counter counter(spec);
  const BlockCache& cache = spec.stages[static_cast<size_t>(stage)].form.cache;
  EvaluationCounts counts;
  for (const auto& [denoiser, first, count] : spec.trajectory.segments()) {
    if (denoiser != stage) continue;
    const int64_t evaluations = counter.evaluations(first, count);
    counts.all += evaluations;
    counts.whole += std::ssize(whole_evaluations(cache, evaluations));
  }
  return counts;
}

int64_t most_evaluations(const RunSpec& spec, int stage) {
  const Counter counter(spec);
  int64_t most = 0;
  for (const auto& [denoiser, first, count] : spec.trajectory.segments())
    if (denoiser == stage) most = std::max(most, counter.evaluations(first, count));
  return most;
}

int64_t evaluations_around(const RunSpec& spec, int stage, const Step& step) {
  const Counter counter(spec);
  for (const auto& [denoiser, first, count] : spec.trajectory.segments())
    if (denoiser == stage && first <= step.index && step.index < first + count)
      return counter.evaluations(first, count);
  return counter.evaluations(0, spec.trajectory.size());
}

}  // namespace tstitch
