#include "tstitch/tune/measure.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iterator>

#include "tstitch/base/error.h"
#include "tstitch/io/file.h"
#include "tstitch/zoo/assets.h"
#include "tstitch/zoo/feature_file.h"

namespace tstitch {
namespace {

// What measures a demo family: files among the assets.
struct DemoMeasure {
  Shape picture;  // that tells its pictures from others, (H, W, C)
  const char *name, *features, *reference;
};
const DemoMeasure kDemoMeasures[] = {
    {{28, 28, 1}, "of the demo family", "fashion-features.safetensors", "fashion-reference.npz"},
    {{128, 128, 3}, "of the family of words", "words-features.safetensors", "words-reference.npz"}};

// Null where none is for such pictures, or it is not installed.
const DemoMeasure* find_demo_measure(const Shape& picture) {
  const auto found = std::ranges::find(kDemoMeasures, picture, &DemoMeasure::picture);
  if (found == std::end(kDemoMeasures)) return nullptr;
  std::error_code ignored;
  const bool is_first = found == std::begin(kDemoMeasures);  // of the assets that are always there
  return is_first || std::filesystem::exists(assets_folder() + "/" + found->features, ignored) ? found
                                                                                               : nullptr;
}

// A file by its name and what it holds.
std::string identity_of(const std::string& path, const Shape& picture, const std::function<void()>& between) {
  if (path.empty()) {
    const DemoMeasure* measure = find_demo_measure(picture);
    return measure ? measure->name : "";
  }
  const std::string name =
      std::filesystem::path(path + "/.").lexically_normal().parent_path().filename().string();
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return name;
  char crc[32];
  std::snprintf(crc, sizeof crc, " (crc32 %08x)", crc32_of_file(path, 0, between));
  return name + crc;
}

// What the samples will have, without numbers: enough to see whether they can be compared.
SetStatistics expected_samples(const FeatureExtractor& network, const FeatureNeeds& needs,
                               const ExpectedSamples& samples) {
  const auto gaussian = [](int64_t width) {
    return GaussianStatistics{std::vector<double>(static_cast<size_t>(width)), {}};
  };
  return {.name = "the samples",
          .pictures = samples.images,
          .pooled = gaussian(network.features()),
          .spatial = gaussian(network.spatial_features()),
          .features = needs.features ? Tensor({samples.images, network.features()}, DType::f32) : Tensor(),
          .inception_score = network.classes() > 0 ? std::optional(0.0) : std::nullopt,
          .agreement = network.reads_texts() && samples.of_text ? std::optional(0.0) : std::nullopt};
}

}  // namespace

std::string describe_measure(const MeasureOptions& options, const std::vector<Metric>& metrics,
                             const Shape& picture, const std::function<void()>& between) {
  if (metrics.empty()) return "";
  return concat("features ", identity_of(options.features, picture, between), ", reference ",
                identity_of(options.reference, picture, between));
}

Measure load_measure(const MeasureOptions& options, const std::vector<Metric>& metrics,
                     const ExpectedSamples& samples, const std::function<void()>& between) {
  Measure measure;
  if (metrics.empty()) return measure;
  measure.network = feature_extractor_for(*measure.backend, options, samples.picture);
  FeatureNeeds needs = needs_of(metrics);
  needs.logits = false;
  PictureSet set = open_picture_set(reference_for(options, samples.picture));
  measure.reference = tstitch::measure(set, measure.network.get(), needs, [&](int64_t) { between(); });
  measure.description = describe_measure(options, metrics, samples.picture, between);
  const SetStatistics expected = expected_samples(*measure.network, needs, samples);
  for (const Metric metric : metrics) {
    const std::string reason = obstacle(metric, expected, measure.reference);
    check(reason.empty(), ErrorKind::usage, "no ", name_of(metric), ": ", reason);
  }
  return measure;
}

std::string feature_file_for(const MeasureOptions& options, const Shape& picture) {
  const DemoMeasure* demo = find_demo_measure(picture);
  check(!options.features.empty() || demo, ErrorKind::usage, "pictures of the shape ", picture,
        " (height, width, channels) need a network to measure them: name its file with --features"
        " (for photographs pytorch-fid's pt_inception-2015-12-05)");
  return options.features.empty() ? assets_folder() + "/" + demo->features : options.features;
}

std::unique_ptr<FeatureExtractor> feature_extractor_for(Backend& backend, const MeasureOptions& a,
                                                        const Shape& picture) {
  auto network = load_feature_extractor(backend, feature_file_for(a, picture));
  check(network->channels() == picture[2], ErrorKind::usage, "the pictures have ", picture[2],
        picture[2] == 1 ? " channel" : " channels", ", but the feature network takes ", network->channels());
  check(network->side() == 0 || picture == Shape({network->side(), network->side(), network->channels()}),
        ErrorKind::usage, "the pictures are ", picture[0], " x ", picture[1],
        ", but the feature network takes ", network->side(), " x ", network->side());
  return network;
}

std::string reference_for(const MeasureOptions& a, const Shape& picture) {
  const DemoMeasure* demo = find_demo_measure(picture);
  check(!a.reference.empty() || demo, ErrorKind::usage,
        "nothing to compare with: name the reference set with --reference");
  return a.reference.empty() ? assets_folder() + "/" + demo->reference : a.reference;
}

}  // namespace tstitch
