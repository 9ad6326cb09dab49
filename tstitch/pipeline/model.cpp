#include "tstitch/pipeline/model.h"

#include "tstitch/base/clock.h"
#include "tstitch/nn/random_weights.h"
#include "tstitch/pipeline/dit_architecture.h"

namespace tstitch {

std::vector<ModelInfo> read_model_infos(const std::vector<std::string>& paths, WeightChoice weights,
                                        std::optional<Parameterization> prediction) {
  std::vector<ModelInfo> infos;
  for (const std::string& path : paths) infos.push_back(read_model_info(path, weights, prediction));
  return infos;
}

Model load_model(const ModelInfo& info, Backend& backend) {
  const Stopwatch stopwatch;
  const TensorFile file = open_weights(info.files, info.weights);
  const auto weights = info.architecture->weights(file);
  Model model{.info = info, .network = info.architecture->load(backend, *weights)};
  model.load_seconds = stopwatch.seconds();
  return model;
}

Model random_model(const DiTConfig& config, const std::string& tag, uint64_t seed, Backend& backend) {
  const Stopwatch stopwatch;
  const RandomWeights weights(tag, seed);
  Model model;
  model.info.path = model.info.name = tag;
  describe_dit(model.info, config);
  model.network = model.info.architecture->load(backend, weights);
  model.load_seconds = stopwatch.seconds();
  return model;
}

}  // namespace tstitch
