#include "tstitch/zoo/model.h"

#include <algorithm>
#include <filesystem>

#include "tstitch/base/clock.h"
#include "tstitch/base/error.h"
#include "tstitch/nn/random_weights.h"
#include "tstitch/zoo/naming_file.h"

namespace tstitch {
namespace {

// A network that comes alone takes the autoencoder of the last of the others whose latents are the same.
void share_autoencoders(std::vector<ModelInfo>& infos) {
  const auto fits = [](const ModelInfo& a, const ModelInfo& b) {
    return a.condition.kind == b.condition.kind && !a.pixels && !b.pixels && a.channels == b.channels &&
           a.latent_scale == b.latent_scale;
  };
  for (ModelInfo& info : infos) {
    if (!info.files.vae.empty()) continue;
    const auto other = std::find_if(infos.rbegin(), infos.rend(), [&](const ModelInfo& one) {
      return !one.files.vae.empty() && fits(one, info);
    });
    if (other == infos.rend()) continue;
    info.files.vae = other->files.vae;
    info.pixels_per_latent = other->pixels_per_latent;
  }
}

}  // namespace

std::vector<ModelInfo> read_model_infos(const std::vector<std::string>& paths, WeightChoice weights,
                                        std::optional<Parameterization> prediction) {
  std::vector<ModelInfo> infos;
  for (const std::string& path : paths) infos.push_back(read_model_info(path, weights, prediction));
  share_autoencoders(infos);
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
  Model model{.info = info, .network = naming_file(file.path(), [&] {
                              const auto weights = info.architecture->weights(file);
                              return info.architecture->load(backend, *weights);
                            })};
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
