#include "tstitch/tune/curve.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/io/csv.h"
#include "tstitch/io/json.h"
#include "tstitch/io/refuse.h"

namespace tstitch {
namespace {

using nlohmann::ordered_json;

constexpr const char* kFormat = "tstitch-curve-1";

double median(std::vector<double> values) {
  const auto middle = values.begin() + std::ssize(values) / 2;
  std::ranges::nth_element(values, middle);
  return *middle;
}

// Mean and standard deviation of every metric over the runs that have it.
void summarise(CurvePoint& point) {
  point.mean.clear();
  point.deviation.clear();
  for (const Metric metric : kAllMetrics) {
    std::vector<double> values;
    for (const CurveRun& run : point.runs)
      if (const auto value = value_of(run.metrics, metric)) values.push_back(*value);
    if (values.empty()) continue;
    const auto count = static_cast<double>(values.size());
    const double mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
    point.mean.emplace_back(metric, mean);
    if (values.size() < 2) continue;
    double squares = 0;
    for (const double value : values) squares += (value - mean) * (value - mean);
    point.deviation.emplace_back(metric, std::sqrt(squares / (count - 1)));
  }
}

// Whether a is at least as fast and as good as b, and in one of them more.
bool dominates(const CurvePoint& a, const CurvePoint& b, Metric metric) {
  const double sign = is_better_lower(metric) ? 1 : -1;
  const double better = sign * (*value_of(b.mean, metric) - *value_of(a.mean, metric));
  const double faster = b.seconds_per_image - a.seconds_per_image;
  return better >= 0 && faster >= 0 && better + faster > 0;
}

// Whether the point is on the frontier.
bool is_best(const Curve& curve, const CurvePoint& point, Metric metric) {
  return value_of(point.mean, metric) && std::ranges::none_of(curve.points, [&](const CurvePoint& other) {
           return value_of(other.mean, metric) && dominates(other, point, metric);
         });
}

ordered_json to_json(const MetricValues& values) {
  ordered_json json = ordered_json::object();
  for (const auto& [metric, value] : values) json[std::string(name_of(metric))] = value;
  return json;
}

MetricValues metrics_of(const nlohmann::json& json, const std::string& where) {
  MetricValues values;
  for (const auto& [name, value] : json.items()) {
    const auto metric = find_metric(name);
    check(metric.has_value(), ErrorKind::input, where, ": \"", printable(name), "\" is not a metric");
    values.emplace_back(*metric, value.get<double>());
  }
  return values;
}

ordered_json to_json(const CurveRun& run) {
  return {{"run", run.run},
          {"seed", run.seed},
          {"images", run.images},
          {"seconds", run.seconds},
          {"model_seconds", run.model_seconds},
          {"metrics", to_json(run.metrics)}};
}

CurveRun run_of(const nlohmann::json& json, const std::string& where) {
  return {.run = json.at("run"),
          .seed = json.at("seed"),
          .images = json.at("images"),
          .seconds = json.at("seconds"),
          .model_seconds = json.at("model_seconds"),
          .metrics = metrics_of(json.at("metrics"), where)};
}

// Seconds of one evaluation for one image by name of the model, the median over all runs.
std::map<std::string, double> evaluation_times(std::span<const Curve> curves) {
  std::map<std::string, std::vector<double>> found;
  for (const Curve& curve : curves)
    for (const CurvePoint& point : curve.points)
      for (const CurveRun& run : point.runs)
        for (size_t model = 0; model < curve.models.size(); ++model)
          if (point.evaluations[model] > 0 && run.images > 0)
            found[curve.models[model]].push_back(run.model_seconds[model] /
                                                 static_cast<double>(point.evaluations[model] * run.images));
  std::map<std::string, double> times;
  for (auto& [model, seconds] : found) times[model] = median(std::move(seconds));
  return times;
}

void set_times(Curve& curve, const std::map<std::string, double>& times) {
  for (CurvePoint& point : curve.points) {
    point.seconds_per_image = 0;
    for (size_t model = 0; model < curve.models.size(); ++model)
      if (point.evaluations[model] > 0)
        point.seconds_per_image +=
            static_cast<double>(point.evaluations[model]) * times.at(curve.models[model]);
  }
}

enum class Labels { all, frontier };

// The points of one kind with the metric.
Chart::Series series_of(const Curve& curve, Metric metric, std::string_view kind, const std::string& name,
                        bool joined, Labels labels = Labels::all) {
  Chart::Series series{.name = name, .x = {}, .y = {}, .line = joined};
  for (const CurvePoint& point : curve.points) {
    const auto value = value_of(point.mean, metric);
    if (point.kind != kind || !value) continue;
    series.x.push_back(point.seconds_per_image);
    series.y.push_back(*value);
    series.labels.push_back(labels == Labels::all || is_best(curve, point, metric) ? point.label : "");
    if (const auto deviation = value_of(point.deviation, metric)) series.error.push_back(*deviation);
  }
  if (series.error.size() != series.x.size()) series.error.clear();
  return series;
}

// What would be no time or overflow.
void check_point(const CurvePoint& point, size_t models, const std::string& where) {
  constexpr int64_t kMost = 1'000'000;  // of evaluations, and of images: see run_spec.cpp
  const auto counts = [](int64_t count) { return 0 <= count && count <= kMost; };
  const auto times = [](double seconds) { return 0 <= seconds && seconds <= 1e12; };
  const auto fits = [&](size_t size) { return size == models; };
  check(fits(point.evaluations.size()) && (point.fractions.empty() || fits(point.fractions.size())) &&
            std::ranges::all_of(point.runs, [&](const CurveRun& r) { return fits(r.model_seconds.size()); }),
        ErrorKind::input, where, ": point \"", printable(point.label), "\" is not of ", models, " models");
  check(!point.runs.empty(), ErrorKind::input, where, ": point \"", printable(point.label), "\" has no runs");
  check(std::ranges::all_of(point.evaluations, counts) &&
            std::ranges::all_of(point.runs,
                                [&](const CurveRun& r) {
                                  return counts(r.images) && r.images > 0 && times(r.seconds) &&
                                         std::ranges::all_of(r.model_seconds, times);
                                }),
        ErrorKind::input, where, ": point \"", printable(point.label),
        "\" has a number of evaluations, images or seconds that cannot be");
}

Chart empty_chart(Metric metric, const std::string& title) {
  std::string name(name_of(metric));
  std::ranges::transform(name, name.begin(), [](char c) { return static_cast<char>(std::toupper(c)); });
  return {.title = title,
          .x_label = "seconds per image",
          .y_label = name + (is_better_lower(metric) ? " (lower is better)" : " (higher is better)"),
          .series = {}};
}

}  // namespace

std::vector<double> seconds_per_evaluation(const Curve& curve) {
  std::map<std::string, double> times = evaluation_times({&curve, 1});
  std::vector<double> seconds;
  for (const std::string& model : curve.models) seconds.push_back(times[model]);
  return seconds;
}

void share_times(std::span<Curve> curves) {
  for (const Curve& curve : curves) {
    check(curve.measured == curves[0].measured, ErrorKind::usage,
          "curves measured differently do not compare: ", printable(curves[0].measured), ", and ",
          printable(curve.measured));
    check(curve.cfg_scale == curves[0].cfg_scale, ErrorKind::usage,
          "curves of different guidance do not compare: ", curves[0].cfg_scale, " and ", curve.cfg_scale);
  }
  const auto times = evaluation_times(curves);
  for (Curve& curve : curves) set_times(curve, times);
}

void summarise(Curve& curve) {
  set_times(curve, evaluation_times({&curve, 1}));
  for (CurvePoint& point : curve.points) summarise(point);
  for (CurvePoint& point : curve.points)
    point.pareto = !point.mean.empty() && is_best(curve, point, point.mean[0].first);
}

std::string to_json(const Curve& curve) {
  ordered_json points = ordered_json::array();
  const std::vector<double> seconds = seconds_per_evaluation(curve);
  std::vector<double> ms;
  for (const double s : seconds) ms.push_back(1e3 * s);
  for (const CurvePoint& point : curve.points) {
    ordered_json runs = ordered_json::array();
    for (const CurveRun& run : point.runs) runs.push_back(to_json(run));
    points.push_back({{"label", point.label},
                      {"kind", point.kind},
                      {"fractions", point.fractions},
                      {"sampler", point.sampler},
                      {"steps_option", point.steps_option},
                      {"steps", point.steps},
                      {"levels", point.levels},
                      {"eta", point.eta},
                      {"assignment", point.assignment},
                      {"evaluations", point.evaluations},
                      {"seconds_per_image", point.seconds_per_image},
                      {"metrics", to_json(point.mean)},
                      {"metrics_std", to_json(point.deviation)},
                      {"pareto", point.pareto},
                      {"runs", runs}});
  }
  return json_text({{"format", kFormat},
                    {"models", curve.models},
                    {"ms_per_evaluation_and_image", ms},
                    {"cfg_scale", curve.cfg_scale},
                    {"measured", curve.measured},
                    {"timed", curve.timed},
                    {"points", points}}) +
         "\n";
}

Curve read_curve(const std::string& path) {
  const nlohmann::json json = parse_json_file(path);
  const std::string where = shown_path(path);
  try {
    check(json.is_object() && json.value("format", "") == kFormat, ErrorKind::input, where,
          ": not a curve of `tstitch sweep`: \"format\" is not \"", kFormat, "\"");
    Curve curve{.models = json.at("models"),
                .cfg_scale = json.at("cfg_scale"),
                .measured = json.at("measured"),
                .timed = json.value("timed", ""),
                .points = {}};
    for (const nlohmann::json& p : json.at("points")) {
      CurvePoint point{.kind = p.at("kind"),
                       .label = p.at("label"),
                       .fractions = p.at("fractions"),
                       .sampler = p.at("sampler"),
                       .steps_option = p.at("steps_option"),
                       .steps = p.at("steps"),
                       .levels = p.at("levels"),
                       .eta = p.at("eta"),
                       .assignment = p.at("assignment"),
                       .evaluations = p.at("evaluations"),
                       .runs = {},
                       .mean = {},
                       .deviation = {}};
      for (const nlohmann::json& run : p.at("runs")) point.runs.push_back(run_of(run, where));
      check_point(point, curve.models.size(), where);
      curve.points.push_back(std::move(point));
    }
    summarise(curve);
    return curve;
  } catch (const nlohmann::json::exception& e) {
    fail(ErrorKind::input, where, ": not a curve of `tstitch sweep`: ", printable(e.what(), 200));
  }
}

std::string to_csv(const Curve& curve) {
  std::string text = "label,kind,sampler,steps";
  const auto add = [&](const auto& value) { text += concat(',', value); };
  for (const std::string& model : curve.models) add(csv_field("share of " + model));
  for (const std::string& model : curve.models) add(csv_field("evaluations of " + model));
  add("seconds_per_image");
  // A column for what any point has.
  struct Column {
    MetricValues CurvePoint::*values;
    Metric metric;
  };
  std::vector<Column> columns;
  for (const auto& [values, ending] : {std::pair(&CurvePoint::mean, ""), {&CurvePoint::deviation, "_std"}})
    for (const Metric metric : kAllMetrics)
      if (std::ranges::any_of(curve.points, [&, values = values](const CurvePoint& point) {
            return value_of(point.*values, metric).has_value();
          })) {
        columns.push_back({values, metric});
        add(concat(name_of(metric), ending));
      }
  text += ",pareto\n";
  for (const CurvePoint& point : curve.points) {
    text += concat(csv_field(point.label), ',', point.kind, ',', point.sampler, ',', point.steps);
    for (size_t i = 0; i < curve.models.size(); ++i)
      add(point.fractions.empty() ? std::string() : concat(point.fractions[i]));
    for (const int64_t count : point.evaluations) add(count);
    add(point.seconds_per_image);
    for (const Column& column : columns) {
      const auto value = value_of(point.*column.values, column.metric);
      add(value ? concat(*value) : "");
    }
    text += point.pareto ? ",1\n" : ",0\n";
  }
  return text;
}

Chart chart_of(const Curve& curve, Metric metric, const std::string& title) {
  Chart chart = empty_chart(metric, title);
  const bool two = curve.models.size() == 2;
  for (Chart::Series& series :
       std::array{series_of(curve, metric, "share",
                            two ? "share of " + curve.models[0] : "shares of the models", two),
                  series_of(curve, metric, "steps", "fewer steps", true),
                  series_of(curve, metric, "order", "orders", false)})
    if (!series.x.empty()) chart.series.push_back(std::move(series));
  Chart::Series frontier{.name = "frontier", .x = {}, .y = {}, .line = true, .dots = false};
  std::vector<const CurvePoint*> best;
  for (const CurvePoint& point : curve.points)
    if (is_best(curve, point, metric)) best.push_back(&point);
  std::ranges::sort(best, {}, &CurvePoint::seconds_per_image);
  for (const CurvePoint* point : best) {
    frontier.x.push_back(point->seconds_per_image);
    frontier.y.push_back(*value_of(point->mean, metric));
  }
  if (best.size() > 1 && chart.series.size() + (two ? 0 : 1) > 1) chart.series.push_back(std::move(frontier));
  return chart;
}

Chart chart_of(std::span<const Curve> curves, Metric metric, const std::string& title) {
  Chart chart = empty_chart(metric, title);
  const auto steps_of = [](const Curve& curve) {
    return curve.points.empty() ? "" : concat(curve.points[0].sampler, ' ', curve.points[0].steps_option);
  };
  const bool alike =
      std::ranges::all_of(curves, [&](const Curve& curve) { return steps_of(curve) == steps_of(curves[0]); });
  for (const Curve& curve : curves) {
    const std::string names = join(curve.models, " > ");
    const std::string note = alike ? "" : ", " + steps_of(curve);
    const bool two = curve.models.size() == 2;
    const size_t before = chart.series.size();
    // A simplex has more points than labels fit among other curves.
    for (Chart::Series& series : std::array{
             series_of(curve, metric, "share", names + note, two, two ? Labels::all : Labels::frontier),
             series_of(curve, metric, "steps", curve.models.back() + " in fewer steps" + note, true),
             series_of(curve, metric, "order", names + " in other orders" + note, false)})
      if (!series.x.empty()) chart.series.push_back(std::move(series));
    check(chart.series.size() > before, ErrorKind::usage, "no point of ", printable(names),
          " has the metric ", name_of(metric));
  }
  return chart;
}

}  // namespace tstitch
