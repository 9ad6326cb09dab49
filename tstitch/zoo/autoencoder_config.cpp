#include "tstitch/zoo/autoencoder_config.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "tstitch/zoo/expected_values.h"

namespace tstitch {

void check_autoencoder_kl(const nlohmann::json& config, const std::string& where) {
  static const std::vector<ExpectedValue> expected = {
      {"act_fn", "silu"}, {"latents_mean", nullptr}, {"latents_std", nullptr}};
  check_values(config, where, expected);
}

void check_tiny_autoencoder(const nlohmann::json& config, const std::string& where) {
  // Its own files come without one, so what lies beside them may be anything's.
  if (config.is_object() && config.contains("_class_name") && config.at("_class_name") != "AutoencoderTiny")
    return;
  static const std::vector<ExpectedValue> expected = {{"act_fn", "relu"},
                                                      {"latent_magnitude", 3},
                                                      {"latent_shift", 0.5},
                                                      {"num_decoder_blocks", {3, 3, 3, 1}},
                                                      {"num_encoder_blocks", {1, 3, 3, 3}},
                                                      {"scaling_factor", 1},
                                                      {"shift_factor", 0},
                                                      {"upsample_fn", "nearest"},
                                                      {"upsampling_scaling_factor", 2}};
  check_values(config, where, expected);
}

}  // namespace tstitch
