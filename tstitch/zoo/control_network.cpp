#include "tstitch/zoo/control_network.h"

#include <algorithm>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/ops/ops.h"

namespace tstitch {

ControlNetwork::ControlNetwork(ControlNet net, bool takes_bgr)
    : net_(std::move(net)),
      takes_bgr_(takes_bgr),
      times_(net_.backend(), net_.time_columns() * size_of(DType::f32)) {}

std::shared_ptr<const Control> ControlNetwork::follow(const Tensor& picture, double strength) const {
  Backend& backend = net_.backend();
  const int64_t H = picture.extent(1), W = picture.extent(2);
  Tensor planes({1, 3, H, W}, DType::f32);
  for (int64_t c = 0; c < 3; ++c)
    std::copy_n(picture.data<float>() + (takes_bgr_ ? 2 - c : c) * H * W, H * W,
                planes.data<float>() + c * H * W);
  auto followed = std::make_shared<FollowedHint>();
  followed->network = shared_from_this();
  followed->hint = net_.read_hint(to_channels_last(backend, backend.upload(planes)));
  followed->gains = net_.gains(strength);
  return followed;
}

BoundControl ControlNetwork::bind(std::shared_ptr<const FollowedHint> followed, const Tensor& context,
                                  const Tensor& added) const {
  return {.followed = std::move(followed),
          .context = net_.condition(context),
          .number = added ? ++bound_ : 0,
          .added = added};
}

Tensor ControlNetwork::times(std::span<const Row> rows, std::span<const BoundControl* const> controls) const {
  const std::lock_guard lock(turn_);
  std::vector<int64_t> numbers;
  for (const BoundControl* control : controls) numbers.push_back(control->number);
  const std::span<const int64_t> found =
      times_.find(rows, numbers, [&](std::span<const TimestepTable::Pair> pairs) {
        std::vector<double> t, guidance;
        std::vector<Tensor> added;
        for (const auto& pair : pairs) {
          t.push_back(pair.t);
          guidance.push_back(rows[pair.row].guidance);
          if (const Tensor& own = controls[pair.row]->added) added.push_back(own);
        }
        return std::vector{
            net_.time_table(t, added.empty() ? Tensor() : stack(net_.backend(), added), guidance)};
      });
  return gather(net_.backend(), times_.tables()[0], found);
}

}  // namespace tstitch
