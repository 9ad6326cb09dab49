#include "tstitch/zoo/dit_architecture.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "tstitch/zoo/diffusers_dit.h"
#include "tstitch/zoo/dit_network.h"
#include "tstitch/zoo/file_weights.h"

namespace tstitch {
namespace {

class DiTBackbone final : public Backbone {
 public:
  DiTBackbone(const DiTConfig& config, const Weights& weights) : dit_(config, weights) {}

  std::unique_ptr<Network> bind(const Conditions& conditions, int64_t height, int64_t width) const override {
    std::vector<int64_t> classes = conditions.subjects;
    for (int64_t& c : classes)
      if (c == Conditions::kNull) c = dit_.config().null_class();
    return std::make_unique<DiTNetwork>(dit_, std::move(classes), height, width);
  }

 private:
  DiT dit_;
};

}  // namespace

nlohmann::ordered_json DiTArchitecture::details() const {
  return {{"patch_size", config_.patch_size}, {"hidden_size", config_.hidden_size},
          {"depth", config_.depth},           {"num_heads", config_.num_heads},
          {"mlp_ratio", config_.mlp_ratio},   {"learn_sigma", config_.learn_sigma}};
}

std::unique_ptr<WeightSource> DiTArchitecture::weights(const TensorFile& file) const {
  if (is_diffusers_dit(file)) return std::make_unique<DiffusersDiTWeights>(file);
  return std::make_unique<FileWeights>(file);
}

std::unique_ptr<Backbone> DiTArchitecture::load(Backend& backend, const WeightSource& weights) const {
  return std::make_unique<DiTBackbone>(config_, Weights(backend, weights));
}

void describe_dit(ModelInfo& info, const DiTConfig& config) {
  info.architecture = std::make_shared<DiTArchitecture>(config);
  info.channels = config.in_channels;
  info.side = config.input_size;
  // Four channels are Stable Diffusion 1's; sixteen have been scaled by a different number in every family.
  if (config.in_channels != 4) info.latent_scale.reset();
  info.num_classes = config.num_classes;
  // Meta's code guides 3 of 4 channels (tstitch/diffusion/guidance.h).
  info.defaults.cfg_channels = config.in_channels == 4 ? 3 : 0;
}

}  // namespace tstitch
