#include "tstitch/eval/frechet.h"

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <limits>

#include "tstitch/base/error.h"

namespace tstitch {
namespace {

using Eigen::MatrixXd;
using Eigen::VectorXd;
using ConstVector = Eigen::Map<const VectorXd>;
using ConstMatrix = Eigen::Map<const MatrixXd>;

constexpr int64_t kBlockRows = 512;

// F with covariance = F F^T, as many columns as its rank: pivoted, so that what is left of a singular matrix
// is rounding and comes last.
MatrixXd factor_of(const ConstMatrix& covariance) {
  const Eigen::LDLT<MatrixXd> ldlt(covariance);
  const VectorXd d = ldlt.vectorD();
  const double negligible =
      static_cast<double>(d.size()) * std::numeric_limits<double>::epsilon() * d.cwiseAbs().maxCoeff();
  std::vector<Eigen::Index> kept;
  for (Eigen::Index i = 0; i < d.size(); ++i)
    if (d[i] > negligible) kept.push_back(i);
  const MatrixXd lower = ldlt.matrixL();
  MatrixXd factor(d.size(), static_cast<Eigen::Index>(kept.size()));
  for (size_t i = 0; i < kept.size(); ++i)
    factor.col(static_cast<Eigen::Index>(i)) = lower.col(kept[i]) * std::sqrt(d[kept[i]]);
  return ldlt.transpositionsP().transpose() * factor;
}

}  // namespace

Moments::Moments(int64_t width)
    : mean_(static_cast<size_t>(width)), scatter_(static_cast<size_t>(width * width)) {}

void Moments::add(const Tensor& rows) {
  check_internal(rows.shape().rank() == 2 && rows.columns() == width(), "features ", rows.shape(),
                 " of width ", width());
  using Rows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  for (int64_t begin = 0; begin < rows.extent(0); begin += kBlockRows) {
    const int64_t n = std::min(kBlockRows, rows.extent(0) - begin);
    const Eigen::Map<const Rows, 0, Eigen::OuterStride<>> block(
        rows.data<float>() + begin * rows.row_stride(), n, width(), Eigen::OuterStride<>(rows.row_stride()));
    MatrixXd x = block.cast<double>();
    const VectorXd mean = x.colwise().mean();
    x.rowwise() -= mean.transpose();
    MatrixXd scatter = MatrixXd::Zero(width(), width());
    scatter.selfadjointView<Eigen::Lower>().rankUpdate(x.transpose());
    merge(n, mean.data(), scatter.data());
  }
}

void Moments::merge(const Moments& other) {
  check_internal(other.width() == width(), "moments of widths ", width(), " and ", other.width());
  merge(other.count_, other.mean_.data(), other.scatter_.data());
}

void Moments::merge(int64_t count, const double* mean, const double* scatter) {
  if (count == 0) return;
  Eigen::Map<VectorXd> our_mean(mean_.data(), width());
  Eigen::Map<MatrixXd> our_scatter(scatter_.data(), width(), width());
  const VectorXd difference = ConstVector(mean, width()) - our_mean;
  const auto n = static_cast<double>(count_), m = static_cast<double>(count);
  our_scatter += ConstMatrix(scatter, width(), width());
  our_scatter.selfadjointView<Eigen::Lower>().rankUpdate(difference, n * m / (n + m));
  our_mean += difference * (m / (n + m));
  count_ += count;
}

GaussianStatistics Moments::statistics() const {
  check(count_ >= 2, ErrorKind::input, "a covariance needs two images or more, found ", count_);
  GaussianStatistics statistics{mean_, std::vector<double>(scatter_.size())};
  Eigen::Map<MatrixXd>(statistics.covariance.data(), width(), width()) =
      MatrixXd(ConstMatrix(scatter_.data(), width(), width()).selfadjointView<Eigen::Lower>()) /
      static_cast<double>(count_ - 1);
  return statistics;
}

double frechet_distance(const GaussianStatistics& a, const GaussianStatistics& b) {
  check_internal(a.width() == b.width(), "statistics of widths ", a.width(), " and ", b.width());
  const ConstMatrix A(a.covariance.data(), a.width(), a.width()),
      B(b.covariance.data(), b.width(), b.width());
  const double means =
      (ConstVector(a.mean.data(), a.width()) - ConstVector(b.mean.data(), b.width())).squaredNorm();
  const MatrixXd L = factor_of(A);
  double root = 0;
  if (L.cols() > 0) {
    const MatrixXd product = L.transpose() * (B * L);
    const Eigen::SelfAdjointEigenSolver<MatrixXd> solver(product, Eigen::EigenvaluesOnly);
    root = solver.eigenvalues().cwiseMax(0).cwiseSqrt().sum();
  }
  return std::max(0.0, means + A.trace() + B.trace() - 2 * root);  // of a set and itself rounding is left
}

}  // namespace tstitch
