#include "tstitch/zoo/model.h"

#include <algorithm>
#include <filesystem>

#include "tstitch/base/clock.h"
#include "tstitch/base/error.h"
#include "tstitch/nn/random_weights.h"
#include "tstitch/zoo/naming_file.h"

namespace tstitch {
namespace {

// A network that is told the guidance is a distilled one, whose sampling is not another's; and one that sees
// a mask was trained anew, of Stable Diffusion 2 to predict something else.
bool takes_scheduler(const ModelInfo& info, const ModelInfo& other) {
  return info.condition.kind == ConditionKind::text && info.condition.width == other.condition.width &&
         info.condition.told_guidance == other.condition.told_guidance &&
         info.condition.sees_mask == other.condition.sees_mask;
}

// The last of the others for which that holds.
template <class F>
const ModelInfo* last_of(const std::vector<ModelInfo>& others, const F& holds) {
  const auto found = std::find_if(others.rbegin(), others.rend(), holds);
  return found == others.rend() ? nullptr : &*found;
}

// Those of `one` that `info` reads with; none where one of them is missing.
std::vector<std::string> text_encoders_for(const ModelInfo& info, const ModelInfo& one) {
  const std::vector<ClipPlace> has = one.condition.encoders();
  std::vector<std::string> taken;
  if (one.files.text_encoders.size() != has.size()) return {};
  for (const ClipPlace place : info.condition.encoders()) {
    const auto found = std::ranges::find(has, place);
    if (found == has.end()) return {};
    taken.push_back(one.files.text_encoders[static_cast<size_t>(found - has.begin())]);
  }
  return taken;
}

// Texts encoded alike; SDXL's refiner reads what the second of its encoders makes of them. What no negative
// prompt is belongs to how these networks were trained, too.
void share_text_encoders(const std::vector<ModelInfo>& others, ModelInfo& info) {
  if (!info.files.text_encoders.empty() || info.condition.kind != ConditionKind::text) return;
  const ModelInfo* other = last_of(others, [&](const ModelInfo& one) {
    const bool alike = one.condition.width == info.condition.width || info.condition.scored;
    return alike && one.condition.pooled_width == info.condition.pooled_width &&
           !text_encoders_for(info, one).empty();
  });
  if (!other) return;
  info.files.text_encoders = text_encoders_for(info, *other);
  if (other->condition.scored == info.condition.scored)
    info.condition.empty_is_zeros = other->condition.empty_is_zeros;
}

bool are_latents_alike(const ModelInfo& a, const ModelInfo& b) {
  return a.condition.kind == b.condition.kind && !a.pixels && !b.pixels && a.channels == b.channels &&
         a.latent_scale == b.latent_scale;
}

void share_autoencoder(const std::vector<ModelInfo>& others, ModelInfo& info) {
  if (!info.files.vae.empty()) return;
  const ModelInfo* other = last_of(
      others, [&](const ModelInfo& one) { return !one.files.vae.empty() && are_latents_alike(one, info); });
  if (!other) return;
  info.files.vae = other->files.vae;
  info.pixels_per_latent = other->pixels_per_latent;
}

// Where both read texts of one encoding, what the scheduler beside the other says of training, unless the
// file itself does, and of sampling. A file with an autoencoder of its own is whole.
void share_scheduler(const std::vector<ModelInfo>& others, ModelInfo& info) {
  if (!info.files.vae.empty() || !info.files.scheduler.empty()) return;
  const ModelInfo* other = last_of(others, [&](const ModelInfo& one) {
    return !one.files.scheduler.empty() && are_latents_alike(one, info);
  });
  if (!other || !takes_scheduler(info, *other)) return;
  info.defaults = other->defaults;
  if (info.says_training) return;
  info.noise = other->noise;
  info.prediction = other->prediction;
}

// A network that comes alone takes what the last of the others of its kind brings.
void share_companions(std::vector<ModelInfo>& infos) {
  const std::vector<ModelInfo> as_read = infos;
  for (ModelInfo& info : infos) {
    share_text_encoders(as_read, info);
    share_scheduler(as_read, info);
    share_autoencoder(as_read, info);
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

Model load_model(const ModelInfo& info, Backend& backend, int threads) {
  const Stopwatch stopwatch;
  const TensorFile file = open_weights(info.files, info.weights);
  Model model{.info = info, .network = naming_file(file.path(), [&] {
                              const auto weights = info.architecture->weights(file);
                              return info.architecture->load(backend,
                                                             MergedWeights(*weights, info.loras, threads));
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
