#include "tstitch/draw/canvas.h"

#include <array>
#include <numbers>

namespace tstitch {
namespace {

constexpr double kMarkRadius = 3.6, kEdge = 0.8;

// Corners around the centre, for a radius of 1; shapes of about the same area. The first, a circle, has none.
const std::array<std::vector<Point>, kMarks> kCorners = {
    {{},
     {{-0.9, -0.9}, {0.9, -0.9}, {0.9, 0.9}, {-0.9, 0.9}},
     {{0, -1.25}, {1.1, 0.85}, {-1.1, 0.85}},
     {{0, -1.3}, {1.3, 0}, {0, 1.3}, {-1.3, 0}}}};

}  // namespace

Canvas::Canvas(cairo_surface_t* surface, double scale) : context_(cairo_create(surface)) {
  cairo_surface_destroy(surface);  // the context keeps it
  cairo_scale(context_, scale, scale);
  cairo_set_line_join(context_, CAIRO_LINE_JOIN_ROUND);
  // Letters as drawn by their designers, so that every surface and scale has the same layout.
  cairo_font_options_t* options = cairo_font_options_create();
  cairo_font_options_set_hint_style(options, CAIRO_HINT_STYLE_NONE);
  cairo_font_options_set_hint_metrics(options, CAIRO_HINT_METRICS_OFF);
  cairo_font_options_set_antialias(options, CAIRO_ANTIALIAS_GRAY);
  cairo_set_font_options(context_, options);
  cairo_font_options_destroy(options);
}

Canvas::~Canvas() { cairo_destroy(context_); }

void Canvas::fill(Color color) {
  set(color);
  cairo_paint(context_);
}

void Canvas::lines(const std::vector<std::vector<Point>>& lines, const Pen& pen) {
  for (const std::vector<Point>& points : lines) {
    cairo_new_sub_path(context_);
    for (const Point& point : points) cairo_line_to(context_, point.x, point.y);
  }
  set(pen.color);
  cairo_set_line_width(context_, pen.width);
  cairo_set_dash(context_, &pen.dash, pen.dash > 0 ? 1 : 0, 0);
  cairo_stroke(context_);
}

void Canvas::area(const std::vector<Point>& corners, Color color) {
  for (const Point& corner : corners) cairo_line_to(context_, corner.x, corner.y);
  cairo_close_path(context_);
  cairo_set_source_rgba(context_, color.red, color.green, color.blue, 0.18);
  cairo_fill(context_);
}

void Canvas::mark(int shape, Point center, Color color) {
  const std::vector<Point>& corners = kCorners[static_cast<size_t>(shape)];
  for (const Point& corner : corners)
    cairo_line_to(context_, center.x + kMarkRadius * corner.x, center.y + kMarkRadius * corner.y);
  if (corners.empty()) cairo_arc(context_, center.x, center.y, kMarkRadius, 0, 2 * std::numbers::pi);
  cairo_close_path(context_);
  set(Color{1, 1, 1});
  cairo_set_line_width(context_, 2 * kEdge);
  cairo_set_dash(context_, nullptr, 0, 0);
  cairo_stroke_preserve(context_);
  set(color);
  cairo_fill(context_);
}

void Canvas::text(const std::string& text, Point at, const Font& font, Align align, double limit,
                  bool upwards) {
  Font fitting = font;
  double length = width(text, font);
  if (length > limit) {
    fitting.size *= limit / length;
    length = limit;
  }
  set(fitting);
  cairo_save(context_);
  cairo_translate(context_, at.x, at.y);
  if (upwards) cairo_rotate(context_, -std::numbers::pi / 2);
  cairo_move_to(context_, align == Align::start ? 0 : align == Align::middle ? -length / 2 : -length, 0);
  cairo_show_text(context_, text.c_str());
  cairo_restore(context_);
  cairo_new_path(context_);
}

double Canvas::width(const std::string& text, const Font& font) {
  set(font);
  cairo_text_extents_t extents;
  cairo_text_extents(context_, text.c_str(), &extents);
  return extents.x_advance;
}

void Canvas::set(Color color) { cairo_set_source_rgb(context_, color.red, color.green, color.blue); }

void Canvas::set(const Font& font) {
  cairo_select_font_face(context_, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                         font.bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
  cairo_set_font_size(context_, font.size);
  set(font.color);
}

}  // namespace tstitch
