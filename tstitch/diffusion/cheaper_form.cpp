#include "tstitch/diffusion/cheaper_form.h"

#include <algorithm>
#include <cmath>
#include <complex>

#include "tstitch/base/error.h"

namespace tstitch {
namespace {

// `sample_from_quad_center` of DeepCache's code with one power: n + 1 places that are evenly apart after the
// power's root, from 0 to T around the center, cut to whole numbers towards it. Those at both ends are not
// taken: the first evaluation is whole anyway, and the last place is the stage's end. The root of what lies
// before the center is the principal one, a complex number; of its power the real part counts.
std::vector<int64_t> around(int64_t center, double power, int64_t T, int64_t n) {
  using Complex = std::complex<double>;
  const auto root = [&](int64_t place) { return std::pow(Complex(static_cast<double>(place)), 1 / power); };
  const Complex first = root(-center), step = (root(T - center) - first) / static_cast<double>(n);
  std::vector<int64_t> places;
  for (int64_t i = 0; i <= n; ++i) {
    const double place = std::pow(first + static_cast<double>(i) * step, power).real();
    // What is whole but for rounding is whole: the code leaves that to the last bit of a power.
    const double nearest = std::round(place);
    places.push_back(static_cast<int64_t>(
        std::abs(place - nearest) < 1e-9 * static_cast<double>(T + center) ? nearest : place));
  }
  std::ranges::sort(places);
  places.erase(std::unique(places.begin(), places.end()), places.end());
  std::vector<int64_t> whole = {0};
  for (size_t i = 1; i + 1 < places.size(); ++i) whole.push_back(places[i] + center);
  return whole;
}

}  // namespace

std::vector<int64_t> whole_evaluations(const BlockCache& cache, int64_t evaluations) {
  const int64_t n = (evaluations + cache.every - 1) / cache.every;
  std::vector<int64_t> whole;
  if (!cache.focus || n == 0) {
    for (int64_t i = 0; i < n; ++i) whole.push_back(i * cache.every);
    return whole;
  }
  constexpr double kLess = 0.02;  // as the code: a power that is too large for so many is lowered
  for (double power = cache.focus->power; power > 1; power -= kLess) {
    whole = around(cache.focus->center, power, evaluations, n);
    if (std::ssize(whole) == n) return whole;
  }
  fail(ErrorKind::usage, "of ", evaluations, " evaluations no ", n,
       " lie closest together around that of center=", cache.focus->center,
       ": expected another center, a larger power, or another N");
}

}  // namespace tstitch
