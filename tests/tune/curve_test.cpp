#include "tstitch/tune/curve.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tstitch/base/error.h"

namespace tstitch {
namespace {

CurvePoint point(const std::string& label, std::vector<int64_t> evaluations, std::vector<double> fids,
                 double slow = 1) {
  CurvePoint p{.kind = "share",
               .label = label,
               .fractions = {0.5, 0.5},
               .sampler = "ddim",
               .steps_option = "10",
               .steps = 10};
  p.evaluations = evaluations;
  for (const double fid : fids)
    p.runs.push_back({.run = label + std::to_string(fid),
                      .seed = p.runs.size(),
                      .images = 4,
                      .seconds = 9,
                      .model_seconds = {slow * 4 * 0.5 * static_cast<double>(evaluations[0]),
                                        slow * 4 * 2.0 * static_cast<double>(evaluations[1])},
                      .metrics = {{Metric::fid, fid}}});
  return p;
}

Curve curve() {
  Curve c{.models = {"small", "large"}, .cfg_scale = 1.5, .measured = "by someone"};
  c.points = {point("0", {0, 10}, {10, 12}), point("0.5", {5, 5}, {11.5, 11.5}, 7),
              point("0.7", {7, 3}, {10, 10}), point("1", {10, 0}, {30, 34})};
  return c;
}

TEST(Curve, TimesAreEvaluationsTimesMedians) {
  Curve c = curve();
  summarise(c);
  EXPECT_EQ(seconds_per_evaluation(c), (std::vector<double>{0.5, 2}));  // the slow run bends nothing
  EXPECT_DOUBLE_EQ(c.points[0].seconds_per_image, 20);
  EXPECT_DOUBLE_EQ(c.points[1].seconds_per_image, 12.5);
  EXPECT_EQ(c.points[0].mean, (MetricValues{{Metric::fid, 11}}));
  ASSERT_EQ(c.points[0].deviation.size(), 1u);
  EXPECT_NEAR(c.points[0].deviation[0].second, std::sqrt(2), 1e-12);
}

TEST(Curve, TheFrontierHoldsWhatNothingBeats) {
  Curve c = curve();
  summarise(c);
  std::vector<bool> frontier;
  for (const CurvePoint& p : c.points) frontier.push_back(p.pareto);
  // 0.7 is faster and better than 0 and 0.5; 1 is worse but the fastest.
  EXPECT_EQ(frontier, (std::vector<bool>{false, false, true, true}));
  for (CurvePoint& p : c.points)
    for (CurveRun& run : p.runs) run.metrics[0].first = Metric::inception_score;
  summarise(c);
  frontier.clear();
  for (const CurvePoint& p : c.points) frontier.push_back(p.pareto);
  EXPECT_EQ(frontier, (std::vector<bool>{false, false, false, true}));  // higher is better
}

TEST(Curve, SurvivesItsFile) {
  Curve c = curve();
  summarise(c);
  const auto path = std::filesystem::temp_directory_path() / ("tstitch_curve_" + std::to_string(getpid()));
  std::ofstream(path) << to_json(c);
  EXPECT_EQ(to_json(read_curve(path.string())), to_json(c));
  for (const char* text : {"{}", "[1]", R"({"format": 3})", R"({"format": "other"})",
                           R"({"format": "tstitch-curve-1", "models": 3})"}) {
    std::ofstream(path) << text;
    try {
      read_curve(path.string());
      ADD_FAILURE() << text << " was taken";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("not a curve of `tstitch sweep`"), std::string::npos)
          << error.what();
    }
  }
  std::vector<Curve> broken(4, c);
  broken[0].points[0].runs.clear();
  broken[1].points[0].evaluations[0] = -1;
  broken[2].points[0].runs[0].images = int64_t{1} << 40;
  broken[3].points[0].runs[0].model_seconds[1] = -1;
  for (const Curve& one : broken) {
    std::ofstream(path) << to_json(one);
    EXPECT_THROW(read_curve(path.string()), Error) << to_json(one);
  }
  c.points[0].evaluations.pop_back();
  c.points[0].evaluations.push_back(1);
  std::string text = to_json(c);
  text.replace(text.find("\"small\","), 8, "");
  std::ofstream(path) << text;
  EXPECT_THROW(read_curve(path.string()), Error);  // two numbers for one model
  std::filesystem::remove(path);
}

TEST(Curve, CsvHasALineForEachPoint) {
  Curve c = curve();
  summarise(c);
  const std::string csv = to_csv(c);
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 5);
  EXPECT_TRUE(
      csv.starts_with("label,kind,sampler,steps,share of small,share of large,evaluations of small,"
                      "evaluations of large,seconds_per_image,fid,fid_std,pareto\n0,share,ddim,10,0.5,"
                      "0.5,0,10,20,11,1.41421,0\n"))
      << csv;

  // Columns are of all points, in the order of the metrics; names may hold what separates columns.
  c.models[0] = "a,b";
  c.points[2].runs = {c.points[2].runs[0]};
  c.points[2].runs[0].metrics = {{Metric::inception_score, 5}};
  summarise(c);
  const std::string mixed = to_csv(c);
  EXPECT_TRUE(
      mixed.starts_with("label,kind,sampler,steps,\"share of a,b\",share of large,\"evaluations of a,b\","
                        "evaluations of large,seconds_per_image,fid,is,fid_std,pareto\n0,"))
      << mixed;
  EXPECT_NE(mixed.find("\n0.7,share,ddim,10,0.5,0.5,7,3,9.5,,5,,1\n"), std::string::npos) << mixed;
}

