#include "tstitch/eval/metrics.h"

#include <algorithm>
#include <numeric>
#include <sstream>

#include "tstitch/base/error.h"
#include "tstitch/base/join.h"
#include "tstitch/eval/inception_score.h"
#include "tstitch/eval/precision_recall.h"

namespace tstitch {
namespace {

// Rows of a batch appended to what a vector holds.
void append(std::vector<float>& to, const Tensor& rows) {
  to.insert(to.end(), rows.data<float>(), rows.data<float>() + rows.elements());
}

std::string widths_differ(int64_t samples, int64_t reference) {
  return concat("the samples have ", samples, " features and the reference ", reference,
                ": they come from different networks");
}

std::string gaussian_obstacle(int64_t pictures, const std::optional<GaussianStatistics>& samples,
                              const std::optional<GaussianStatistics>& reference, const char* what) {
  if (!samples) return concat("the samples come without ", what);
  if (pictures == 1) return "there is 1 sample, and a covariance is of two or more";
  if (!reference) return concat("the reference comes without ", what);
  return samples->width() == reference->width() ? "" : widths_differ(samples->width(), reference->width());
}

std::string neighbours_obstacle(const SetStatistics& samples, const SetStatistics& reference) {
  if (!reference.features)
    return "the reference comes without the features of each picture: mean and covariance do not suffice";
  if (!samples.features) return "the samples come without the features of each picture";
  if (samples.features.columns() != reference.features.columns())
    return widths_differ(samples.features.columns(), reference.features.columns());
  for (const auto& [set, name] : {std::pair(&samples, "samples"), {&reference, "reference"}})
    if (set->features.extent(0) <= kNeighbours)
      return concat("the ", name, " are ", set->features.extent(0), " pictures, and the ", kNeighbours,
                    " nearest of each are asked for");
  return "";
}

}  // namespace

std::string_view name_of(Metric metric) {
  constexpr std::string_view kNames[] = {"fid", "sfid", "is", "precision", "recall", "agreement"};
  return kNames[static_cast<size_t>(metric)];
}

std::string metric_names() {
  return join(kAllMetrics, ", ", [](Metric metric) { return name_of(metric); });
}

std::optional<Metric> find_metric(std::string_view name) {
  for (const Metric metric : kAllMetrics)
    if (name_of(metric) == name) return metric;
  return {};
}

std::vector<Metric> parse_metrics(const std::string& names) {
  std::vector<Metric> metrics;
  std::istringstream parts(names);
  for (std::string part; std::getline(parts, part, ',');) {
    const auto found = find_metric(part);
    check(found.has_value(), ErrorKind::usage, "\"", printable(part),
          "\" is not a metric, expected some of: ", metric_names());
    metrics.push_back(*found);
  }
  check(!metrics.empty(), ErrorKind::usage, "--metrics names none of: ", metric_names());
  std::ranges::sort(metrics);
  metrics.erase(std::unique(metrics.begin(), metrics.end()), metrics.end());
  return metrics;
}

bool is_better_lower(Metric metric) { return metric == Metric::fid || metric == Metric::sfid; }

FeatureNeeds needs_of(const std::vector<Metric>& metrics) {
  const auto any = [&](std::initializer_list<Metric> some) {
    return std::ranges::any_of(some, [&](Metric m) { return std::ranges::count(metrics, m) > 0; });
  };
  return {.pooled = any({Metric::fid}),
          .spatial = any({Metric::sfid}),
          .features = any({Metric::precision, Metric::recall}),
          .logits = any({Metric::inception_score}),
          .agreement = any({Metric::agreement})};
}

struct FeatureCollector::Parts {
  explicit Parts(const FeatureExtractor& network)
      : pooled(network.features()), spatial(network.spatial_features()) {}

  int64_t pictures = 0;
  Moments pooled, spatial;
  std::vector<float> features;
  InceptionScore score;
  void add_cosines(const Tensor& embedding) {  // (n, E), of the next n pictures
    const int64_t E = embedding.columns();
    for (int64_t i = 0; i < embedding.extent(0); ++i) {
      const float* picture = embedding.data<float>() + i * E;
      const int64_t text = text_of_picture.at(static_cast<size_t>(pictures + i));
      cosines += std::inner_product(picture, picture + E, texts.data<float>() + text * E, 0.0);
    }
  }

