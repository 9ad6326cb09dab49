#include "tstitch/zoo/unet_network.h"

#include <algorithm>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/ops/ops.h"
#include "tstitch/zoo/alike_rows.h"

namespace tstitch {
namespace {

struct BoundContext final : BoundCondition {
  UNet::Context context;
  // The timesteps are the same to all rows, but for those with an added condition: 0, or a number of its own.
  int64_t number = 0;
  Tensor added;   // (1, A)
  Tensor beside;  // (1, H, W, E)
  std::vector<BoundControl> controls;
};

const BoundContext& bound_context(const Row& row) { return static_cast<const BoundContext&>(*row.condition); }

// Those of its condition's controls that hold in a row.
std::vector<const BoundControl*> controls_of(const Row& row) {
  std::vector<const BoundControl*> held;
  const std::vector<BoundControl>& all = bound_context(row).controls;
  for (size_t i = 0; i < all.size(); ++i)
    if (row.controls >> i & 1) held.push_back(&all[i]);
  return held;
}

// Whether it takes from an earlier evaluation what its inner blocks gave.
bool takes_kept(const Row& row) {
  const EvaluationContext& context = row.context;
  return !context.whole && context.kept && *context.kept;
}

bool are_asked_alike(const Row& a, const Row& b) {
  const auto by = [](const BoundControl* control) { return &control->network(); };
  return a.form == b.form && takes_kept(a) == takes_kept(b) &&
         std::ranges::equal(controls_of(a), controls_of(b), {}, by, by);
}

// One of the networks that steer some rows, which it answers first.
class Steering {
 public:
  // number: of its control among those that hold.
  Steering(std::span<const Row> rows, size_t number) {
    for (const Row& row : rows) controls_.push_back(controls_of(row)[number]);
    for (size_t block = 0; block < controls_[0]->context.size(); ++block)
      for (const BoundControl* control : controls_) contexts_.push_back(&control->context[block]);
    times_ = controls_[0]->network().times(rows, controls_);
  }

  // x: (N, H, W, C) f32, the latents of the rows.
  void evaluate(const Tensor& x) {
    features_ = net()(x, times_, contexts_, of_rows([](const FollowedHint& f) { return f.hint; }));
  }
  void forget() { features_.clear(); }
  void add_to(Tensor& skip, size_t k) const {
    net().add_to(skip, k, features_[k],
                 {of_rows([&](const FollowedHint& f) { return f.gains[k].scale_shift; }),
                  of_rows([&](const FollowedHint& f) { return f.gains[k].bias; })});
  }

 private:
  const ControlNet& net() const { return controls_[0]->network().net(); }
  template <class Part>
  Tensor of_rows(const Part& part) const {
    std::vector<Tensor> parts;
    for (const BoundControl* control : controls_) parts.push_back(part(*control->followed));
    return stack(net().backend(), parts);
  }

