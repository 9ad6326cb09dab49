// What measures pictures: a network whose inner activations stand for what a picture shows.
//
// N pictures, D features, S spatial features, K classes, E width of embeddings. Tensors are f32.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tstitch/tensor/tensor.h"

namespace tstitch {

// On the host, one row per picture.
struct PictureFeatures {
  Tensor pooled;   // (N, D): of FID, precision and recall
  Tensor spatial;  // (N, S): of sFID
  Tensor logits;   // (N, K): of the Inception Score; empty where K is 0
  // (N, E), of length 1: near those of the texts that they show; empty where the network reads none.
  Tensor embedding;
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
  virtual int64_t classes() const = 0;           // K, 0: it knows none
  // Whether it says how well a picture and a text agree: by the cosine of their embeddings.
  virtual bool reads_texts() const { return false; }
  // (texts, E), of length 1; for networks that read texts.
  virtual Tensor embed_texts(const std::vector<std::string>&) const { return {}; }
};

}  // namespace tstitch
