#include "tstitch/diffusion/thresholding.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace tstitch {
namespace {

// Between the two values next to the place, as torch.quantile.
double quantile(std::vector<float> values, double share) {
  const double place = share * static_cast<double>(values.size() - 1);
  const auto below = values.begin() + static_cast<std::ptrdiff_t>(place);
  std::ranges::nth_element(values, below);
  const double low = *below;
  if (below + 1 == values.end()) return low;
  const double high = *std::min_element(below + 1, values.end());
  return low + (place - std::floor(place)) * (high - low);
}

}  // namespace

Tensor thresholded(Backend& backend, const Tensor& x0, const Thresholding& thresholding) {
  Tensor host = backend.download(x0);
  const int64_t size = host.elements() / host.extent(0);
  for (int64_t n = 0; n < host.extent(0); ++n) {
    float* image = host.data<float>() + n * size;
    std::vector<float> magnitudes(image, image + size);
    for (float& magnitude : magnitudes) magnitude = std::abs(magnitude);
    const double s =
        std::min(std::max(quantile(std::move(magnitudes), thresholding.ratio), 1.0), thresholding.most);
    for (int64_t i = 0; i < size; ++i)
      image[i] = static_cast<float>(std::clamp(static_cast<double>(image[i]), -s, s) / s);
  }
  return backend.upload(host);
}

}  // namespace tstitch
