#pragma once

#include <cstdint>
#include <vector>

#include "tstitch/diffusion/denoiser.h"
#include "tstitch/models/dit.h"
#include "tstitch/zoo/timestep_window.h"

namespace tstitch {

// A DiT with its classes bound: F(x, t) for a batch whose image n has class classes[n].
//
// The adaLN modulations of announced timesteps are computed a window of steps at a time (timestep_window.h),
// as many as fit into kWindowBytes.
class DiTNetwork final : public Network {
 public:
  static constexpr int64_t kWindowBytes = int64_t{64} << 20;

  DiTNetwork(const DiT& dit, std::vector<int64_t> classes, int64_t height, int64_t width);

  Tensor operator()(const Tensor& x, double t) const override;
  void prepare(std::span<const double> timesteps) override { window_.announce(timesteps); }

 private:
  void make_table() const;  // of the window

  const DiT* dit_;
  Tensor positions_;
  std::vector<int64_t> unique_classes_;  // U of them

  // Row i U + u of the table belongs to step i of the window and unique class u.
  mutable TimestepWindow window_;
  mutable DiT::Conditioning table_;
  mutable std::vector<int64_t> rows_;    // of this step, one per image
  std::vector<int64_t> class_of_image_;  // index into unique_classes_
};

}  // namespace tstitch
