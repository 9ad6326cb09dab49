#include "tstitch/draw/axis.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace tstitch {
namespace {

constexpr double kPadding = 0.05;           // of the range, at each end
constexpr double kNoRange = 1e-9;           // relative to the values: less is a single value
constexpr int kPlainExponents[] = {-4, 5};  // powers of ten written as digits

const std::string kMinus = "\u2212";

std::string with_minus(const char* text) { return text[0] == '-' ? kMinus + (text + 1) : text; }

std::string fixed(double value, int decimals) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return with_minus(text);
}

std::string power_of_ten(int exponent) {
  static constexpr std::array<std::string_view, 10> kDigits = {
      "\u2070", "\u00b9", "\u00b2", "\u00b3", "\u2074", "\u2075", "\u2076", "\u2077", "\u2078", "\u2079"};
  std::string text = "10";
  if (exponent < 0) text += "\u207b";
  for (const char digit : std::to_string(std::abs(exponent)))
    text += kDigits[static_cast<size_t>(digit - '0')];
  return text;
}

// With this many decimals before the power of ten.
std::string scientific(double value, int decimals) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*e", decimals, value);
  const std::string_view whole = text;
  const size_t e = whole.find('e');
  const std::string mantissa = with_minus(std::string(whole.substr(0, e)).c_str());
  const std::string power = power_of_ten(std::atoi(text + e + 1));
  return mantissa == "1" ? power : mantissa + "\u00b7" + power;
}

int exponent_of(double value) { return static_cast<int>(std::floor(std::log10(value) + 1e-9)); }

// Values that are multiples of `step` and as large as `largest`.
std::string label_of(double value, double step, double largest) {
  if (value == 0) return "0";
  const int finest = exponent_of(step);
  if (exponent_of(largest) > kPlainExponents[1] || finest < kPlainExponents[0])
    return scientific(value, std::clamp(exponent_of(std::abs(value)) - finest, 0, 15));
  return fixed(value, std::max(0, -finest));
}

}  // namespace

Axis::Axis(double low, double high, bool logarithmic)
    : logarithmic_(logarithmic),
      low_(logarithmic ? std::log10(low) : low),
      high_(logarithmic ? std::log10(high) : high) {
  const double largest = std::max(std::abs(low_), std::abs(high_));
  if (high_ - low_ <= std::max(kNoRange * largest, kSmallest)) {
    const double half = logarithmic ? 0.5 : largest > 0 ? 0.1 * largest : 1;
    low_ -= half;
    high_ += half;
  }
  const double padding = kPadding * (high_ - low_);
  low_ -= padding;
  high_ += padding;
}

double Axis::place(double value) const {
  return ((logarithmic_ ? std::log10(value) : value) - low_) / (high_ - low_);
}

std::vector<Tick> Axis::ticks(int count) const {
  if (!logarithmic_) return even_ticks(low_, high_, count);
  // Within less than a decade, even steps say more than its few round numbers.
  if (high_ - low_ < 0.9) return even_ticks(std::pow(10, low_), std::pow(10, high_), count);
  return decade_ticks(count);
}

std::vector<Tick> Axis::even_ticks(double low, double high, int count) const {
  const double least = (high - low) / count, power = std::pow(10, std::floor(std::log10(least)));
  double step = 10 * power;
  for (const double multiple : {5.0, 2.0, 1.0})
    if (multiple * power >= least) step = multiple * power;
  const double largest = std::max(std::abs(low), std::abs(high));
  std::vector<Tick> ticks;
  for (double i = std::ceil(low / step); i <= std::floor(high / step); ++i)
    ticks.push_back({i * step, label_of(i * step, step, largest)});
  return ticks;
}

std::vector<Tick> Axis::decade_ticks(int count) const {
  const double decades = high_ - low_;
  const int stride = static_cast<int>(std::ceil(decades / count));
  const bool between = 3 * decades <= count;  // room for 2 and 5
  const bool fine = stride == 1;
  const bool plain = low_ > kPlainExponents[0] && high_ < kPlainExponents[1] + 1;
  std::vector<Tick> ticks;
  for (int exponent = static_cast<int>(std::floor(low_)); exponent <= high_; ++exponent)
    for (int multiple = 1; multiple <= (fine ? 9 : 1); ++multiple) {
      const double value = multiple * std::pow(10, exponent);
      if (std::log10(value) < low_ || std::log10(value) > high_) continue;
      const bool labelled =
          multiple == 1 ? exponent % stride == 0 : between && (multiple == 2 || multiple == 5);
      ticks.push_back({value, !labelled ? ""
                              : plain   ? fixed(value, std::max(0, -exponent))
                                        : scientific(value, 0)});
    }
  return ticks;
}

}  // namespace tstitch
