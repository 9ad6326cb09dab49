#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "tstitch/diffusion/denoiser.h"

namespace tstitch {

// One batch whose rows are served by different denoisers: a solver sees one denoiser, and each row what it
// would see in a batch of its own.
class RoutedDenoiser final : public Denoiser {
 public:
  // That denoiser, its condition bound for these rows of the batch, in this order.
  using Bind = std::function<std::unique_ptr<Denoiser>(int denoiser, std::span<const int64_t> rows)>;

  RoutedDenoiser(Backend& backend, Bind bind) : backend_(backend), bind_(std::move(bind)) {}

  // Who serves each row from now on. Binds anew only where the rows of a denoiser have changed.
  void route(std::span<const int> denoiser_of_row);

  // x: as many rows as were routed. Throws Error{input} when one denoiser predicts a variance and another
  // does not.
  Prediction predict(const Tensor& x, const NoiseLevel& level) const override;
  void prepare(std::span<const NoiseLevel> levels) override;

 private:
  struct Group {
    int denoiser;
    std::vector<int64_t> rows;
    std::unique_ptr<Denoiser> bound;
  };

  Backend& backend_;
  Bind bind_;
  std::vector<NoiseLevel> levels_;  // that were announced,
  mutable size_t asked_ = 0;        // and how many of them have been asked: only the others are announced anew
  std::vector<Group> groups_;
  std::vector<int64_t> order_;  // of row n of the batch: where it stands when the groups follow each other
};

}  // namespace tstitch
