#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "tstitch/diffusion/network.h"
#include "tstitch/models/unet.h"
#include "tstitch/zoo/control_network.h"
#include "tstitch/zoo/timestep_table.h"

namespace tstitch {

// The added condition of SDXL (arXiv 2307.01952, section 2.2): [pooled | sinusoids of numbers].
// pooled: (N, P) f32 on the backend; numbers: of each image as many, height, width, crop top, crop left,
// target height, target width in pixels, or a score instead of the last two; width: of one sinusoid. Returns
// (N, P + numbers of an image width) f32.
Tensor text_time_condition(Backend& backend, const Tensor& pooled, std::span<const double> numbers,
                           int64_t width = 256);

// The skip beyond which evaluations that are not whole take what an earlier one gave: the first pair's, or
// conv_in's.
constexpr int64_t innermost_skip(BlockCache::Form form) { return form == BlockCache::Form::paper ? 1 : 0; }

// A U-Net whose rows show contexts. The keys and values of a context belong to whoever bound it; what the
// timesteps are to the resnets is kept (timestep_table.h).
class UNetNetwork final : public Network {
 public:
  explicit UNetNetwork(UNet unet);

  std::unique_ptr<const BoundCondition> bind(const Condition& condition, int64_t height,
                                             int64_t width) const override;
  // Contexts may differ in length; one token is what all contexts of a network have, or none. Rows that other
  // ControlNets steer are evaluated apart, and those that are asked in other forms, or are of one form but
  // whole and not.
  Tensor evaluate(const Tensor& x, std::span<const Row> rows) const override;
  // Of rows that nothing steers.
  Tensor evaluate_observed(const Tensor& x, std::span<const Row> rows, BlockObserver observer) const override;

 private:
  // Of rows that are asked alike; observer: or null.
  Tensor evaluate_alike(const Tensor& x, std::span<const Row> rows,
                        const BlockObserver* observer = nullptr) const;
  // The same in a form that is cheaper, or observed; none is steered.
  Tensor evaluate_cheaper(const Tensor& input, const Tensor& times, std::span<const Row> rows,
                          const BlockObserver* observer) const;
  // x and behind its channels those that the rows' conditions show beside it.
  Tensor with_beside(const Tensor& x, std::span<const Row> rows) const;
  Tensor time_table(std::span<const Row> rows, std::span<const TimestepTable::Pair> pairs) const;

  UNet unet_;
  mutable std::atomic<int64_t> bound_ = 0;  // how many conditions were
  mutable std::mutex turn_;                 // of all that follows
  mutable TimestepTable times_;
  mutable std::vector<int64_t> numbers_;
  mutable std::vector<const Tensor*> contexts_;  // block by block those of the rows
};

}  // namespace tstitch
