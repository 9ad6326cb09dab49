// The U-Nets of latent diffusion as the engine sees them.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "tstitch/models/unet_config.h"
#include "tstitch/zoo/architecture.h"
#include "tstitch/zoo/model_info.h"

namespace tstitch {

class UNetArchitecture final : public Architecture {
 public:
  // prefix: of the names of its tensors. classes: rows of the embedding of classes that makes the context, 0
  // where a text does. choice: ema takes the running average that lies beside the weights ("model_ema.").
  UNetArchitecture(const UNetConfig& config, std::string prefix, int64_t classes, WeightChoice choice)
      : config_(config), prefix_(std::move(prefix)), classes_(classes), choice_(choice) {}

  std::string name() const override;  // "Stable Diffusion 1", "BK-SDM Tiny", ..., else "U-Net"
  nlohmann::ordered_json details() const override;
  int64_t parameters() const override { return unet_parameters(config_); }
  double flops(int64_t height, int64_t width) const override;
  int64_t unit() const override { return config_.factor(); }
  std::unique_ptr<WeightSource> weights(const TensorFile& file) const override;
  std::unique_ptr<Backbone> load(Backend& backend, const WeightSource& weights) const override;

  const UNetConfig& config() const { return config_; }

 private:
  UNetConfig config_;
  std::string prefix_;
  int64_t classes_;
  WeightChoice choice_;
};

// Whether the file holds a U-Net, alone or in a checkpoint of everything.
bool is_unet(const TensorFile& file);

// Makes `info` that of the file's U-Net: architecture, latents, condition, noise, and the defaults of its
// reference, as far as neither says otherwise. config: unet/config.json of diffusers, or nothing: then all
// follows from the shapes, but for what Stable Diffusion 2 predicts: `prediction`, or nothing for v. Throws
// Error{input}.
void describe_unet(ModelInfo& info, const TensorFile& file, const nlohmann::json* config,
                   const std::string& where, std::optional<Parameterization> prediction);

}  // namespace tstitch
