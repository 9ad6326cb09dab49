// Curves over an x axis, drawn for a page: as SVG and as PNG.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace tstitch {

struct Chart {
  struct Series {
    std::string name;  // in the legend; "" leaves it out
    std::vector<double> x, y;
    // One per point, or none: half-lengths of error bars, or of a band around a line without dots.
    std::vector<double> error = {};
    std::vector<std::string> labels = {};  // beside the points, "" for none; or none
    bool line = true;                      // joins the points, in order
    bool dots = true;
    // 0 ... 1: its place in a sequence of series, as a colour from dark to bright. Else a colour of its own,
    // of eight that the colour-blind tell apart too (Okabe & Ito 2008), the first series blue.
    std::optional<double> shade = {};
  };
  std::string title, x_label, y_label;
  bool log_x = false, log_y = false;
  std::vector<Series> series;
};

// The bytes of a file of that name, which says the format: .svg, or .png with twice the pixels and the title
// as text. Throws Error{usage} for another name, Error{input} for a chart without points, values that are not
// finite or beyond 1e100, values that are not above 0 on a logarithmic axis, and texts that are not UTF-8.
std::vector<std::byte> encode_chart(const std::string& path, const Chart& chart);

// encode_chart into the file, whole or not at all; throws Error{device} when it cannot be written.
void write_chart(const std::string& path, const Chart& chart);

}  // namespace tstitch
