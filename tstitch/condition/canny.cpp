#include "tstitch/condition/canny.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace tstitch {
namespace {

// The gradient of a pixel.
struct Slope {
  int x = 0, y = 0;
  int size() const { return std::abs(x) + std::abs(y); }
};

// With the pixels at the border repeated beyond it.
Slope slope_at(const Image& image, int x, int y, int channel) {
  const auto at = [&](int dx, int dy) {
    const int column = std::clamp(x + dx, 0, image.width - 1), row = std::clamp(y + dy, 0, image.height - 1);
    const auto pixel =
        static_cast<size_t>(row) * static_cast<size_t>(image.width) + static_cast<size_t>(column);
    return static_cast<int>(
        image.pixels[pixel * static_cast<size_t>(image.channels) + static_cast<size_t>(channel)]);
  };
  return {at(1, -1) + 2 * at(1, 0) + at(1, 1) - at(-1, -1) - 2 * at(-1, 0) - at(-1, 1),
          at(-1, 1) + 2 * at(0, 1) + at(1, 1) - at(-1, -1) - 2 * at(0, -1) - at(1, -1)};
}

// The slopes of a picture; beyond it there are none.
class Slopes {
 public:
  explicit Slopes(const Image& image) : width_(image.width), height_(image.height) {
    for (int y = 0; y < height_; ++y)
      for (int x = 0; x < width_; ++x) {
        Slope& most = all_.emplace_back(slope_at(image, x, y, 0));
        for (int c = 1; c < image.channels; ++c)
          if (const Slope other = slope_at(image, x, y, c); other.size() > most.size()) most = other;
      }
  }
  Slope at(int x, int y) const {
    if (x < 0 || x >= width_ || y < 0 || y >= height_) return {};
    return all_[static_cast<size_t>(y) * static_cast<size_t>(width_) + static_cast<size_t>(x)];
  }

  // Whether none of the two neighbours along the gradient, taken to lie across, up, or on a diagonal, is
  // larger; of equals one is.
  bool is_ridge(int x, int y) const {
    // tan(22.5 degrees) in OpenCV's fixed point.
    constexpr int kShift = 15, kTangent = 13573;
    const Slope slope = at(x, y);
    const int64_t across = std::abs(slope.x), up = int64_t{std::abs(slope.y)} << kShift;
    const int size = slope.size();
    const auto size_at = [&](int dx, int dy) { return at(x + dx, y + dy).size(); };
    if (up < across * kTangent) return size > size_at(-1, 0) && size >= size_at(1, 0);
    if (up > across * kTangent + (across << (kShift + 1)))
      return size > size_at(0, -1) && size >= size_at(0, 1);
    const int side = (slope.x ^ slope.y) < 0 ? -1 : 1;
    return size > size_at(-side, -1) && size > size_at(side, 1);
  }

 private:
  int width_, height_;
  std::vector<Slope> all_;
};

}  // namespace

Image canny_edges(const Image& image, CannyThresholds thresholds) {
  const Slopes slopes(image);
  const auto place = [&](int x, int y) {
    return static_cast<size_t>(y) * static_cast<size_t>(image.width) + static_cast<size_t>(x);
  };
  const size_t count = static_cast<size_t>(image.width) * static_cast<size_t>(image.height);
  Image edges{
      .width = image.width, .height = image.height, .channels = 1, .pixels = std::vector<uint8_t>(count, 0)};
  std::vector<bool> weak(count);
  struct Place {
    int x, y;
  };
  std::vector<Place> reached;
  const auto reach = [&](int x, int y) {
    edges.pixels[place(x, y)] = 255;
    reached.push_back({x, y});
  };
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x) {
      const int size = slopes.at(x, y).size();
      if (size <= thresholds.low || !slopes.is_ridge(x, y)) continue;
      if (size > thresholds.high)
        reach(x, y);
      else
        weak[place(x, y)] = true;
    }
  while (!reached.empty()) {
    const auto [at_x, at_y] = reached.back();
    reached.pop_back();
    for (int y = std::max(at_y - 1, 0); y <= std::min(at_y + 1, image.height - 1); ++y)
      for (int x = std::max(at_x - 1, 0); x <= std::min(at_x + 1, image.width - 1); ++x)
        if (weak[place(x, y)]) {
          weak[place(x, y)] = false;
          reach(x, y);
        }
  }
  return edges;
}

}  // namespace tstitch
