// InceptionV3 (Szegedy et al. 2016, arXiv 1512.00567) as the Fréchet Inception Distance knows it:
// TensorFlow's graph of December 2015 with 1008 classes, whose mean pools leave out the zeros around a
// picture and whose last block pools by maximum. Weights have the names that pytorch-fid gave them:
//
//   Conv2d_1a_3x3.conv.weight, Mixed_5b.branch1x1.bn.running_var, ..., fc.weight
//
// pooled: (N, 2048), the means over the last block. spatial: (N, 2023), the first 7 channels of Mixed_6d's
// first branch ("mixed_6/conv" of the graph), 17 x 17 pixels channels-last. logits: (N, 1008), without the
// bias, as ADM's evaluator computes the Inception Score.
#pragma once

#include <memory>

#include "tstitch/models/feature_extractor.h"
#include "tstitch/models/inception_input.h"
#include "tstitch/nn/weights.h"

namespace tstitch {

// Whether the names are InceptionV3's. torchvision's network has them too: load_inception_v3 refuses it.
bool is_inception_v3(const WeightSource& weights);

// Takes pictures (N, H, W, 3) of any size, a few at a time: memory does not grow with N but for the result.
// Throws Error{input} naming the tensor when a weight is missing, misshapen, or a variance negative.
std::unique_ptr<FeatureExtractor> load_inception_v3(Backend& backend, const WeightSource& weights,
                                                    InceptionResize resize = InceptionResize::tf1);

// Floating-point operations (two for a multiply and an add; convolutions) for one picture.
double inception_v3_flops();

}  // namespace tstitch
