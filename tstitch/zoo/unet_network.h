#pragma once

#include <cstdint>
#include <vector>

#include "tstitch/diffusion/denoiser.h"
#include "tstitch/models/unet.h"
#include "tstitch/zoo/timestep_window.h"

namespace tstitch {

// What a U-Net is given besides the picture and the timestep, for a batch of N images.
struct UNetCondition {
  Tensor context;  // (N, S, context_width) f32
  Tensor added;    // (N, added_width) f32 for networks with an added condition, else empty
};

// The added condition of SDXL (arXiv 2307.01952, section 2.2): [pooled | sinusoids of six sizes].
// pooled: (N, P) f32; sizes: of each image height, width, crop top, crop left, target height, target width in
// pixels; width: of one sinusoid. Returns (N, P + 6 width) f32.
Tensor text_time_condition(Backend& backend, const Tensor& pooled, std::span<const double> sizes,
                           int64_t width = 256);

// A U-Net with its condition bound: F(x, t) for a batch of N images. The context's keys and values are
// computed once, here.
//
// What announced timesteps are to the resnets is computed a window of steps at a time (timestep_window.h), as
// many as fit into kWindowBytes.
class UNetNetwork final : public Network {
 public:
  static constexpr int64_t kWindowBytes = int64_t{64} << 20;

  UNetNetwork(Backend& backend, const UNet& unet, const UNetCondition& condition);

  Tensor operator()(const Tensor& x, double t) const override;
  void prepare(std::span<const double> timesteps) override { window_.announce(timesteps); }

 private:
  void make_table() const;  // of the window

  Backend& backend_;
  const UNet* unet_;
  UNet::Context context_;
  Tensor added_;
  int64_t rows_per_step_;  // of the time table: one, or one for each image when they have an added condition

  // Row i rows_per_step_ + n of the table belongs to step i of the window and image n.
  mutable TimestepWindow window_;
  mutable Tensor table_;
  mutable std::vector<int64_t> rows_;  // of this step, one per image
};

}  // namespace tstitch
