#include "tstitch/zoo/unet_architecture.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "tstitch/base/error.h"
#include "tstitch/base/philox.h"
#include "tstitch/models/unet.h"
#include "tstitch/models/unet_keys.h"
#include "tstitch/ops/ops.h"
#include "tstitch/zoo/config_reader.h"
#include "tstitch/zoo/diffusers_unet.h"
#include "tstitch/zoo/file_weights.h"
#include "tstitch/zoo/unet_network.h"

namespace tstitch {
namespace {

constexpr std::array<std::string_view, 2> kPrefixes = {"", "model.diffusion_model."};
constexpr const char* kClassTable = "cond_stage_model.embedding.weight";
constexpr int64_t kTextTokens = 77;  // of one chunk of text

struct Known {
  const char *preset, *name;
};
constexpr std::array<Known, 12> kKnown = {{{"sd1", "Stable Diffusion 1"},
                                           {"sd2", "Stable Diffusion 2"},
                                           {"bk_base", "BK-SDM Base"},
                                           {"bk_small", "BK-SDM Small"},
                                           {"bk_tiny", "BK-SDM Tiny"},
                                           {"bk_v2_base", "BK-SDM-v2 Base"},
                                           {"bk_v2_small", "BK-SDM-v2 Small"},
                                           {"bk_v2_tiny", "BK-SDM-v2 Tiny"},
                                           {"ldm", "LDM"},
                                           {"ldm_s", "LDM-S"},
                                           {"sdxl", "Stable Diffusion XL"},
                                           {"ssd1b", "SSD-1B"}}};

// The tensors of the original code's running average beside those of the network: without the dots in their
// names.
class AverageWeights final : public WeightSource {
 public:
  explicit AverageWeights(const FileWeights& file) : file_(file) {}

  static std::string stored_name(const std::string& name) {
    constexpr std::string_view kModel = "model.";
    std::string bare = name.substr(name.starts_with(kModel) ? kModel.size() : 0);
    std::erase(bare, '.');
    return "model_ema." + bare;
  }

  std::optional<Shape> shape(const std::string& name) const override {
    return file_.shape(stored_name(name));
  }
  Tensor load(const std::string& name, const Shape& expected, DType dtype) const override {
    return file_.load(stored_name(name), expected, dtype);
  }

 private:
  const FileWeights& file_;
};

// A U-Net's tensors under diffusers' names, and the embedding of its classes under its own.
class UNetWeights final : public WeightSource {
 public:
  UNetWeights(const TensorFile& file, const std::string& prefix, WeightChoice choice)
      : file_(file), average_(file_), keys_(source(prefix, choice), prefix) {}

  std::optional<Shape> shape(const std::string& name) const override {
    return name == kClassTable ? file_.shape(name) : keys_.shape(name);
  }
  Tensor load(const std::string& name, const Shape& expected, DType dtype) const override {
    return name == kClassTable ? file_.load(name, expected, dtype) : keys_.load(name, expected, dtype);
  }

 private:
  const WeightSource& source(const std::string& prefix, WeightChoice choice) const {
    const bool averaged = UNetKeys::recognises(average_, prefix);
    check(averaged || choice != WeightChoice::ema || prefix.empty(), ErrorKind::input,
          "the checkpoint holds no running average (EMA) of the U-Net");
    if (averaged && choice != WeightChoice::model) return average_;
    return file_;
  }

  FileWeights file_;
  AverageWeights average_;
  UNetKeys keys_;
};

// Uniform random numbers in [0, 1), fixed for the trajectory, as the reference takes them. Here they belong
// to the image.
void draw_null_context(std::span<float> token, uint64_t image, uint64_t seed) {
  for (size_t i = 0; i < token.size(); i += 4) {
    // The draw ~1 keeps this stream apart from the noise's and the classes' (tstitch/diffusion/noise.h).
    const PhiloxBlock block = philox(
        {static_cast<uint32_t>(i / 4), ~1u, static_cast<uint32_t>(image), static_cast<uint32_t>(image >> 32)},
        seed);
    for (size_t j = 0; j < std::min<size_t>(4, token.size() - i); ++j)
      token[i + j] = static_cast<float>(block[j] >> 8) * 0x1p-24f;
  }
}

class UNetBackbone final : public Backbone {
 public:
  UNetBackbone(const UNetConfig& config, int64_t classes, const Weights& weights)
      : backend_(weights.backend()), unet_(config, weights) {
    if (classes)
      classes_ = (weights / "cond_stage_model.embedding").load("weight", {classes, config.context_width});
  }

  std::unique_ptr<Network> bind(const Conditions& conditions, int64_t, int64_t) const override {
    const Tensor context = classes_ ? class_context(conditions) : text_context(conditions);
    return std::make_unique<UNetNetwork>(backend_, unet_, UNetCondition{.context = context, .added = {}});
  }

 private:
  Tensor text_context(const Conditions& conditions) const {
    const Tensor& contexts = conditions.contexts;
    check_internal(contexts && contexts.columns() == unet_.config().context_width,
                   "a U-Net bound without contexts");
    const int64_t S = contexts.extent(1), W = contexts.extent(2), last = contexts.extent(0) - 1;
    std::vector<int64_t> rows = conditions.subjects;
    for (int64_t& row : rows)
      if (row == Conditions::kNull) row = last;
    return gather(backend_, contexts.reshape({last + 1, S * W}), rows)
        .reshape({static_cast<int64_t>(rows.size()), S, W});
  }

