#include "apps/measure.h"

#include "tstitch/base/error.h"
#include "tstitch/zoo/assets.h"
#include "tstitch/zoo/feature_file.h"

namespace tstitch {
namespace {

bool is_demo(const Shape& picture) { return picture == Shape({28, 28, 1}); }

}  // namespace

void add_measure_options(CLI::App& command, MeasureArguments& a) {
  const std::string group = "Metrics";
  command
      .add_option("--reference", a.reference,
                  "The set to compare with: an .npz of pictures, statistics or features, or a folder of .png."
                  " Default for pictures of the demo family: Fashion-MNIST's test set")
      ->group(group);
  command
      .add_option("--features", a.features,
                  "The network whose features are compared, a file. Default for pictures of the demo family:"
                  " its own classifier")
      ->group(group);
  command.add_option("--metrics", a.metrics, "Some of fid, sfid, is, precision, recall, with commas between")
      ->group(group);
}

std::unique_ptr<FeatureExtractor> feature_extractor_for(Backend& backend, const MeasureArguments& a,
                                                        const Shape& picture) {
  check(!a.features.empty() || is_demo(picture), ErrorKind::usage, "pictures of the shape ",
        to_string(picture),
        " (height, width, channels) need a network to measure them: name its file with --features"
        " (for photographs pytorch-fid's pt_inception-2015-12-05)");
  auto network = load_feature_extractor(
      backend, a.features.empty() ? assets_folder() + "/fashion-features.safetensors" : a.features);
  check(network->channels() == picture[2], ErrorKind::usage, "the pictures have ", picture[2],
        picture[2] == 1 ? " channel" : " channels", ", but the feature network takes ", network->channels());
  check(network->side() == 0 || picture == Shape({network->side(), network->side(), network->channels()}),
        ErrorKind::usage, "the pictures are ", picture[0], " x ", picture[1],
        ", but the feature network takes ", network->side(), " x ", network->side());
  return network;
}

std::string reference_for(const MeasureArguments& a, const Shape& picture) {
  check(!a.reference.empty() || is_demo(picture), ErrorKind::usage,
        "nothing to compare with: name the reference set with --reference");
  return a.reference.empty() ? assets_folder() + "/fashion-reference.npz" : a.reference;
}

}  // namespace tstitch
