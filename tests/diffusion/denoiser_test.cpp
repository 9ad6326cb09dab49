#include "tstitch/diffusion/denoiser.h"

#include <gtest/gtest.h>

#include <utility>

#include "tests/diffusion/unbound_network.h"
#include "tests/support/expect_error.h"
#include "tstitch/diffusion/guidance.h"

namespace tstitch {
namespace {

using testing::backend;
using testing::denoiser_of;
using testing::expect_error;
using testing::scramble;
using testing::tensor_of;
using testing::values_of;

constexpr NoiseLevel kLevel = {.t = 417, .alpha = 0.6, .sigma = 0.8};

// Output column j of image n, row r: f(n, j, t) x[j mod C]. Enough to see which image and column came from
// where.
class ColumnNetwork final : public testing::UnboundNetwork {
 public:
  explicit ColumnNetwork(int64_t columns) : columns_(columns) {}

  static double factor(int64_t n, int64_t j, double t) {
    return 0.5 + 0.25 * static_cast<double>(n) + 0.125 * static_cast<double>(j) + t / 1000;
  }
  // What was told with the last rows, the same with each.
  mutable std::vector<double> ahead;
  mutable std::vector<EvaluationContext> contexts;

 private:
  Tensor answer(const Tensor& x, std::span<const Row> rows) const override {
    contexts.clear();
    for (const Row& row : rows) {
      ahead.assign(row.ahead.begin(), row.ahead.end());
      contexts.push_back(row.context);
    }
    const int64_t rows_per_image = x.rows() / x.extent(0);
    return tensor_of(x.shape().with(-1, columns_), [&](int64_t i) {
      const int64_t row = i / columns_, j = i % columns_;
      return factor(row / rows_per_image, j, rows[0].t) *
             x.data<float>()[row * x.columns() + j % x.columns()];
    });
  }

