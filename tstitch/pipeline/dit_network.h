#pragma once

#include <cstdint>
#include <vector>

#include "tstitch/diffusion/denoiser.h"
#include "tstitch/models/dit.h"

namespace tstitch {

// A DiT with its classes bound: F(x, t) for a batch whose image n has class classes[n].
//
// `prepare` announces the timesteps to come; their adaLN modulations are computed a window of steps at a
// time, as many as fit into kWindowBytes, when the first step of a window is asked for.
class DiTNetwork final : public Network {
 public:
  static constexpr int64_t kWindowBytes = int64_t{64} << 20;

  DiTNetwork(const DiT& dit, std::vector<int64_t> classes, int64_t height, int64_t width);

  Tensor operator()(const Tensor& x, double t) const override;
  void prepare(std::span<const double> timesteps) override;

 private:
  void open_window(double t) const;  // makes the window that starts at timestep t

  const DiT* dit_;
  Tensor positions_;
  std::vector<int64_t> unique_classes_;  // U of them
  std::vector<double> ahead_;            // announced timesteps, in order

  // The window in use: row i U + u of the table belongs to window_[i] and unique class u.
  mutable std::vector<double> window_;
  mutable DiT::Conditioning table_;
  mutable std::vector<int64_t> rows_;    // of this step, one per image
  std::vector<int64_t> class_of_image_;  // index into unique_classes_
};

}  // namespace tstitch
