#include "tstitch/zoo/feature_file.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tstitch/base/error.h"
#include "tstitch/io/checkpoint.h"
#include "tstitch/io/json.h"
#include "tstitch/models/clip_text_keys.h"
#include "tstitch/models/demo_classifier.h"
#include "tstitch/models/inception_v3.h"
#include "tstitch/zoo/builtin_tokenizer.h"
#include "tstitch/zoo/clip_text_config.h"
#include "tstitch/zoo/config_reader.h"
#include "tstitch/zoo/file_weights.h"
#include "tstitch/zoo/naming_file.h"
#include "tstitch/zoo/two_towers.h"

namespace tstitch {
namespace {

DemoClassifierConfig read_demo_classifier_config(const nlohmann::json& object, const std::string& where) {
  const ConfigReader reader(object, where);
  DemoClassifierConfig c;
  reader.read("input_size", c.input_size, 1, 4096);
  reader.read("in_channels", c.in_channels, 1, 4);
  reader.read("widths", c.widths, 1, 65536);
  reader.read("kernels", c.kernels, 1, 15);
  reader.read("features", c.features, 1, 65536);
  reader.read("num_classes", c.num_classes, 1, 65536);
  const int64_t layers = std::ssize(c.widths);
  check(layers > 0 && std::ssize(c.kernels) == layers, ErrorKind::input, where, ": ", layers,
        " \"widths\" and ", c.kernels.size(), " \"kernels\", expected as many of both");
  for (const int64_t kernel : c.kernels)
    check(kernel % 2 == 1, ErrorKind::input, where, ": \"kernels\" holds ", kernel, ", expected odd ones");
  reader.read("spatial_layer", c.spatial_layer, 0, layers - 1);
  reader.read("spatial_channels", c.spatial_channels, 1, c.widths[static_cast<size_t>(c.spatial_layer)]);
  return c;
}

// Of a file whose text encoder's own configuration is the key "text".
TwoTowersConfig read_two_towers_config(const nlohmann::json& object, const std::string& where,
                                       const FileWeights& weights) {
  TwoTowersConfig c{.picture = read_demo_classifier_config(object, where),
                    .text = read_clip_text_config(object.at("text"), where + ", \"text\""),
                    .tokens = {}};
  ConfigReader(object, where).read("tokens", c.tokens, 0, ClipTokenizer::kEnd);
  check(std::ranges::is_sorted(c.tokens) && !c.tokens.empty() && c.tokens.back() == ClipTokenizer::kEnd,
        ErrorKind::input, where, ": \"tokens\" are ", c.tokens.size(),
        " numbers, expected rising ones up to ", ClipTokenizer::kEnd);
  c.text.vocabulary = std::ssize(c.tokens) + 1;
  c.text.projection = clip_projection(ClipTextKeys(weights));
  check(c.text.projection == c.picture.num_classes, ErrorKind::input, where, ": the embeddings of texts are ",
        c.text.projection, " wide and those of pictures ", c.picture.num_classes);
  return c;
}

}  // namespace

std::unique_ptr<FeatureExtractor> load_feature_extractor(Backend& backend, const std::string& path) {
  const TensorFile file = open_checkpoint(path);
  const FileWeights weights(file);
  return naming_file(file.path(), [&]() -> std::unique_ptr<FeatureExtractor> {
    if (is_inception_v3(weights)) return load_inception_v3(backend, weights);
    check(weights.shape("hidden.weight") && file.metadata().contains("config"), ErrorKind::input,
          "not a feature network: expected InceptionV3 under pytorch-fid's names or the demo family's "
          "(fashion-features.safetensors)");
    const std::string where = concat(file.path(), ": metadata \"config\"");
    const nlohmann::json object = parse_json(file.metadata().at("config"), where);
    if (object.is_object() && object.contains("text"))
      return std::make_unique<TwoTowers>(read_two_towers_config(object, where, weights), backend, weights,
                                         builtin_tokenizer());
    return std::make_unique<DemoClassifier>(read_demo_classifier_config(object, where),
                                            Weights(backend, weights));
  });
}

}  // namespace tstitch
