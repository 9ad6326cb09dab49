#include "tstitch/draw/chart.h"

#include <cairo-svg.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <new>
#include <span>
#include <utility>

#include "tstitch/base/error.h"
#include "tstitch/base/utf8.h"
#include "tstitch/base/version.h"
#include "tstitch/draw/axis.h"
#include "tstitch/draw/canvas.h"
#include "tstitch/io/atomic_file.h"
#include "tstitch/io/png.h"

namespace tstitch {
namespace {

constexpr double kWidth = 640, kPlotHeight = 340;  // of the whole page, and of what the axes span
constexpr double kMargin = 16, kGap = 8;
constexpr double kSample = 24;       // of a line in the legend
constexpr double kHalfDigit = 0.36;  // half the height of a digit, of the font's size
constexpr double kCap = 3;           // half-length of the ends of error bars
constexpr int kPngScale = 2;

constexpr Font kTitle = {.size = 14, .bold = true}, kText = {.size = 12};
constexpr Color kWhite = {1, 1, 1}, kAxis = {0.45, 0.45, 0.45}, kGrid = {0.88, 0.88, 0.88},
                kFineGrid = {0.95, 0.95, 0.95};

constexpr Color rgb(int hex) {
  return {(hex >> 16) / 255.0, ((hex >> 8) & 255) / 255.0, (hex & 255) / 255.0};
}

// Okabe & Ito's, the yellow darker because the page is white.
constexpr std::array<Color, 8> kPalette = {rgb(0x0072b2), rgb(0xd55e00), rgb(0x009e73), rgb(0xcc79a7),
                                           rgb(0x000000), rgb(0x56b4e9), rgb(0xe69f00), rgb(0xb8a800)};

// Viridis (van der Walt & Smith 2015), without its end that is too bright for a white page.
constexpr std::array<Color, 6> kShades = {rgb(0x440154), rgb(0x46327e), rgb(0x365c8d),
                                          rgb(0x277f8e), rgb(0x1fa187), rgb(0x7fc93f)};

Color shade(double position) {
  const double at = std::clamp(position, 0.0, 1.0) * (kShades.size() - 1);
  const size_t i = std::min(static_cast<size_t>(at), kShades.size() - 2);
  const Color &a = kShades[i], &b = kShades[i + 1];
  const auto mix = [&](double from, double to) { return from + (to - from) * (at - static_cast<double>(i)); };
  return {mix(a.red, b.red), mix(a.green, b.green), mix(a.blue, b.blue)};
}

// How a series looks: colours first, then marks and dashes tell them apart.
struct Style {
  Style(const Chart::Series& series, size_t index)
      : color(series.shade ? shade(*series.shade) : kPalette[index % kPalette.size()]),
        mark(series.shade ? 0 : static_cast<int>(index % kMarks)),
        dash(!series.shade && index >= kPalette.size() ? 5 : 0) {}

  Color color;
  int mark;
  double dash;
};

void check_text(const std::string& text) {
  check(valid_utf8_prefix(text) == text.size(), ErrorKind::input, "the chart's text \"", printable(text),
        "\" is not UTF-8");
}

void check_values(std::span<const double> values, bool logarithmic, const std::string& axis) {
  for (const double value : values) {
    check(std::abs(value) <= Axis::kLargest, ErrorKind::input, "the chart's ", axis, " axis cannot show ",
          value);
    check(!logarithmic || value >= Axis::kSmallest, ErrorKind::input, "the chart's logarithmic ", axis,
          " axis cannot show ", value);
  }
}

void check_chart(const Chart& chart) {
  size_t points = 0;
  for (const std::string* text : {&chart.title, &chart.x_label, &chart.y_label}) check_text(*text);
  for (const Chart::Series& s : chart.series) {
    const auto fits = [&](size_t count) { return count == 0 || count == s.x.size(); };
    check_internal(s.x.size() == s.y.size() && fits(s.error.size()) && fits(s.labels.size()), "series of ",
                   s.x.size(), " x, ", s.y.size(), " y, ", s.error.size(), " errors, ", s.labels.size(),
                   " labels");
    points += s.x.size();
    check_values(s.x, chart.log_x, "x");
    check_values(s.y, chart.log_y, "y");
    check_values(s.error, false, "y");
    check_text(s.name);
    for (const std::string& label : s.labels) check_text(label);
  }
  check(points > 0, ErrorKind::input, "the chart has no points");
}

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -low;