  std::vector<const BoundControl*> controls_;  // of every row
  std::vector<const Tensor*> contexts_;        // block by block those of the rows
  Tensor times_;
  std::vector<Tensor> features_;
};

}  // namespace

Tensor text_time_condition(Backend& backend, const Tensor& pooled, std::span<const double> numbers,
                           int64_t width) {
  const int64_t N = pooled.extent(0);
  const Tensor sinusoids = timestep_embedding(backend, numbers, width);  // of all images
  return concat_columns(backend, pooled, sinusoids.reshape({N, sinusoids.elements() / N}));
}

UNetNetwork::UNetNetwork(UNet unet)
    : unet_(std::move(unet)), times_(unet_.backend(), unet_.time_columns() * size_of(DType::f32)) {}

std::unique_ptr<const BoundCondition> UNetNetwork::bind(const Condition& condition, int64_t height,
                                                        int64_t width) const {
  const Tensor& context = condition.context;
  check_internal(context && context.shape().rank() == 2 && context.extent(0) > 0,
                 "a U-Net bound without a context");
  auto bound = std::make_unique<BoundContext>();
  const Tensor uploaded = unet_.backend().upload(context);
  bound->context = unet_.condition(uploaded);
  if (condition.added) {
    bound->number = ++bound_;
    bound->added = unet_.backend().upload(condition.added).reshape({1, condition.added.elements()});
  }
  const Tensor& beside = condition.beside;
  const int64_t seen = unet_.config().in_channels - unet_.config().out_channels;
  check_internal(beside ? beside.shape() == Shape({height, width, seen}) : seen == 0, "a U-Net that sees ",
                 seen, " channels beside the latent, ", height, " x ", width, ", bound with ",
                 beside.shape());
  if (beside) bound->beside = unet_.backend().upload(beside).reshape({1, height, width, seen});
  for (const auto& control : condition.controls) {
    auto followed = std::static_pointer_cast<const FollowedHint>(control);
    check_internal(followed->hint.extent(1) == height && followed->hint.extent(2) == width, "a hint read as ",
                   followed->hint.shape(), " for latents of ", height, " x ", width);
    const ControlNetwork& network = *followed->network;
    bound->controls.push_back(network.bind(std::move(followed), uploaded, bound->added));
  }
  return bound;
}

Tensor UNetNetwork::evaluate(const Tensor& x, std::span<const Row> rows) const {
  const std::lock_guard lock(turn_);
  return evaluate_alike_together(
      unet_.backend(), x, rows, are_asked_alike,
      [&](const Tensor& own_x, std::span<const Row> own_rows) { return evaluate_alike(own_x, own_rows); });
}

Tensor UNetNetwork::evaluate_observed(const Tensor& x, std::span<const Row> rows,
                                      BlockObserver observer) const {
  const std::lock_guard lock(turn_);
  return evaluate_alike(x, rows, &observer);
}

Tensor UNetNetwork::evaluate_alike(const Tensor& x, std::span<const Row> rows,
                                   const BlockObserver* observer) const {
  numbers_.clear();
  for (const Row& row : rows) numbers_.push_back(bound_context(row).number);
  const std::span<const int64_t> found = times_.find(
      rows, numbers_,
      [&](std::span<const TimestepTable::Pair> pairs) { return std::vector{time_table(rows, pairs)}; });
  contexts_.clear();
  for (size_t block = 0; block < bound_context(rows[0]).context.size(); ++block)
    for (const Row& row : rows) contexts_.push_back(&bound_context(row).context[block]);
  std::vector<Steering> steering;
  for (size_t number = 0; number < controls_of(rows[0]).size(); ++number) steering.emplace_back(rows, number);
  if (observer || rows[0].form != CheaperForm()) {
    check_internal(steering.empty(), "a U-Net that is observed, or in a cheaper form, is steered");
    return evaluate_cheaper(with_beside(x, rows), gather(unet_.backend(), times_.tables()[0], found), rows,
                            observer);
  }
  return unet_.backend().repeated(with_beside(x, rows), [&](const Tensor& input) {
    const Tensor times = gather(unet_.backend(), times_.tables()[0], found);
    if (steering.empty()) return unet_(input, times, contexts_);
    const Tensor latents = input.slice_columns(0, x.columns());
    const Tensor dense = combine(unet_.backend(), {{1, &latents}});
    for (Steering& one : steering) one.evaluate(dense);
    Tensor y = unet_(input, times, contexts_, [&](size_t k, Tensor& skip) {
      for (const Steering& one : steering) one.add_to(skip, k);
    });
    for (Steering& one : steering) one.forget();
    return y;
  });
}

// Which tokens are merged depends on what they hold, and what is kept comes from outside: not work that is
// repeated (Backend::repeated).
Tensor UNetNetwork::evaluate_cheaper(const Tensor& input, const Tensor& times, std::span<const Row> rows,
                                     const BlockObserver* observer) const {
  const auto& [merge, cache, skip] = rows[0].form;
  std::vector<TokenMerging::Draw> draws;
  for (const Row& row : rows) draws.push_back({row.context.seed, row.context.evaluation});
  const TokenMerging merging{merge, draws};
  UNet::Shortcuts shortcuts{.merging = merge > 0 ? &merging : nullptr,
                            .walk = {.skipped = skip, .observer = observer}};
  Tensor beyond;
  if (cache.holds()) {
    shortcuts.beyond = &beyond;
    shortcuts.skip = innermost_skip(cache.form);
    shortcuts.taken = takes_kept(rows[0]);
  }
  if (shortcuts.taken) {
    std::vector<Tensor> kept;
    for (const Row& row : rows) kept.push_back(*row.context.kept);
    beyond = stack(unet_.backend(), kept);
  }
  const Tensor y = unet_(input, times, contexts_, shortcuts);
  if (cache.holds() && !shortcuts.taken)
    for (size_t n = 0; n < rows.size(); ++n)
      if (Tensor* kept = rows[n].context.kept)
        *kept = beyond.slice(static_cast<int64_t>(n), static_cast<int64_t>(n) + 1);
  return y;
}

Tensor UNetNetwork::with_beside(const Tensor& x, std::span<const Row> rows) const {
  if (!bound_context(rows[0]).beside) return x;
  std::vector<Tensor> beside;
  for (const Row& row : rows) beside.push_back(bound_context(row).beside);
  return concat_columns(unet_.backend(), x, stack(unet_.backend(), beside));
}

Tensor UNetNetwork::time_table(std::span<const Row> rows, std::span<const TimestepTable::Pair> pairs) const {
  std::vector<double> t, guidance;
  std::vector<Tensor> added;
  for (const auto& pair : pairs) {
    t.push_back(pair.t);
    guidance.push_back(rows[pair.row].guidance);
    if (const Tensor& own = bound_context(rows[pair.row]).added) added.push_back(own);
  }
  return unet_.time_table(t, added.empty() ? Tensor() : stack(unet_.backend(), added), guidance);
}

}  // namespace tstitch
