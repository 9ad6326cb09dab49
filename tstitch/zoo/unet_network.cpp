#include "tstitch/zoo/unet_network.h"

#include <algorithm>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/ops/ops.h"

namespace tstitch {
namespace {

struct BoundContext final : BoundCondition {
  UNet::Context context;
  // The timesteps are the same to all rows, but for those with an added condition: 0, or a number of its own.
  int64_t number = 0;
  Tensor added;   // (1, A)
  Tensor beside;  // (1, H, W, E)
};

const BoundContext& bound_context(const Row& row) { return static_cast<const BoundContext&>(*row.condition); }

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
  bound->context = unet_.condition(unet_.backend().upload(context));
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
  return bound;
}

Tensor UNetNetwork::evaluate(const Tensor& x, std::span<const Row> rows) const {
  const std::lock_guard lock(turn_);
  numbers_.clear();
  for (const Row& row : rows) numbers_.push_back(bound_context(row).number);
  const std::span<const int64_t> found = times_.find(
      rows, numbers_,
      [&](std::span<const TimestepTable::Pair> pairs) { return std::vector{time_table(rows, pairs)}; });
  contexts_.clear();
  for (size_t block = 0; block < bound_context(rows[0]).context.size(); ++block)
    for (const Row& row : rows) contexts_.push_back(&bound_context(row).context[block]);
  return unet_.backend().repeated(with_beside(x, rows), [&](const Tensor& input) {
    return unet_(input, gather(unet_.backend(), times_.tables()[0], found), contexts_);
  });
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
