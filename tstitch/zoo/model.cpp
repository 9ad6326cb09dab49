#include "tstitch/zoo/model.h"

#include <algorithm>
#include <filesystem>

#include "tstitch/base/clock.h"
#include "tstitch/base/error.h"
#include "tstitch/nn/random_weights.h"

namespace tstitch {

std::vector<ModelInfo> read_model_infos(const std::vector<std::string>& paths, WeightChoice weights,
                                        std::optional<Parameterization> prediction) {
  std::vector<ModelInfo> infos;
  for (const std::string& path : paths) infos.push_back(read_model_info(path, weights, prediction));
  // Files of different models often have one name, in folders that tell them apart.
  const std::vector<std::string> names = names_of(infos);
  for (size_t i = 0; i < infos.size(); ++i)
    if (std::ranges::count(names, names[i]) > 1) {
      const auto path = std::filesystem::absolute(infos[i].files.path).lexically_normal();
      const auto folder = (path.has_filename() ? path : path.parent_path()).parent_path();
      infos[i].name = printable(folder.filename().string()) + "/" + names[i];
    }
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

Model random_model(const ModelInfo& info, uint64_t seed, Backend& backend) {
  const Stopwatch stopwatch;
  Model model{.info = info, .network = info.architecture->load(backend, RandomWeights(info.name, seed))};
  model.load_seconds = stopwatch.seconds();
  return model;
}

}  // namespace tstitch