  void add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

// The ends of a point's error bar. On a logarithmic axis it goes down to a tenth of the value at most: 0
// is infinitely far away there.
double lower_end(const Chart& chart, const Chart::Series& s, size_t i) {
  const double end = s.y[i] - (s.error.empty() ? 0 : s.error[i]);
  return chart.log_y ? std::max(end, 0.1 * s.y[i]) : end;
}
double upper_end(const Chart::Series& s, size_t i) { return s.y[i] + (s.error.empty() ? 0 : s.error[i]); }

Axis x_axis(const Chart& chart) {
  Range range;
  for (const Chart::Series& s : chart.series)
    for (const double x : s.x) range.add(x);
  return {range.low, range.high, chart.log_x};
}

Axis y_axis(const Chart& chart) {
  Range range;
  for (const Chart::Series& s : chart.series)
    for (size_t i = 0; i < s.y.size(); ++i) {
      range.add(lower_end(chart, s, i));
      range.add(upper_end(s, i));
    }
  return {range.low, range.high, chart.log_y};
}

struct Box {
  double left, top, right, bottom;

  bool meets(const Box& other) const {
    return left < other.right && other.left < right && top < other.bottom && other.top < bottom;
  }
  bool holds(const Box& other) const {
    return left <= other.left && other.right <= right && top <= other.top && other.bottom <= bottom;
  }
  bool crossed_by(Point a, Point b) const;
};

// What is left of the line within each side (Liang & Barsky 1984).
bool Box::crossed_by(Point a, Point b) const {
  double begin = 0, end = 1;
  const auto within = [&](double from, double to, double low, double high) {
    if (from == to) return low < from && from < high;
    const double enter = ((from < to ? low : high) - from) / (to - from),
                 leave = ((from < to ? high : low) - from) / (to - from);
    begin = std::max(begin, enter);
    end = std::min(end, leave);
    return begin < end;
  };
  return within(a.x, b.x, left, right) && within(a.y, b.y, top, bottom);
}

// Where everything lies. Texts are measured on a canvas of the same fonts.
class Page {
 public:
  Page(Canvas& measure, const Chart& chart);

  double height() const { return height_; }
  void draw(Canvas& canvas) const;

 private:
  struct Entry {  // of the legend
    size_t series;
    Point at;  // where its line begins, at the height of the baseline
  };

  double place_legend(Canvas& measure, double top);
  Point at(double x, double y) const;
  Point point(const Chart::Series& s, size_t i) const { return at(s.x[i], s.y[i]); }
  void draw_axes(Canvas& canvas) const;
  void draw_errors(Canvas& canvas, const Chart::Series& s, const Style& style) const;
  void draw_series(Canvas& canvas, const Chart::Series& s, const Style& style) const;
  void draw_legend(Canvas& canvas) const;
  void draw_labels(Canvas& canvas) const;

