// Edges of a picture, as hints for ControlNets (Canny 1986, "A Computational Approach to Edge Detection").
#pragma once

#include "tstitch/io/png.h"

namespace tstitch {

// Of gradients, the sum of the absolute differences along both axes under 3 x 3 kernels of Sobel: up to 2040.
struct CannyThresholds {
  int low = 100, high = 200;
  bool operator==(const CannyThresholds&) const = default;
};

// As OpenCV's cv::Canny(image, low, high): ridges of the gradient above `high`, and those above `low` that
// they reach. Where there are three channels, each pixel has the gradient of that with the largest. Returns
// a gray picture, edges 255 and the rest 0.
Image canny_edges(const Image& image, CannyThresholds thresholds);

}  // namespace tstitch
