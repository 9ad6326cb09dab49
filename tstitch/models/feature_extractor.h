// What measures pictures: a network whose inner activations stand for what a picture shows.
//
// N pictures, D features, S spatial features, K classes. Tensors are f32.
#pragma once

#include <cstdint>

#include "tstitch/tensor/tensor.h"

namespace tstitch {

// On the host, one row per picture.
struct PictureFeatures {
  Tensor pooled;   // (N, D): of FID, precision and recall
  Tensor spatial;  // (N, S): of sFID
  Tensor logits;   // (N, K): of the Inception Score
};

class FeatureExtractor {
 public:
  virtual ~FeatureExtractor() = default;

  // pictures: (N, H, W, C) u8 on the host, C = channels(); of any size that the network resizes, else of
  // side(). Throws Error{usage} for another shape.
  virtual PictureFeatures operator()(const Tensor& pictures) const = 0;

  virtual int64_t channels() const = 0;          // of a picture
  virtual int64_t side() const = 0;              // of the square pictures it takes, 0: any size
  virtual int64_t features() const = 0;          // D
  virtual int64_t spatial_features() const = 0;  // S
  virtual int64_t classes() const = 0;           // K
};

}  // namespace tstitch