  int64_t columns_;
};

Tensor some_x(int64_t n, int64_t channels) {
  return tensor_of({n, 2, 2, channels}, [](int64_t i) { return scramble(i, 1); });
}

TEST(NetworkDenoiser, GivesEpsAndX0) {
  const ColumnNetwork network(4);
  const NetworkDenoiser denoiser = denoiser_of(network, 2);
  const Tensor x = some_x(2, 4);
  const Prediction at = denoiser.predict(x, kLevel);
  EXPECT_FALSE(at.variance);
  const std::vector<float> eps = values_of(at.eps), x0 = values_of(at.x0), x_values = values_of(x);
  for (size_t i = 0; i < eps.size(); ++i) {
    const double expected = ColumnNetwork::factor(i / 16, i % 4, 417) * x_values[i];
    EXPECT_FLOAT_EQ(eps[i], static_cast<float>(expected));
    EXPECT_NEAR(x0[i], (x_values[i] - 0.8 * expected) / 0.6, 2e-6);
    EXPECT_NEAR(0.6 * x0[i] + 0.8 * eps[i], x_values[i], 2e-6);
  }
}

// One state of knowledge, four ways to say it.
TEST(NetworkDenoiser, EveryParameterizationMeansTheSame) {
  struct Saying final : testing::UnboundNetwork {
    explicit Saying(Tensor what) : said(std::move(what)) {}
    Tensor answer(const Tensor&, std::span<const Row>) const override { return said; }
    Tensor said;
  };
  const Tensor x0 = tensor_of({2, 2, 2, 3}, [](int64_t i) { return scramble(i, 1); });
  const Tensor eps = tensor_of({2, 2, 2, 3}, [](int64_t i) { return scramble(i, 2); });
  const auto mix = [&](double a, double b) {
    return tensor_of(x0.shape(),
                     [&](int64_t i) { return a * x0.data<float>()[i] + b * eps.data<float>()[i]; });
  };
  constexpr NoiseLevel kFlow = {.t = 800, .alpha = 0.2, .sigma = 0.8};
  constexpr NoiseLevel kPureNoise = {.t = 1000, .alpha = 0, .sigma = 1};
  const auto check_means = [&](Parameterization kind, const Tensor& said, const NoiseLevel& level) {
    const Saying network(said);
    const NetworkDenoiser denoiser = denoiser_of(network, 2, kind);
    const Prediction at = denoiser.predict(mix(level.alpha, level.sigma), level);
    for (int64_t i = 0; i < x0.elements(); ++i) {
      EXPECT_NEAR(values_of(at.x0)[i], x0.data<float>()[i], 2e-6);
      EXPECT_NEAR(values_of(at.eps)[i], eps.data<float>()[i], 2e-6);
    }
  };
  check_means(Parameterization::eps, eps, kLevel);
  check_means(Parameterization::eps, eps, kFlow);
  check_means(Parameterization::v, mix(-kLevel.sigma, kLevel.alpha), kLevel);
  check_means(Parameterization::x0, x0, kLevel);
  check_means(Parameterization::x0, x0, kPureNoise);
  check_means(Parameterization::flow, mix(-1, 1), kFlow);
  check_means(Parameterization::flow, mix(-1, 1), kPureNoise);
}

TEST(NetworkDenoiser, TwiceTheChannelsAreEpsThenV) {
  const ColumnNetwork network(8), plain(4);
  const NetworkDenoiser denoiser = denoiser_of(network, 2);
  const Tensor x = some_x(2, 4);
  const Prediction at = denoiser.predict(x, kLevel);
  EXPECT_EQ(at.eps.shape(), x.shape());
  ASSERT_EQ(at.variance.shape(), x.shape());
  const std::vector<float> eps = values_of(at.eps), v = values_of(at.variance), x_values = values_of(x);
  for (size_t i = 0; i < eps.size(); ++i) {
    EXPECT_FLOAT_EQ(eps[i], static_cast<float>(ColumnNetwork::factor(i / 16, i % 4, 417) * x_values[i]));
    EXPECT_FLOAT_EQ(v[i], static_cast<float>(ColumnNetwork::factor(i / 16, 4 + i % 4, 417) * x_values[i]));
  }
  EXPECT_EQ(values_of(at.x0), values_of(denoiser_of(plain, 2).predict(x, kLevel).x0));
}

TEST(NetworkDenoiser, RefusesOtherChannels) {
  const ColumnNetwork network(6);
  const NetworkDenoiser denoiser = denoiser_of(network, 2);
  expect_error(ErrorKind::internal, "returned [2, 2, 2, 6] for x [2, 2, 2, 4]",
               [&] { denoiser.predict(some_x(2, 4), kLevel); });
}

constexpr NoiseLevel kAhead[] = {{999, 0.1, 0.9}, {500, 0.5, 0.8}, {500, 0.5, 0.8}, {1, 0.9, 0.1}};

TEST(NetworkDenoiser, TellsWhatLiesAhead) {
  const ColumnNetwork network(4);
  NetworkDenoiser denoiser = denoiser_of(network, 2);
  const Tensor x = some_x(2, 4);
  denoiser.prepare(kAhead);
  denoiser.predict(x, kAhead[0]);
  EXPECT_EQ(network.ahead, (std::vector<double>{999, 500, 500, 1}));
  denoiser.predict(x, kAhead[1]);
  EXPECT_EQ(network.ahead, (std::vector<double>{500, 500, 1}));
  denoiser.predict(x, kAhead[2]);
  EXPECT_EQ(network.ahead, (std::vector<double>{500, 1}));
  denoiser.predict(x, kLevel);  // announced by nobody
  EXPECT_TRUE(network.ahead.empty());
  denoiser.predict(x, kAhead[3]);
  EXPECT_EQ(network.ahead, (std::vector<double>{1}));
}

// Whoever asks counts, so that the rows of a picture agree.
TEST(NetworkDenoiser, RowsKeepTheirContext) {
  const ColumnNetwork network(4);
  DirectEvaluator evaluator;
  BoundRows rows = testing::unbound_rows(2);
  rows[1]->seed = 7, rows[1]->image = 3;
  const Tensor x = some_x(2, 4);
  NetworkDenoiser(backend(), evaluator, network, rows).predict(x, kLevel);
  EXPECT_EQ(network.contexts[1].seed, 7u);
  EXPECT_EQ(network.contexts[1].image, 3);
  EXPECT_EQ(network.contexts[1].evaluation, 0);
  EXPECT_EQ(network.contexts[1].kept, &rows[1]->kept);
  rows[1]->evaluations = 3;
  NetworkDenoiser(backend(), evaluator, network, {rows[1]}).predict(x.slice(1, 2), kLevel);
  EXPECT_EQ(network.contexts[0].evaluation, 3);
  EXPECT_EQ(rows[0]->evaluations, 0);
}

std::unique_ptr<GuidedDenoiser> guided(const Network& network, double scale, int64_t channels,
                                       int64_t images) {
  return std::make_unique<GuidedDenoiser>(
      backend(), std::make_unique<NetworkDenoiser>(denoiser_of(network, 2 * images)), scale, channels);
}

// Images 0, 1 of the network's batch are conditional, 2 and 3 the same x without condition.
TEST(GuidedDenoiser, GuidesTheFirstChannelsOnly) {
  const Tensor x = some_x(2, 4);
  const std::vector<float> x_values = values_of(x);
  const ColumnNetwork network(8);
  for (const int64_t channels : {3, 4, 0}) {
    const Prediction at = guided(network, 4.0, channels, 2)->predict(x, kLevel);
    ASSERT_EQ(at.eps.shape(), x.shape());
    ASSERT_EQ(at.x0.shape(), x.shape());
    ASSERT_EQ(at.variance.shape(), x.shape());
    const std::vector<float> eps = values_of(at.eps), x0 = values_of(at.x0), v = values_of(at.variance);
    for (int64_t i = 0; i < x.elements(); ++i) {
      const int64_t n = i / 16, j = i % 4;
      const double cond = ColumnNetwork::factor(n, j, 417) * x_values[i];
      const double uncond = ColumnNetwork::factor(n + 2, j, 417) * x_values[i];
      const double expected = j < channels ? uncond + 4 * (cond - uncond) : cond;
      EXPECT_NEAR(eps[i], expected, 2e-6);
      EXPECT_NEAR(x0[i], (x_values[i] - 0.8 * expected) / 0.6, 5e-6);
      EXPECT_FLOAT_EQ(v[i], static_cast<float>(ColumnNetwork::factor(n, 4 + j, 417) * x_values[i]));
    }
  }
}

TEST(GuidedDenoiser, ScaleOneIsConditional) {
  const Tensor x = some_x(3, 4);
  const ColumnNetwork network(8);
  const Prediction at = guided(network, 1.0, 4, 3)->predict(x, kLevel);
  const Prediction cond = denoiser_of(network, 3).predict(x, kLevel);
  const std::vector<float> eps = values_of(at.eps), eps_cond = values_of(cond.eps);
  for (size_t i = 0; i < eps.size(); ++i) EXPECT_NEAR(eps[i], eps_cond[i], 1e-6);  // u + (c - u) rounds twice
  EXPECT_EQ(values_of(at.variance), values_of(cond.variance));
}

TEST(GuidedDenoiser, WithoutLearnedVarianceHasNone) {
  const ColumnNetwork network(4);
  EXPECT_FALSE(guided(network, 2, 4, 2)->predict(some_x(2, 4), kLevel).variance);
}

TEST(GuidedDenoiser, PassesOnWhatIsAhead) {
  const ColumnNetwork network(8);
  const auto denoiser = guided(network, 4.0, 3, 1);
  denoiser->prepare(kAhead);
  denoiser->predict(some_x(1, 4), kAhead[0]);
  EXPECT_EQ(network.ahead, (std::vector<double>{999, 500, 500, 1}));
}

}  // namespace
}  // namespace tstitch
