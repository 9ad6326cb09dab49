#include "tstitch/draw/figure.h"

#include <algorithm>

#include "tstitch/base/error.h"
#include "tstitch/draw/bitmap_font.h"
#include "tstitch/draw/images.h"

namespace tstitch {
namespace {

constexpr int kMargin = 12, kGap = 4, kTextScale = 2;

void draw_centered(Image& canvas, int left, int width, int y, const std::string& text) {
  draw_text(canvas, left + (width - text_width(text, kTextScale)) / 2, y, text, kTextScale, 0);
}

}  // namespace

Image draw(const Figure& figure) {
  const auto& columns = figure.columns;
  check_internal(!columns.empty() && !columns[0].images.empty(), "a figure without pictures");
  const Image& first = columns[0].images[0];
  const int factor = viewing_factor(first.height);
  const int rows = static_cast<int>(columns[0].images.size());
  const int line = text_height(kTextScale) + kGap;

  int label_width = 0, cell_width = first.width * factor;
  for (const std::string& label : figure.row_labels)
    label_width = std::max(label_width, text_width(label, kTextScale));
  for (const auto& column : columns)
    for (const std::string* text : {&column.label, &column.note})
      cell_width = std::max(cell_width, text_width(*text, kTextScale) + kMargin);
  const int cell_height = first.height * factor;

  const int left = kMargin + label_width + kMargin, top = kMargin + 2 * line + kMargin;
  const int width = std::max(left + static_cast<int>(columns.size()) * (cell_width + kGap) + kMargin,
                             text_width(figure.title, kTextScale) + 2 * kMargin);
  const int height = top + rows * (cell_height + kGap) + line + kMargin;
  Image canvas{.width = width, .height = height, .channels = first.channels, .pixels = {}};
  canvas.pixels.assign(static_cast<size_t>(width) * height * first.channels, 255);

  draw_text(canvas, kMargin, kMargin, figure.title, kTextScale, 0);
  for (int row = 0; row < rows && row < static_cast<int>(figure.row_labels.size()); ++row)
    draw_text(canvas, kMargin, top + row * (cell_height + kGap) + (cell_height - line) / 2,
              figure.row_labels[row], kTextScale, 0);
  for (size_t i = 0; i < columns.size(); ++i) {
    const int x = left + static_cast<int>(i) * (cell_width + kGap);
    draw_centered(canvas, x, cell_width, top - line, columns[i].label);
    for (int row = 0; row < rows; ++row)
      paste(canvas, enlarge(columns[i].images[row], factor), x + (cell_width - first.width * factor) / 2,
            top + row * (cell_height + kGap));
    draw_centered(canvas, x, cell_width, top + rows * (cell_height + kGap), columns[i].note);
  }
  return canvas;
}

}  // namespace tstitch
