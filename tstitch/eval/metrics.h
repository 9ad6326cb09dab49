// The metrics of generated pictures, as the evaluator of ADM (Dhariwal & Nichol 2021, arXiv 2105.05233)
// defines them, from the features of two sets.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tstitch/backend/backend.h"
#include "tstitch/eval/frechet.h"
#include "tstitch/models/feature_extractor.h"
#include "tstitch/tensor/tensor.h"

namespace tstitch {

enum class Metric { fid, sfid, inception_score, precision, recall, agreement };
inline constexpr Metric kAllMetrics[] = {Metric::fid,       Metric::sfid,   Metric::inception_score,
                                         Metric::precision, Metric::recall, Metric::agreement};

std::string_view name_of(Metric metric);  // "fid", "sfid", "is", "precision", "recall", "agreement"
std::string metric_names();               // all of them, with commas between
std::optional<Metric> find_metric(std::string_view name);
// Names with commas between, each once and in the order of kAllMetrics; throws Error{usage} with the known
// ones.
std::vector<Metric> parse_metrics(const std::string& names);
bool is_better_lower(Metric metric);

// What is known of a set of pictures; parts that no metric asked for, or that a file lacks, are empty.
struct SetStatistics {
  std::string name;      // in messages
  int64_t pictures = 0;  // 0: not known
  std::optional<GaussianStatistics> pooled, spatial;
  Tensor features;  // (N, D) f32: the pooled ones of each picture
  std::optional<double> inception_score;
  std::optional<double> agreement;  // of pictures and prompts
};

// What the pictures of a set were asked to show: the picture i the text of_picture[i].
struct PicturePrompts {
  std::vector<std::string> texts;
  std::vector<int64_t> of_picture;
};

// What must be kept of the pictures of a set.
struct FeatureNeeds {
  bool pooled = false, spatial = false, features = false, logits = false, agreement = false;
};
FeatureNeeds needs_of(const std::vector<Metric>& metrics);

// Sees the pictures of a set go by, in their order. Memory does not depend on their number, but for
// `features`.
class FeatureCollector {
 public:
  FeatureCollector(const FeatureExtractor& network, FeatureNeeds needs, const PicturePrompts& prompts = {});
  ~FeatureCollector();

  void add(const Tensor& pictures);  // (n, H, W, C) u8
  void add(const PictureFeatures& features);
  // Throws Error{input} for fewer than two pictures, Error{internal} for others than there are prompts of.
  SetStatistics result(const std::string& name) const;

 private:
  struct Parts;
  const FeatureExtractor& network_;
  FeatureNeeds needs_;
  std::unique_ptr<Parts> parts_;
};

// Why the metric cannot be had of these sets; "" when it can.
std::string obstacle(Metric metric, const SetStatistics& samples, const SetStatistics& reference);

using MetricValues = std::vector<std::pair<Metric, double>>;
std::optional<double> value_of(const MetricValues& values, Metric metric);

// In the order of `metrics`; precision and recall are computed together. Throws Error{usage} with the
// obstacle of a metric that cannot be had.
MetricValues evaluate(Backend& backend, const std::vector<Metric>& metrics, const SetStatistics& samples,
                      const SetStatistics& reference);

}  // namespace tstitch
