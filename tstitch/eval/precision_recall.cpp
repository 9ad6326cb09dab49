#include "tstitch/eval/precision_recall.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tstitch/base/error.h"
#include "tstitch/ops/ops.h"

namespace tstitch {
namespace {

constexpr int64_t kRows = 1024, kColumns = 2048;  // of a block of distances: 8 MB

// Rows about a common origin: what norms have in common, products need not cancel.
class Points {
 public:
  Points(const Tensor& x, const std::vector<float>& origin)
      : original_(&x), moved_(x.shape(), DType::f32), norms_(static_cast<size_t>(x.extent(0))) {
    const int64_t D = x.columns();
    for (int64_t i = 0; i < x.extent(0); ++i) {
      double norm = 0;
      for (int64_t j = 0; j < D; ++j) {
        const float value = row(i)[j] - origin[static_cast<size_t>(j)];
        check(std::isfinite(value), ErrorKind::input, "feature ", j, " of image ", i, " is not finite");
        moved_.data<float>()[i * D + j] = value;
        norm += double{value} * value;
      }
      norms_[static_cast<size_t>(i)] = norm;
    }
  }

  int64_t count() const { return moved_.extent(0); }
  int64_t width() const { return moved_.columns(); }
  const float* row(int64_t i) const { return original_->data<float>() + i * original_->row_stride(); }
  Tensor moved(int64_t begin, int64_t end) const { return moved_.slice(begin, end); }
  double norm(int64_t i) const { return norms_[static_cast<size_t>(i)]; }

 private:
  const Tensor* original_;
  Tensor moved_;
  std::vector<double> norms_;  // squared
};

std::vector<float> mean_of(const Tensor& x) {
  std::vector<double> sums(static_cast<size_t>(x.columns()));
  for (int64_t i = 0; i < x.extent(0); ++i)
    for (int64_t j = 0; j < x.columns(); ++j)
      sums[static_cast<size_t>(j)] += x.data<float>()[i * x.row_stride() + j];
  std::vector<float> mean;
  for (const double sum : sums) mean.push_back(static_cast<float>(sum / static_cast<double>(x.extent(0))));
  return mean;
}

double squared_distance(const float* a, const float* b, int64_t D) {
  constexpr int64_t kSums = 8;  // side by side, for vector registers
  double sums[kSums] = {};
  int64_t j = 0;
  for (; j + kSums <= D; j += kSums)
    for (int64_t s = 0; s < kSums; ++s) {
      const double difference = double{a[j + s]} - b[j + s];
      sums[s] += difference * difference;
    }
  double sum = 0;
  for (; j < D; ++j) sum += (double{a[j]} - b[j]) * (double{a[j]} - b[j]);
  for (const double partial : sums) sum += partial;
  return sum;
}

// Calls within(i, j, distance) for pairs of rows of a and b, the squared distance exact, and leaves out pairs
// that are certainly farther apart than limit(i, j). Rows i in order of blocks, each with all j of a block.
template <class Limit, class Within>
void for_close_pairs(Backend& backend, const Points& a, const Points& b, const Limit& limit,
                     const Within& within) {
  const int64_t D = a.width();
  // |fl(a.b) - a.b| <= gamma |a| |b| for sums of D terms in any order (Higham, Accuracy and Stability of
  // Numerical Algorithms, 3.1), and 2 |a| |b| <= |a|^2 + |b|^2. Moving the origin rounds each coordinate once
  // more: a few terms.
  const double unit = static_cast<double>(D + 16) * 0x1p-24, gamma = unit / (1 - unit);
  for (int64_t column = 0; column < b.count(); column += kColumns) {
    const int64_t columns = std::min(kColumns, b.count() - column);
    const auto packed = backend.pack_linear(b.moved(column, column + columns), Tensor());
    for (int64_t row = 0; row < a.count(); row += kRows) {
      const int64_t rows = std::min(kRows, a.count() - row);
      const Tensor products = backend.download(
          linear(backend, backend.upload(a.moved(row, row + rows)), *packed, Activation::none, DType::f32));
      for (int64_t i = row; i < row + rows; ++i) {
        const float* product = products.data<float>() + (i - row) * products.row_stride();
        for (int64_t j = column; j < column + columns; ++j) {
          const double least = (a.norm(i) + b.norm(j)) * (1 - gamma) - 2 * double{product[j - column]};
          if (least <= limit(i, j)) within(i, j, squared_distance(a.row(i), b.row(j), D));
        }
      }
    }
  }
}

std::vector<double> neighbour_distances(Backend& backend, const Points& x, int64_t k) {
  const auto places = static_cast<size_t>(k);
  std::vector<double> nearest(static_cast<size_t>(x.count()) * places,
                              std::numeric_limits<double>::infinity());
  const auto farthest = [&](int64_t i) -> double& {
    return nearest[(static_cast<size_t>(i) + 1) * places - 1];
  };
  for_close_pairs(
      backend, x, x,
      [&](int64_t i, int64_t j) { return i == j ? -std::numeric_limits<double>::infinity() : farthest(i); },
      [&](int64_t i, int64_t, double distance) {
        if (distance >= farthest(i)) return;
        double* place = &farthest(i);
        for (double* const first = place + 1 - places; place > first && place[-1] > distance; --place)
          *place = place[-1];
        *place = distance;
      });
  std::vector<double> kth;
  for (int64_t i = 0; i < x.count(); ++i) kth.push_back(farthest(i));
  return kth;
}

// How many rows of x lie in a ball around a row of `centres`.
int64_t count_inside(Backend& backend, const Points& x, const Points& centres,
                     const std::vector<double>& radii) {
  std::vector<char> inside(static_cast<size_t>(x.count()));
  for_close_pairs(
      backend, x, centres,
      [&](int64_t i, int64_t j) {
        return inside[static_cast<size_t>(i)] ? -std::numeric_limits<double>::infinity()
                                              : radii[static_cast<size_t>(j)];
      },
      [&](int64_t i, int64_t j, double distance) {
        if (distance <= radii[static_cast<size_t>(j)]) inside[static_cast<size_t>(i)] = 1;
      });
  return std::count(inside.begin(), inside.end(), 1);
}

void check_points(const Backend& backend, const Tensor& x, const char* what, int64_t k) {
  check_internal(backend.compute_dtype() == DType::f32, "neighbours on a backend that computes in ",
                 name_of(backend.compute_dtype()));
  check_internal(x.shape().rank() == 2, what, " features ", x.shape());
  check(x.extent(0) > k, ErrorKind::input, "precision and recall with k = ", k, " need more than ", k,
        " images, found ", x.extent(0), " ", what, " images");
}

}  // namespace

std::vector<double> neighbour_distances(Backend& backend, const Tensor& x, int64_t k) {
  check_points(backend, x, "sample", k);
  return neighbour_distances(backend, Points(x, mean_of(x)), k);
}

PrecisionRecall precision_recall(Backend& backend, const Tensor& reference, const Tensor& samples,
                                 int64_t k) {
  check_points(backend, reference, "reference", k);
  check_points(backend, samples, "sample", k);
  check_internal(reference.columns() == samples.columns(), "features of widths ", reference.columns(),
                 " and ", samples.columns());
  const std::vector<float> origin = mean_of(reference);
  const Points real(reference, origin), made(samples, origin);
  return {.precise = count_inside(backend, made, real, neighbour_distances(backend, real, k)),
          .samples = made.count(),
          .recalled = count_inside(backend, real, made, neighbour_distances(backend, made, k)),
          .references = real.count()};
}

}  // namespace tstitch
