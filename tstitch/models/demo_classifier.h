// A small classifier of small pictures, whose features measure the demo family: convolutions of stride 2 with
// ReLU, a hidden layer, the classes. It was trained by tools/train/train_demo_classifier.py.
#pragma once

#include <cstdint>
#include <vector>

#include "tstitch/models/feature_extractor.h"
#include "tstitch/nn/conv2d.h"
#include "tstitch/nn/linear.h"
#include "tstitch/nn/weights.h"

namespace tstitch {

struct DemoClassifierConfig {
  int64_t input_size = 28, in_channels = 1;
  std::vector<int64_t> widths = {32, 64, 64}, kernels = {5, 3, 3};  // of the convolutions, kernels odd
  int64_t features = 128, num_classes = 10;
  int64_t spatial_layer = 1, spatial_channels = 7;  // the convolution and its first channels that sFID sees

  int64_t side_after(int64_t layer) const;  // of the pictures behind the convolution `layer`
};

class DemoClassifier final : public FeatureExtractor {
 public:
  // weights: "conv.i.weight", "conv.i.bias", "hidden.*", "fc.*". Throws Error{input} naming the tensor that
  // is missing or misshapen.
  DemoClassifier(const DemoClassifierConfig& config, const Weights& weights);

  PictureFeatures operator()(const Tensor& pictures) const override;
  int64_t channels() const override { return config_.in_channels; }
  int64_t side() const override { return config_.input_size; }
  int64_t features() const override { return config_.features; }
  int64_t spatial_features() const override;
  int64_t classes() const override { return config_.num_classes; }

 private:
  Backend& backend_;
  DemoClassifierConfig config_;
  std::vector<Conv2d> convolutions_;
  Linear hidden_, fc_;
};

}  // namespace tstitch
