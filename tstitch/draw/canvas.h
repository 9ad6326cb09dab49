// What charts are drawn with: lines, marks and texts on a page, by cairo. Lengths are pixels from the top
// left.
#pragma once

#include <cairo.h>

#include <string>
#include <vector>

namespace tstitch {

struct Color {
  double red, green, blue;  // 0 ... 1
};

struct Point {
  double x, y;
};

enum class Align { start, middle, end };

struct Font {
  double size;
  Color color = {0.15, 0.15, 0.15};
  bool bold = false;
};

struct Pen {
  Color color;
  double width = 1;
  double dash = 0;  // length of dashes and gaps; 0: none
};

inline constexpr int kMarks = 4;  // shapes

class Canvas {
 public:
  // Draws on the surface, which it takes, as if it had `scale` times fewer pixels.
  explicit Canvas(cairo_surface_t* surface, double scale = 1);
  ~Canvas();
  Canvas(const Canvas&) = delete;
  Canvas& operator=(const Canvas&) = delete;

  void fill(Color color);  // everything
  void lines(const std::vector<std::vector<Point>>& lines, const Pen& pen);
  void area(const std::vector<Point>& corners, Color color);  // through which everything else is seen
  void mark(int shape, Point center, Color color);  // with a white edge, so that marks on marks are seen
  // The text's baseline begins, is centred or ends at the point. Written smaller where it would be longer
  // than `limit`. Text written upwards runs from below the point to above it.
  void text(const std::string& text, Point at, const Font& font, Align align, double limit,
            bool upwards = false);
  double width(const std::string& text, const Font& font);

  cairo_status_t status() const { return cairo_status(context_); }  // of everything so far

 private:
  void set(Color color);
  void set(const Font& font);

  cairo_t* context_;
};

}  // namespace tstitch