  // One token for each image. No row of the published table stands for "no class".
  Tensor class_context(const Conditions& conditions) const {
    const auto N = static_cast<int64_t>(conditions.subjects.size());
    const int64_t W = unet_.config().context_width;
    Tensor context({N, 1, W}, DType::f32);
    for (int64_t n = 0; n < N; ++n) {
      const std::span<float> token(context.data<float>() + n * W, static_cast<size_t>(W));
      const int64_t subject = conditions.subjects[static_cast<size_t>(n)];
      const Tensor& null = conditions.null_context;
      if (subject != Conditions::kNull)
        std::copy_n(classes_.data<float>() + subject * W, W, token.begin());
      else if (!null)
        draw_null_context(token, conditions.images[static_cast<size_t>(n)], conditions.seed);
      else if (null.elements() == 1)
        std::ranges::fill(token, *null.data<float>());
      else
        std::copy_n(null.data<float>(), W, token.begin());
    }
    return backend_.upload(context);
  }

  Backend& backend_;
  UNet unet_;
  Tensor classes_;  // (classes, context_width) on the host, or empty
};

std::string prefix_of(const TensorFile& file) {
  const FileWeights weights(file);
  for (const std::string_view prefix : kPrefixes)
    if (UNetKeys::recognises(weights, std::string(prefix))) return std::string(prefix);
  fail(ErrorKind::input, file.path(), ": no U-Net");
}

// Rombach et al. 2022, class-conditional on ImageNet (cin-ldm-vq-f8), as T-Stitch samples it.
void describe_class_conditional(ModelInfo& info, int64_t classes, int64_t width) {
  info.num_classes = classes;
  info.class_width = width;
  info.side = 32;
  info.latent_scale = 1;
  info.noise = {.kind = "scaled_linear", .start = 0.0015, .end = 0.0195};
  info.defaults = {.eta = 1,
                   .switch_rule = SwitchRule::ldm,
                   .cfg_scale = 3,
                   .ddim_spacing = Spacing::leading,
                   .spacing = {.offset = 1, .ends_clean = false}};
}

// Stable Diffusion 1 and 2 and what descends from them.
void describe_text_conditional(ModelInfo& info, const UNetConfig& config) {
  info.context_width = config.context_width;
  info.side = config.added_width ? 128 : 64;
  info.latent_scale = config.added_width ? 0.13025 : 0.18215;
  info.noise = {.kind = "scaled_linear", .start = 0.00085, .end = 0.012};
  info.defaults = {.sampler = config.added_width ? "euler" : "pndm",
                   .switch_rule = SwitchRule::step,
                   .cfg_scale = config.added_width ? 5.0 : 7.5,
                   .ddim_spacing = Spacing::leading,
                   .spacing = {.offset = 1, .ends_clean = false}};
}

}  // namespace

std::string UNetArchitecture::name() const {
  for (const auto& [preset, name] : kKnown) {
    UNetConfig config = unet_preset(preset);
    config.in_channels = config_.in_channels;  // inpainting has more
    if (config == config_) return name;
  }
  return "U-Net";
}

nlohmann::ordered_json UNetArchitecture::details() const {
  return {{"block_out_channels", config_.block_out_channels},
          {"heads", config_.heads},
          {"transformer_depths", config_.down},
          {"context", config_.context_width}};
}

double UNetArchitecture::flops(int64_t height, int64_t width) const {
  return unet_flops(config_, height, width, classes_ ? 1 : kTextTokens);
}

std::unique_ptr<WeightSource> UNetArchitecture::weights(const TensorFile& file) const {
  return std::make_unique<UNetWeights>(file, prefix_, choice_);
}

std::unique_ptr<Backbone> UNetArchitecture::load(Backend& backend, const WeightSource& weights) const {
  return std::make_unique<UNetBackbone>(config_, classes_, Weights(backend, weights));
}

bool is_unet(const TensorFile& file) {
  const FileWeights weights(file);
  return std::ranges::any_of(
      kPrefixes, [&](std::string_view prefix) { return UNetKeys::recognises(weights, std::string(prefix)); });
}

void describe_unet(ModelInfo& info, const TensorFile& file, const nlohmann::json* config,
                   const std::string& where, std::optional<Parameterization> prediction) {
  const std::string prefix = prefix_of(file);
  const FileWeights weights(file);
  const UNetConfig unet =
      config ? read_diffusers_unet_config(*config, where) : infer_unet_config(UNetKeys(weights, prefix));
  check(unet.in_channels == unet.out_channels, ErrorKind::input, file.path(), ": a U-Net of ",
        unet.in_channels, " channels that gives ", unet.out_channels,
        ": networks that are told more than the latent (inpainting, depth) cannot be stitched");
  check(unet.added_width == 0, ErrorKind::input, file.path(),
        ": the U-Net of Stable Diffusion XL, whose two text encoders are not read yet");

  int64_t classes = 0;
  if (const auto table = weights.shape(kClassTable)) {
    check(table->rank() == 2 && (*table)[1] == unet.context_width, ErrorKind::input, file.path(),
          ": tensor \"", kClassTable, "\" has the shape ", *table, ", expected (classes, ",
          unet.context_width, ")");
    classes = (*table)[0];
  }
  info.architecture = std::make_shared<UNetArchitecture>(unet, prefix, classes, info.weights);
  info.channels = unet.in_channels;
  if (classes)
    describe_class_conditional(info, classes, unet.context_width);
  else
    describe_text_conditional(info, unet);
  if (config) {
    ConfigReader(*config, where).read("sample_size", info.side, 1, 4096);
  } else if (unet.context_width == 1024) {
    // No shape shows it: most files of Stable Diffusion 2 are those of 768 pixels, which predict v; those of
    // 512 predict eps.
    info.prediction = prediction.value_or(Parameterization::v);
    info.side = info.prediction == Parameterization::v ? 96 : 64;
  }
  if (!prefix.empty() && !classes) info.files.text_encoder = info.files.weights;
}

}  // namespace tstitch
