// The DiT (Peebles & Xie 2022, arXiv 2212.09748), under its official names or diffusers'.
#pragma once

#include <string>

#include "tstitch/models/dit.h"
#include "tstitch/zoo/architecture.h"
#include "tstitch/zoo/family.h"
#include "tstitch/zoo/model_info.h"

namespace tstitch {

struct ModelConfig;

class DiTArchitecture final : public Architecture {
 public:
  explicit DiTArchitecture(const DiTConfig& config) : config_(config) {}

  std::string name() const override { return dit_name(config_); }
  nlohmann::ordered_json details() const override;
  int64_t parameters() const override { return dit_parameters(config_); }
  int64_t body_parameters() const override { return dit_body_parameters(config_); }
  double flops(int64_t height, int64_t width) const override { return dit_flops(config_, height, width); }
  int64_t activation_bytes(int64_t height, int64_t width, DType compute) const override {
    return dit_activation_bytes(config_, height, width, compute);
  }
  int64_t unit() const override { return config_.patch_size; }
  std::string form_obstacle(const CheaperForm& form) const override;
  double flops_in(const CheaperForm& form, double whole, int64_t height, int64_t width) const override;
  int64_t blocks() const override { return config_.depth; }
  std::unique_ptr<WeightSource> weights(const TensorFile& file) const override;
  std::unique_ptr<Network> load(Backend& backend, const WeightSource& weights) const override;

  const DiTConfig& config() const { return config_; }

 private:
  DiTConfig config_;
};

// Whether the tensors are a DiT's, or a configuration lies with them.
bool is_dit(const ModelSource& source);

// By its configuration (find_config), else by its shapes.
ModelInfo describe_dit(const ModelSource& source);

// A DiT by a configuration: ours (assets/README.md), or diffusers' when it names its class. Throws
// Error{input} with the key for what is of the wrong type, out of range or contradicts itself.
ModelInfo describe_dit(const ModelConfig& config);

// A DiT of these sizes as the DiT code trains and samples it.
ModelInfo dit_info(const DiTConfig& config, const std::string& name = "");

}  // namespace tstitch
