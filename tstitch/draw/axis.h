// One axis of a chart: where a value lies on it, and which values are marked.
#pragma once

#include <string>
#include <vector>

namespace tstitch {

struct Tick {
  double value;
  std::string label;  // UTF-8; "" for the fine ones of a logarithmic axis
};

class Axis {
 public:
  // Shows low ... high and a little more; a single value in the middle. Logarithmic ones need low > 0.
  // Magnitudes above 0 are expected within kSmallest ... kLargest.
  Axis(double low, double high, bool logarithmic);

  static constexpr double kSmallest = 1e-100, kLargest = 1e100;

  double place(double value) const;  // 0 at the low end ... 1 at the high end
  // Labelled values, about `count` of them at most: 1, 2 or 5 times a power of ten apart; on a logarithmic
  // axis powers of ten, or as much between them as there is room for.
  std::vector<Tick> ticks(int count) const;

 private:
  std::vector<Tick> even_ticks(double low, double high, int count) const;
  std::vector<Tick> decade_ticks(int count) const;

  bool logarithmic_;
  double low_, high_;  // of the values, or of their log10
};

}  // namespace tstitch
