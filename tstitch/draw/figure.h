#pragma once

#include <string>
#include <vector>

#include "tstitch/io/png.h"

namespace tstitch {

// A table of pictures with its labels, black on white.
struct Figure {
  std::string title;
  std::vector<std::string> row_labels;
  struct Column {
    std::string label, note;    // above and below the pictures
    std::vector<Image> images;  // one per row, all of one size
  };
  std::vector<Column> columns;
};

// Every image enlarged to at least 84 pixels.
Image draw(const Figure& figure);

}  // namespace tstitch