TEST(Curve, TheChartHasErrorBarsAndLabels) {
  Curve c = curve();
  c.points[3].kind = "steps";
  summarise(c);
  const Chart chart = chart_of(c, Metric::fid, "title");
  ASSERT_EQ(chart.series.size(), 3u);
  EXPECT_EQ(chart.series[0].name, "share of small");
  EXPECT_EQ(chart.series[0].labels, (std::vector<std::string>{"0", "0.5", "0.7"}));
  EXPECT_EQ(chart.series[0].error.size(), 3u);
  EXPECT_EQ(chart.series[1].name, "fewer steps");
  EXPECT_EQ(chart.series[2].name, "frontier");
  EXPECT_EQ(chart.series[2].x.size(), 2u);
}

TEST(Curve, TheFrontierIsOfTheChartsMetric) {
  Curve c = curve();
  for (CurvePoint& p : c.points)
    for (CurveRun& run : p.runs)
      run.metrics.emplace_back(Metric::recall, run.metrics[0].second);  // more is better
  c.models.push_back("none");
  for (CurvePoint& p : c.points) {
    p.fractions.push_back(0);
    p.evaluations.push_back(0);
    for (CurveRun& run : p.runs) run.model_seconds.push_back(0);
  }
  summarise(c);
  const auto frontier = [&](Metric metric) { return chart_of(c, metric, "").series.at(1).x.size(); };
  EXPECT_EQ(frontier(Metric::fid), 2u);
  EXPECT_EQ(chart_of(c, Metric::recall, "").series.size(), 1u);  // one point, 1, beats all others
}

// Curves of three models, two at a time, on machines of different speed.
std::vector<Curve> curves() {
  Curve a = curve(), b = curve();
  b.models = {"medium", "large"};
  for (CurvePoint& p : b.points)
    for (CurveRun& run : p.runs)
      for (double& seconds : run.model_seconds) seconds *= 3;
  b.points[0].runs.resize(1);
  summarise(a);
  summarise(b);
  return {a, b};
}

TEST(Curve, SeveralShareTheirTimes) {
  std::vector<Curve> both = curves();
  share_times(both);
  // An evaluation of `large` took 2 s in most runs of the first, 6 s in most of the second: of the 11 runs in
  // which it served, the median is the sixth.
  EXPECT_DOUBLE_EQ(both[0].points[0].seconds_per_image, 60);
  EXPECT_DOUBLE_EQ(both[1].points[0].seconds_per_image, 60);
  EXPECT_DOUBLE_EQ(both[0].points[3].seconds_per_image, 5);   // `small` alone, 0.5 s as before
  EXPECT_DOUBLE_EQ(both[1].points[3].seconds_per_image, 15);  // `medium` alone
  both[1].cfg_scale = 4;
  EXPECT_THROW(share_times(both), Error);
  both[1].cfg_scale = both[0].cfg_scale;
  both[1].measured = "by another";
  EXPECT_THROW(share_times(both), Error);
}

TEST(Curve, SeveralAreSeriesOfOneChart) {
  std::vector<Curve> both = curves();
  both[1].points[3].kind = "order";
  Chart chart = chart_of(std::span<const Curve>(both), Metric::fid, "title");
  ASSERT_EQ(chart.series.size(), 3u);
  EXPECT_EQ(chart.series[0].name, "small > large");
  EXPECT_EQ(chart.series[1].name, "medium > large");
  EXPECT_EQ(chart.series[2].name, "medium > large in other orders");
  EXPECT_EQ(chart.series[0].error.size(), 4u);
  EXPECT_TRUE(chart.series[1].error.empty()) << "one point has a single run";
  for (CurvePoint& p : both[1].points) p.steps_option = "50";
  chart = chart_of(std::span<const Curve>(both), Metric::fid, "title");
  EXPECT_EQ(chart.series[0].name, "small > large, ddim 10");
  EXPECT_EQ(chart.series[1].name, "medium > large, ddim 50");
  EXPECT_THROW(chart_of(std::span<const Curve>(both), Metric::recall, "title"), Error);
}

TEST(Curve, OfASimplexAmongOthersOnlyTheFrontierIsLabelled) {
  Curve pair = curve(), simplex = curve();
  summarise(pair);
  simplex.models.push_back("huge");
  for (CurvePoint& p : simplex.points) {
    p.evaluations.push_back(0);
    for (CurveRun& run : p.runs) run.model_seconds.push_back(0);
  }
  summarise(simplex);
  const std::vector<Curve> both = {pair, simplex};
  const Chart chart = chart_of(std::span<const Curve>(both), Metric::fid, "title");
  ASSERT_EQ(chart.series.size(), 2u);
  size_t hidden = 0;
  for (size_t i = 0; i < simplex.points.size(); ++i) {
    EXPECT_EQ(chart.series[0].labels[i], simplex.points[i].label);
    EXPECT_EQ(chart.series[1].labels[i], simplex.points[i].pareto ? simplex.points[i].label : "");
    hidden += chart.series[1].labels[i].empty();
  }
  EXPECT_GT(hidden, 0u);
  EXPECT_LT(hidden, simplex.points.size());
}

}  // namespace
}  // namespace tstitch
