#include "tstitch/output/grid.h"

#include <algorithm>
#include <cmath>

#include "tstitch/draw/images.h"

namespace tstitch {
namespace {

constexpr int kPadding = 2;

}  // namespace

Image make_grid(const std::vector<Image>& images, int columns) {
  const Image& first = images.at(0);
  const int count = static_cast<int>(images.size());
  columns = std::min(columns, count);
  const int rows = (count + columns - 1) / columns;
  const int factor = viewing_factor(first.height);
  const int cell_width = factor * first.width + kPadding, cell_height = factor * first.height + kPadding;
  Image grid = blank(columns * cell_width + kPadding, rows * cell_height + kPadding, first.channels);
  for (int i = 0; i < count; ++i)
    paste(grid, enlarge(images[i], factor), i % columns * cell_width + kPadding,
          i / columns * cell_height + kPadding);
  return grid;
}

int grid_columns(int64_t images, int64_t images_per_class) {
  if (images_per_class > 1 && images_per_class < images) return static_cast<int>(images_per_class);
  if (images <= 8) return 4;
  return static_cast<int>(std::ceil(std::sqrt(static_cast<double>(images))));
}

}  // namespace tstitch
