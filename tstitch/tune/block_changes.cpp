#include "tstitch/tune/block_changes.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tstitch/base/error.h"
#include "tstitch/tune/forwarding_observer.h"
#include "tstitch/tune/watch.h"

namespace tstitch {
namespace {

// |b - a| / |a| of contiguous rows of f32 on the host.
double relative_change(const Tensor& a, const Tensor& b) {
  double changed = 0, before = 0;
  for (int64_t i = 0; i < a.elements(); ++i) {
    const double x = a.data<float>()[i], y = b.data<float>()[i];
    changed += (y - x) * (y - x);
    before += x * x;
  }
  const double change = std::sqrt(changed / before);
  check(std::isfinite(change), ErrorKind::input,
        "a block's tokens are zero or not finite: the model or the guidance scale does not suit this "
        "trajectory");
  return change;
}

// Answers as the networks do, and looks at their blocks while they work.
class Probe final : public ForwardingObserver, public Evaluator {
 public:
  Probe(RunObserver& outer, Backend& backend, int steps, size_t blocks)
      : ForwardingObserver(outer), backend_(backend), sums_(static_cast<size_t>(steps), Sum(blocks)) {}

  void progress(const Progress& progress) override {
    step_ = static_cast<size_t>(progress.step);
    ForwardingObserver::progress(progress);
  }

  Tensor evaluate(const Network& network, const Tensor& x, std::span<const Row> rows) override {
    return network.evaluate_observed(x, rows, [&](int64_t block, const Tensor& before, const Tensor& after) {
      const Tensor a = backend_.download(before), b = backend_.download(after);
      Sum& sum = sums_[step_];
      for (int64_t n = 0; n < a.extent(0); ++n)
        sum.changes[static_cast<size_t>(block)] += relative_change(a.slice(n, n + 1), b.slice(n, n + 1));
      if (block == 0) sum.rows += a.extent(0);
    });
  }

  std::vector<StepBlockChanges> result(const Trajectory& trajectory) const {
    std::vector<StepBlockChanges> steps;
    for (const Step& step : trajectory) {
      const Sum& sum = sums_[static_cast<size_t>(step.index)];
      steps.push_back({step.index, step.level, sum.changes});
      for (double& change : steps.back().changes) change /= static_cast<double>(sum.rows);
    }
    return steps;
  }

 private:
  struct Sum {
    explicit Sum(size_t blocks) : changes(blocks) {}
    std::vector<double> changes;
    int64_t rows = 0;
  };

  Backend& backend_;
  std::vector<Sum> sums_;  // of every step
  size_t step_ = 0;
};

// Up to `count` blocks that may be left out together, those that change least first to be taken; sorted.
std::vector<int64_t> least_that_go(const Architecture& network, std::span<const double> changes,
                                   int64_t count) {
  std::vector<int64_t> order(changes.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  std::ranges::stable_sort(order, {}, [&](int64_t block) { return changes[static_cast<size_t>(block)]; });
  CheaperForm form;
  for (const int64_t block : order) {
    if (std::ssize(form.skip) == count) break;
    CheaperForm more = form;
    more.skip.insert(std::ranges::upper_bound(more.skip, block), block);
    if (network.form_obstacle(more).empty()) form = more;
  }
  return form.skip;
}

}  // namespace

std::vector<StepBlockChanges> block_changes(Backend& backend, std::span<const Model> models,
                                            const RunSpec& spec, RunObserver& observer,
                                            const EncodedInputs& inputs) {
  Probe probe(observer, backend, spec.trajectory.size(),
              static_cast<size_t>(models[0].info.architecture->blocks()));
  const bool done = watch(backend, probe, models, spec, probe, inputs);
  return done ? probe.result(spec.trajectory) : std::vector<StepBlockChanges>();
}

std::vector<double> mean_changes(std::span<const StepBlockChanges> steps) {
  std::vector<double> mean(steps[0].changes.size());
  for (const StepBlockChanges& step : steps)
    for (size_t block = 0; block < mean.size(); ++block)
      mean[block] += step.changes[block] / static_cast<double>(steps.size());
  return mean;
}

int64_t most_blocks_to_skip(const Architecture& network) {
  // How many go together does not depend on which change least.
  const std::vector<double> alike(static_cast<size_t>(network.blocks()));
  return std::ssize(least_that_go(network, alike, network.blocks()));
}

std::vector<int64_t> blocks_to_skip(const Architecture& network, std::span<const double> changes,
                                    int64_t count) {
  const std::vector<int64_t> skip = least_that_go(network, changes, count);
  check(std::ssize(skip) == count, ErrorKind::usage, "of the ", changes.size(), " blocks of a ",
        network.name(), " at most ", skip.size(), " may be left out together, and not ", count);
  return skip;
}

}  // namespace tstitch