  const Chart& chart_;
  Axis x_, y_;
  std::vector<Tick> x_ticks_, y_ticks_;
  std::vector<Entry> legend_;
  Box plot_;
  double height_;
};

double widest(Canvas& measure, const std::vector<Tick>& ticks) {
  double width = 0;
  for (const Tick& tick : ticks) width = std::max(width, measure.width(tick.label, kText));
  return width;
}

Page::Page(Canvas& measure, const Chart& chart) : chart_(chart), x_(x_axis(chart)), y_(y_axis(chart)) {
  y_ticks_ = y_.ticks(7);
  plot_.left = kMargin + widest(measure, y_ticks_) + kGap;
  if (!chart.y_label.empty()) plot_.left += kText.size + kGap;
  plot_.right = kWidth - kMargin;
  // As many numbers as lie beside each other with room between them.
  for (int count = 10; count > 0; --count) {
    x_ticks_ = x_.ticks(count);
    if (count * (widest(measure, x_ticks_) + 3 * kGap) <= plot_.right - plot_.left) break;
  }
  plot_.top = place_legend(measure, chart.title.empty() ? kMargin : kMargin + kTitle.size + kGap);
  plot_.bottom = plot_.top + kPlotHeight;
  height_ = plot_.bottom + kGap + kText.size + kMargin;
  if (!chart.x_label.empty()) height_ += kText.size + kGap;
  height_ = std::ceil(height_);
}

// Above the plot, where no point can be: in one row, or in as many columns as fit. Returns where it ends.
double Page::place_legend(Canvas& measure, double top) {
  constexpr double kApart = 2 * kGap;
  const double width = plot_.right - plot_.left;
  const auto length = [&](const std::string& name) {
    return kSample + kGap + measure.width(name, kText) + kApart;
  };
  double all = 0, longest = 0;
  for (const Chart::Series& s : chart_.series) {
    if (s.name.empty()) continue;
    all += length(s.name);
    longest = std::max(longest, length(s.name));
  }
  const bool one_row = all - kApart <= width;
  const double columns = std::max(1.0, std::floor((width + kApart) / longest));
  double x = plot_.left;
  for (size_t i = 0; i < chart_.series.size(); ++i) {
    const std::string& name = chart_.series[i].name;
    if (name.empty()) continue;
    if (!one_row && x > plot_.left + (columns - 0.5) * longest) x = plot_.left;
    if (x == plot_.left) top += kText.size + (legend_.empty() ? 0 : 0.5 * kGap);
    legend_.push_back({i, {x, top}});
    x += one_row ? length(name) : longest;
  }
  return top + (legend_.empty() ? 0 : 1.5 * kGap);
}

Point Page::at(double x, double y) const {
  return {plot_.left + x_.place(x) * (plot_.right - plot_.left),
          plot_.bottom - y_.place(y) * (plot_.bottom - plot_.top)};
}

void Page::draw(Canvas& canvas) const {
  canvas.fill(kWhite);
  canvas.text(chart_.title, {plot_.left, kMargin + kTitle.size - 2}, kTitle, Align::start,
              plot_.right - plot_.left);
  draw_axes(canvas);
  draw_legend(canvas);
  for (const auto draw : {&Page::draw_errors, &Page::draw_series})
    for (size_t i = 0; i < chart_.series.size(); ++i)
      (this->*draw)(canvas, chart_.series[i], Style(chart_.series[i], i));
  draw_labels(canvas);
}

void Page::draw_axes(Canvas& canvas) const {
  std::vector<std::vector<Point>> grid, fine_grid;
  for (const Tick& tick : x_ticks_) {
    const double x = plot_.left + x_.place(tick.value) * (plot_.right - plot_.left);
    (tick.label.empty() ? fine_grid : grid).push_back({{x, plot_.top}, {x, plot_.bottom}});
    canvas.text(tick.label, {x, plot_.bottom + kGap + kText.size - 2}, kText, Align::middle, kWidth);
  }
  for (const Tick& tick : y_ticks_) {
    const double y = plot_.bottom - y_.place(tick.value) * (plot_.bottom - plot_.top);
    (tick.label.empty() ? fine_grid : grid).push_back({{plot_.left, y}, {plot_.right, y}});
    canvas.text(tick.label, {plot_.left - kGap, y + kHalfDigit * kText.size}, kText, Align::end, kWidth);
  }
  canvas.lines(fine_grid, {.color = kFineGrid});
  canvas.lines(grid, {.color = kGrid});
  canvas.lines({{{plot_.left, plot_.top}, {plot_.left, plot_.bottom}, {plot_.right, plot_.bottom}}},
               {.color = kAxis});
  canvas.text(chart_.x_label, {0.5 * (plot_.left + plot_.right), height_ - kMargin}, kText, Align::middle,
              plot_.right - plot_.left);
  canvas.text(chart_.y_label, {kMargin + kText.size - 3, 0.5 * (plot_.top + plot_.bottom)}, kText,
              Align::middle, kPlotHeight, true);
}

void Page::draw_legend(Canvas& canvas) const {
  for (const Entry& entry : legend_) {
    const Chart::Series& s = chart_.series[entry.series];
    const Style style(s, entry.series);
    const double y = entry.at.y - kHalfDigit * kText.size, text = entry.at.x + kSample + kGap;
    if (s.line)
      canvas.lines({{{entry.at.x, y}, {entry.at.x + kSample, y}}},
                   {.color = style.color, .width = 2, .dash = style.dash});
    if (s.dots) canvas.mark(style.mark, {entry.at.x + 0.5 * kSample, y}, style.color);
    canvas.text(s.name, {text, entry.at.y}, kText, Align::start, plot_.right - text);
  }
}

void Page::draw_errors(Canvas& canvas, const Chart::Series& s, const Style& style) const {
  std::vector<Point> low, high;
  for (size_t i = 0; i < s.error.size(); ++i) {
    low.push_back(at(s.x[i], lower_end(chart_, s, i)));
    high.push_back(at(s.x[i], upper_end(s, i)));
  }
  if (s.line && !s.dots) {
    low.insert(low.end(), high.rbegin(), high.rend());
    return canvas.area(low, style.color);
  }
  std::vector<std::vector<Point>> bars;
  for (size_t i = 0; i < low.size(); ++i) {
    bars.push_back({low[i], high[i]});
    for (const Point& end : {low[i], high[i]}) bars.push_back({{end.x - kCap, end.y}, {end.x + kCap, end.y}});
  }
  canvas.lines(bars, {.color = style.color, .width = 1.1});
}

void Page::draw_series(Canvas& canvas, const Chart::Series& s, const Style& style) const {
  std::vector<Point> points;
  for (size_t i = 0; i < s.x.size(); ++i) points.push_back(point(s, i));
  if (s.line) canvas.lines({points}, {.color = style.color, .width = 2, .dash = style.dash});
  if (s.dots)
    for (const Point& p : points) canvas.mark(style.mark, p, style.color);
}

// Each label takes, of eight places around its point, near or a little farther, the one that hides least.
void Page::draw_labels(Canvas& canvas) const {
  constexpr double kDistance = 7, kMark = 4;
  std::vector<Box> marks, labels;
  std::vector<std::pair<Point, Point>> strokes;
  for (const Chart::Series& s : chart_.series)
    for (size_t i = 0; i < s.x.size(); ++i) {
      const Point p = point(s, i);
      marks.push_back({p.x - kMark, p.y - kMark, p.x + kMark, p.y + kMark});
      if (s.line && i > 0) strokes.push_back({point(s, i - 1), p});
      if (!s.error.empty())
        strokes.push_back({at(s.x[i], lower_end(chart_, s, i)), at(s.x[i], upper_end(s, i))});
    }
  const auto hides = [&](const Box& box) {
    const auto met = [&](const Box& other) { return box.meets(other); };
    const auto crossed = [&](const auto& stroke) { return box.crossed_by(stroke.first, stroke.second); };
    return (plot_.holds(box) ? 0 : 1000) + 100 * std::ranges::count_if(labels, met) +
           20 * std::ranges::count_if(marks, met) + 3 * std::ranges::count_if(strokes, crossed);
  };
  for (const Chart::Series& s : chart_.series)
    for (size_t i = 0; i < s.labels.size(); ++i) {
      if (s.labels[i].empty()) continue;
      const double width = canvas.width(s.labels[i], kText), height = kText.size;
      const Point p = point(s, i);
      Box best = {};
      auto least = std::numeric_limits<long>::max();
      for (const int farther : {0, 1})
        for (const auto& [right, down] :
             {Point{1, -1}, {1, 0}, {1, 1}, {0, -1}, {0, 1}, {-1, -1}, {-1, 0}, {-1, 1}}) {
          // Beside the point, or above and below it; diagonally both distances are shorter.
          const double distance = kDistance * (right != 0 && down != 0 ? 0.6 : 1) + farther * height;
          const double x = p.x + right * (distance + 0.5 * width), y = p.y + down * (distance + 0.5 * height);
          const Box box = {x - 0.5 * width, y - 0.5 * height, x + 0.5 * width, y + 0.5 * height};
          const long hidden = hides(box) + 15 * farther;
          if (hidden < least) {
            least = hidden;
            best = box;
          }
        }
      labels.push_back(best);
      canvas.text(s.labels[i], {best.left, best.bottom - 0.14 * height}, kText, Align::start, kWidth);
    }
}

void check_drawn(cairo_status_t status) {
  check(status == CAIRO_STATUS_SUCCESS, ErrorKind::device,
        "the chart cannot be drawn: ", cairo_status_to_string(status));
}

std::vector<std::byte> svg_of(const Page& page) {
  std::vector<std::byte> text;
  const auto append = [](void* to, const unsigned char* bytes, unsigned count) {
    try {
      const auto part = std::as_bytes(std::span(bytes, count));
      auto& all = *static_cast<std::vector<std::byte>*>(to);
      all.insert(all.end(), part.begin(), part.end());
      return CAIRO_STATUS_SUCCESS;
    } catch (const std::bad_alloc&) {
      return CAIRO_STATUS_NO_MEMORY;
    }
  };
  cairo_surface_t* surface = cairo_svg_surface_create_for_stream(append, &text, kWidth, page.height());
  cairo_svg_surface_set_document_unit(surface, CAIRO_SVG_UNIT_PX);
  Canvas canvas(surface);
  page.draw(canvas);
  check_drawn(canvas.status());
  cairo_surface_finish(surface);
  check_drawn(cairo_surface_status(surface));
  return text;
}

Image pixels_of(const Page& page) {
  Image image{.width = kPngScale * static_cast<int>(kWidth),
              .height = kPngScale * static_cast<int>(page.height()),
              .channels = 3,
              .pixels = {}};
  cairo_surface_t* surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, image.width, image.height);
  Canvas canvas(surface, kPngScale);
  page.draw(canvas);
  check_drawn(canvas.status());
  cairo_surface_flush(surface);
  const unsigned char* row = cairo_image_surface_get_data(surface);
  for (int y = 0; y < image.height; ++y, row += cairo_image_surface_get_stride(surface))
    for (int x = 0; x < image.width; ++x) {
      uint32_t pixel;  // 00RRGGBB
      std::memcpy(&pixel, row + 4 * x, sizeof pixel);
      for (const int shift : {16, 8, 0}) image.pixels.push_back(static_cast<uint8_t>(pixel >> shift));
    }
  return image;
}

}  // namespace

std::vector<std::byte> encode_chart(const std::string& path, const Chart& chart) {
  const bool svg = path.ends_with(".svg");
  check(svg || path.ends_with(".png"), ErrorKind::usage, "the chart's name is \"", printable(path),
        "\", expected one that ends in .svg or .png");
  check_chart(chart);
  Canvas measure(cairo_image_surface_create(CAIRO_FORMAT_A8, 1, 1));
  const Page page(measure, chart);
  if (svg) return svg_of(page);
  return encode_png(pixels_of(page), {{"Title", chart.title}, {"Software", concat("tstitch ", kVersion)}});
}

void write_chart(const std::string& path, const Chart& chart) { write_file(path, encode_chart(path, chart)); }

}  // namespace tstitch
