// The DiT as the engine sees it.
#pragma once

#include "tstitch/models/dit.h"
#include "tstitch/zoo/architecture.h"
#include "tstitch/zoo/model_info.h"

namespace tstitch {

class DiTArchitecture final : public Architecture {
 public:
  explicit DiTArchitecture(const DiTConfig& config) : config_(config) {}

  std::string name() const override { return dit_name(config_); }
  nlohmann::ordered_json details() const override;
  int64_t parameters() const override { return dit_parameters(config_); }
  double flops(int64_t height, int64_t width) const override { return dit_flops(config_, height, width); }
  int64_t unit() const override { return config_.patch_size; }
  // Official names, or diffusers' (diffusers_dit.h).
  std::unique_ptr<WeightSource> weights(const TensorFile& file) const override;
  std::unique_ptr<Backbone> load(Backend& backend, const WeightSource& weights) const override;

  const DiTConfig& config() const { return config_; }

 private:
  DiTConfig config_;
};

// Makes `info` that of a DiT: architecture, latents, classes, and the defaults of the DiT code.
void describe_dit(ModelInfo& info, const DiTConfig& config);

}  // namespace tstitch
