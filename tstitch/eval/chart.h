// Curves over an x axis, drawn for a page: as SVG and as PNG.
#pragma once

#include <string>
#include <vector>

namespace tstitch {

struct Chart {
  struct Series {
    std::string name;  // in the legend; "" leaves it out
    std::vector<double> x, y;
    std::vector<double> error = {};        // half-lengths of error bars, one per point; or none
    std::vector<std::string> labels = {};  // beside the points; or none
    bool line = true;                      // joins the points, in order
    bool dots = true;
  };
  std::string title, x_label, y_label;
  bool log_x = false, log_y = false;
  std::vector<Series> series;
};

// The format follows from the name: .svg or .png. Whole or not at all. Throws Error{usage} for another name,
// Error{input} for values that are not finite (or not above 0 on a logarithmic axis), Error{device} when it
// cannot be written.
void write_chart(const std::string& path, const Chart& chart);

}  // namespace tstitch
