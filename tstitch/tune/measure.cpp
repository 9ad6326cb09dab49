#include "tstitch/tune/measure.h"

#include <cstdio>
#include <filesystem>

#include "tstitch/base/error.h"
#include "tstitch/io/file.h"
#include "tstitch/zoo/assets.h"
#include "tstitch/zoo/feature_file.h"

namespace tstitch {
namespace {

bool is_demo(const Shape& picture) { return picture == Shape({28, 28, 1}); }

// A file by its name and what it holds.
std::string identity_of(const std::string& path, const std::function<void()>& between) {
  if (path.empty()) return "of the demo family";
  const std::string name =
      std::filesystem::path(path + "/.").lexically_normal().parent_path().filename().string();
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return name;
  char crc[32];
  std::snprintf(crc, sizeof crc, " (crc32 %08x)", crc32_of_file(path, 0, between));
  return name + crc;
}

// What the samples will have, without numbers: enough to see whether they can be compared.
SetStatistics expected_samples(const FeatureExtractor& network, const FeatureNeeds& needs, int64_t images) {
  const auto gaussian = [](int64_t width) {
    return GaussianStatistics{std::vector<double>(static_cast<size_t>(width)), {}};
  };
  return {.name = "the samples",
          .pictures = images,
          .pooled = gaussian(network.features()),
          .spatial = gaussian(network.spatial_features()),
          .features = needs.features ? Tensor({images, network.features()}, DType::f32) : Tensor(),
          .inception_score = 0};
}

}  // namespace

std::string describe_measure(const MeasureOptions& options, const std::vector<Metric>& metrics,
                             const std::function<void()>& between) {
  if (metrics.empty()) return "";
  return concat("features ", identity_of(options.features, between), ", reference ",
                identity_of(options.reference, between));
}

Measure load_measure(const MeasureOptions& options, const std::vector<Metric>& metrics, const Shape& picture,
                     int64_t images, const std::function<void()>& between) {
  Measure measure;
  if (metrics.empty()) return measure;
  measure.network = feature_extractor_for(*measure.backend, options, picture);
  FeatureNeeds needs = needs_of(metrics);
  needs.logits = false;
  PictureSet set = open_picture_set(reference_for(options, picture));
  measure.reference = tstitch::measure(set, measure.network.get(), needs, [&](int64_t) { between(); });
  measure.description = describe_measure(options, metrics, between);
  const SetStatistics samples = expected_samples(*measure.network, needs, images);
  for (const Metric metric : metrics) {
    const std::string reason = obstacle(metric, samples, measure.reference);
    check(reason.empty(), ErrorKind::usage, "no ", name_of(metric), ": ", reason);
  }
  return measure;
}

std::string feature_file_for(const MeasureOptions& options, const Shape& picture) {
  check(!options.features.empty() || is_demo(picture), ErrorKind::usage, "pictures of the shape ", picture,
        " (height, width, channels) need a network to measure them: name its file with --features"
        " (for photographs pytorch-fid's pt_inception-2015-12-05)");
  return options.features.empty() ? assets_folder() + "/fashion-features.safetensors" : options.features;
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
  check(!a.reference.empty() || is_demo(picture), ErrorKind::usage,
        "nothing to compare with: name the reference set with --reference");
  return a.reference.empty() ? assets_folder() + "/fashion-reference.npz" : a.reference;
}

}  // namespace tstitch
