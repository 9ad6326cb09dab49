#include "tstitch/zoo/model.h"

#include <algorithm>
#include <filesystem>

#include "tstitch/base/clock.h"
#include "tstitch/base/error.h"
#include "tstitch/nn/random_weights.h"
#include "tstitch/zoo/naming_file.h"

namespace tstitch {
namespace {

// A network that is told the guidance is a distilled one, whose sampling is not another's.
bool takes_scheduler(const ModelInfo& info, const ModelInfo& other) {
  return info.condition.kind == ConditionKind::text && info.condition.width == other.condition.width &&
         info.condition.told_guidance == other.condition.told_guidance;
}

// Texts encoded alike. What no negative prompt is belongs to how these networks were trained, too.
void share_text_encoders(const std::vector<ModelInfo>& others, ModelInfo& info) {
  if (!info.files.text_encoders.empty() || info.condition.kind != ConditionKind::text) return;
  const auto found = std::find_if(others.rbegin(), others.rend(), [&](const ModelInfo& one) {
    return !one.files.text_encoders.empty() && one.condition.width == info.condition.width &&
           one.condition.encoders() == info.condition.encoders();
  });
  if (found == others.rend()) return;
  info.files.text_encoders = found->files.text_encoders;
  info.condition.empty_is_zeros = found->condition.empty_is_zeros;
}

// A network that comes alone takes what the last of the others of its kind brings: the text encoders, the
// autoencoder and, where both read texts of one encoding, what the scheduler beside that one says of training
// and sampling.
void share_companions(std::vector<ModelInfo>& infos) {
  const std::vector<ModelInfo> as_read = infos;
  for (ModelInfo& info : infos) {
    share_text_encoders(as_read, info);
    if (!info.files.vae.empty()) continue;
    const auto last_with = [&](std::string ModelFiles::*companion) {
      const auto found = std::find_if(as_read.rbegin(), as_read.rend(), [&](const ModelInfo& one) {
        return !(one.files.*companion).empty() && one.condition.kind == info.condition.kind && !one.pixels &&
               !info.pixels && one.channels == info.channels && one.latent_scale == info.latent_scale;
      });
      return found == as_read.rend() ? nullptr : &*found;
    };
    if (const ModelInfo* other = last_with(&ModelFiles::vae)) {
      info.files.vae = other->files.vae;
      info.pixels_per_latent = other->pixels_per_latent;
    }
    if (const ModelInfo* other = last_with(&ModelFiles::scheduler);
        other && info.files.scheduler.empty() && takes_scheduler(info, *other)) {
      info.noise = other->noise;
      info.prediction = other->prediction;
      info.defaults = other->defaults;
    }
  }
}

}  // namespace

std::vector<ModelInfo> read_model_infos(const std::vector<std::string>& paths, WeightChoice weights,
                                        std::optional<Parameterization> prediction) {
  std::vector<ModelInfo> infos;
  for (const std::string& path : paths) infos.push_back(read_model_info(path, weights, prediction));
  share_companions(infos);
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
