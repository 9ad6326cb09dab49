// The U-Nets of latent diffusion: LDM (Rombach et al. 2022, arXiv 2112.10752), Stable Diffusion 1 and 2,
// BK-SDM, and SDXL's kind (sdxl.h).
#pragma once

#include <string>

#include "tstitch/models/unet_config.h"
#include "tstitch/zoo/architecture.h"
#include "tstitch/zoo/family.h"
#include "tstitch/zoo/model_info.h"

namespace tstitch {

class UNetArchitecture final : public Architecture {
 public:
  // prefix: of the names of its tensors. tokens: of a context, for what an evaluation costs. choice: see
  // UNetWeights.
  UNetArchitecture(const UNetConfig& config, std::string prefix, int64_t tokens, WeightChoice choice)
      : config_(config), prefix_(std::move(prefix)), tokens_(tokens), choice_(choice) {}

  // "Stable Diffusion 1", "BK-SDM Tiny", ..., "Stable Diffusion XL, pruned (1.02 B)", else "U-Net"
  std::string name() const override;
  nlohmann::ordered_json details() const override;
  int64_t parameters() const override { return unet_parameters(config_); }
  int64_t body_parameters() const override { return unet_body_parameters(config_); }
  double flops(int64_t height, int64_t width) const override;
  std::string form_obstacle(const CheaperForm& form) const override;
  double flops_in(const CheaperForm& form, double whole, int64_t height, int64_t width) const override;
  int64_t blocks() const override { return unet_blocks(config_); }
  int64_t kept_bytes(const CheaperForm& form, int64_t height, int64_t width, DType compute) const override;
  int64_t activation_bytes(int64_t height, int64_t width, DType compute) const override {
    return unet_activation_bytes(config_, height, width, compute);
  }
  // Diffusers' networks of texts take any latent; CompVis' code of classes only what can be halved whole.
  int64_t unit() const override { return tokens_ > 1 ? 1 : config_.factor(); }
  std::unique_ptr<WeightSource> weights(const TensorFile& file) const override;
  LoraNames lora_names() const override { return unet_lora_names(config_); }
  std::string control_obstacle(const ControlNetConfig& net) const override;
  bool has_encoder(const UNetConfig& unet) const override;
  std::unique_ptr<Network> load(Backend& backend, const WeightSource& weights) const override;

  const UNetConfig& config() const { return config_; }

 private:
  UNetConfig config_;
  std::string prefix_;
  int64_t tokens_;
  WeightChoice choice_;
};

// Of the published networks, by name, those that a ControlNet can steer.
std::vector<std::string> known_networks_steered_by(const ControlNetConfig& net);

// Whether the tensors hold a U-Net, alone or in a checkpoint of everything.
bool is_unet(const ModelSource& source);

// By diffusers' unet/config.json, else by its shapes, which do not show what Stable Diffusion 2 predicts:
// then as source.prediction says, else v. Of classes where an embedding of classes lies with it, else of
// texts.
ModelInfo describe_unet(const ModelSource& source);

}  // namespace tstitch