  Tensor texts;  // the embeddings of the prompts, or empty
  std::vector<int64_t> text_of_picture;
  double cosines = 0;  // their sum
};

FeatureCollector::FeatureCollector(const FeatureExtractor& network, FeatureNeeds needs,
                                   const PicturePrompts& prompts)
    : network_(network), needs_(needs), parts_(std::make_unique<Parts>(network)) {
  if (network.classes() == 0) needs_.logits = false;
  if (!needs.agreement || prompts.texts.empty() || !network.reads_texts()) return;
  parts_->texts = network.embed_texts(prompts.texts);
  parts_->text_of_picture = prompts.of_picture;
}

FeatureCollector::~FeatureCollector() = default;

void FeatureCollector::add(const Tensor& pictures) { add(network_(pictures)); }

void FeatureCollector::add(const PictureFeatures& at) {
  if (parts_->texts) parts_->add_cosines(at.embedding);
  parts_->pictures += at.pooled.extent(0);
  if (needs_.pooled) parts_->pooled.add(at.pooled);
  if (needs_.spatial) parts_->spatial.add(at.spatial);
  if (needs_.features) append(parts_->features, at.pooled);
  if (needs_.logits) parts_->score.add(at.logits);
}

SetStatistics FeatureCollector::result(const std::string& name) const {
  SetStatistics set{.name = name,
                    .pictures = parts_->pictures,
                    .pooled = {},
                    .spatial = {},
                    .features = {},
                    .inception_score = {},
                    .agreement = {}};
  check(set.pictures >= 2, ErrorKind::input, name, ": ", set.pictures,
        set.pictures == 1 ? " picture" : " pictures", ", expected at least 2");
  if (needs_.pooled) set.pooled = parts_->pooled.statistics();
  if (needs_.spatial) set.spatial = parts_->spatial.statistics();
  if (needs_.features)
    set.features = make_tensor<float>({set.pictures, network_.features()}, parts_->features);
  if (needs_.logits) set.inception_score = parts_->score.value();
  if (parts_->texts) {
    check_internal(set.pictures == std::ssize(parts_->text_of_picture), "prompts of ",
                   parts_->text_of_picture.size(), " pictures, and there are ", set.pictures);
    set.agreement = 100 * parts_->cosines / static_cast<double>(set.pictures);
  }
  return set;
}

std::string obstacle(Metric metric, const SetStatistics& samples, const SetStatistics& reference) {
  switch (metric) {
    case Metric::fid:
      return gaussian_obstacle(samples.pictures, samples.pooled, reference.pooled,
                               "the statistics of its features");
    case Metric::sfid:
      return gaussian_obstacle(samples.pictures, samples.spatial, reference.spatial,
                               "the statistics of spatial features");
    case Metric::inception_score:
      return samples.inception_score ? "" : "the samples come without logits";
    case Metric::agreement:
      return samples.agreement ? ""
                               : "it takes the prompts of the samples and a feature network that reads texts";
    case Metric::precision:
    case Metric::recall:
      return neighbours_obstacle(samples, reference);
  }
  return "";
}

std::optional<double> value_of(const MetricValues& values, Metric metric) {
  for (const auto& [other, value] : values)
    if (other == metric) return value;
  return {};
}

MetricValues evaluate(Backend& backend, const std::vector<Metric>& metrics, const SetStatistics& samples,
                      const SetStatistics& reference) {
  MetricValues values;
  std::optional<PrecisionRecall> neighbours;
  for (const Metric metric : metrics) {
    const std::string reason = obstacle(metric, samples, reference);
    check(reason.empty(), ErrorKind::usage, "no ", name_of(metric), ": ", reason);
    if (!neighbours && (metric == Metric::precision || metric == Metric::recall))
      neighbours = precision_recall(backend, reference.features, samples.features);
    const auto value = [&] {
      switch (metric) {
        case Metric::fid:
          return frechet_distance(*samples.pooled, *reference.pooled);
        case Metric::sfid:
          return frechet_distance(*samples.spatial, *reference.spatial);
        case Metric::inception_score:
          return *samples.inception_score;
        case Metric::agreement:
          return *samples.agreement;
        case Metric::precision:
          return neighbours->precision();
        case Metric::recall:
          return neighbours->recall();
      }
      return 0.0;
    };
    values.emplace_back(metric, value());
  }
  return values;
}

}  // namespace tstitch
