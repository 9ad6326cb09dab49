#include "tstitch/zoo/families/sdxl.h"

#include <string>

#include "tstitch/base/error.h"
#include "tstitch/zoo/config_reader.h"
#include "tstitch/zoo/scheduler_config.h"

namespace tstitch {
namespace {

constexpr int64_t kSecondWidth = 1280;  // of the second text encoder's tokens, all that the refiner reads

struct Relative {
  const char *tensor, *why;  // by which it is known
};
constexpr Relative kRelatives[] = {
    {"edm_mean", "Playground v2.5, whose latents are normalised and whose noise is EDM's"},
    {"edm_vpred.sigma_max", "CosXL, whose noise is EDM's"},
    {"encoder_hid_proj.weight", "Kolors, which reads the texts of a ChatGLM3"}};

void refuse_relatives(const ModelSource& source) {
  constexpr const char* kExpected = ": expected SDXL's latents, noise and text encoders";
  for (const auto& [name, why] : kRelatives)
    for (const char* prefix : {"", "model.diffusion_model."})
      check(!source.tensors.tensors().contains(concat(prefix, name)), ErrorKind::input, source.tensors.path(),
            ": the tensor \"", prefix, name, "\" is that of ", why, kExpected);
  if (source.files.scheduler.empty()) return;
  const ModelConfig scheduler = read_scheduler_file(source.files.scheduler);
  std::string name;
  ConfigReader(scheduler.object, scheduler.where).read("_class_name", name);
  check(!name.starts_with("EDM"), ErrorKind::input, scheduler.where, ": \"_class_name\" is \"",
        printable(name, 60), "\", as of ", kRelatives[0].why, kExpected);
}

void describe_condition(const ModelSource& source, const UNetConfig& unet, const ModelConfig& config,
                        ConditionInfo& condition) {
  condition.scored = unet.context_width == kSecondWidth;
  if (!config.object.is_null())
    ConfigReader(config.object, config.where)
        .read("addition_time_embed_dim", condition.number_width, 2, 1 << 16);
  condition.empty_is_zeros = !condition.scored;
  if (!source.files.index.empty()) {
    const ModelConfig index = read_config_file(source.files.index);
    const ConfigReader reader(index.object, index.where);
    reader.read("requires_aesthetics_score", condition.scored);
    reader.read("force_zeros_for_empty_prompt", condition.empty_is_zeros);
  }
  const int64_t numbers = (condition.scored ? 5 : 6) * condition.number_width;
  condition.pooled_width = unet.added_width - numbers;
  check(condition.pooled_width > 0, ErrorKind::input, source.tensors.path(), ": an added condition of ",
        unet.added_width, " numbers, expected more than the ", numbers, " of its sizes");
}

void read_markers(const TensorFile& file, ModelInfo& info) {
  const auto& metadata = file.metadata();
  const auto prediction = metadata.find("modelspec.prediction_type");
  if (file.tensors().contains("v_pred") || (prediction != metadata.end() && prediction->second == "v"))
    info.prediction = Parameterization::v;
  info.noise.zero_snr = file.tensors().contains("ztsnr");
  info.says_training = info.prediction == Parameterization::v || info.noise.zero_snr;
}

}  // namespace

void describe_sdxl(const ModelSource& source, const UNetConfig& unet, const ModelConfig& config,
                   ModelInfo& info) {
  refuse_relatives(source);
  describe_condition(source, unet, config, info.condition);
  read_markers(source.tensors, info);
  info.side = 128;
  info.latent_scale = 0.13025;
  info.defaults.sampler = "euler";
  info.defaults.spacing.spacing = Spacing::leading;
  info.defaults.cfg_scale = 5;
}

}  // namespace tstitch
