// What is accepted as the configuration of a model must describe one: its sizes are positive, fit each other,
// and its betas are a schedule.
#include <nlohmann/json.hpp>

#include "fuzz/expect_input_error.h"
#include "tstitch/io/json.h"
#include "tstitch/zoo/diffusers_control_net.h"
#include "tstitch/zoo/diffusers_unet.h"
#include "tstitch/zoo/families/dit.h"
#include "tstitch/zoo/model_config.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
  using namespace tstitch;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  expect_input_error([&] {
    const ModelInfo info = describe_dit({parse_json(text, "fuzz"), "fuzz"});
    const DiTConfig& c = dynamic_cast<const DiTArchitecture&>(*info.architecture).config();
    if (c.input_size % c.patch_size || c.hidden_size % c.num_heads || dit_parameters(c) <= 0) abort();
  });
  expect_input_error([&] {
    ModelInfo info;
    const ModelConfig scheduler{parse_json(text, "fuzz"), "fuzz"};
    read_training(scheduler, info);
    read_sampling(scheduler, info);
    if (info.noise.timesteps < 1) abort();
  });
  expect_input_error([&] {
    if (unet_parameters(read_diffusers_unet_config(parse_json(text, "fuzz"), "fuzz")) <= 0) abort();
  });
  expect_input_error([&] {
    bool takes_bgr = false;
    if (control_net_parameters(
            read_diffusers_control_net_config(parse_json(text, "fuzz"), "fuzz", takes_bgr)) <= 0)
      abort();
  });
  expect_input_error([&] {
    AutoencoderKLConfig config;
    read_autoencoder_config(parse_json(text, "fuzz"), "fuzz", config);
    if (!(config.scaling_factor > 0) || config.norm_num_groups < 1) abort();
  });
  return 0;
}
