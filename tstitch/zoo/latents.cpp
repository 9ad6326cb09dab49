#include "tstitch/zoo/latents.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tstitch/base/error.h"
#include "tstitch/io/json.h"
#include "tstitch/models/autoencoder_keys.h"
#include "tstitch/models/load_autoencoder.h"
#include "tstitch/ops/ops.h"
#include "tstitch/zoo/autoencoder_config.h"
#include "tstitch/zoo/file_weights.h"
#include "tstitch/zoo/model_config.h"
#include "tstitch/zoo/naming_file.h"

namespace tstitch {
namespace fs = std::filesystem;

ModelFiles find_decoder(const std::string& path) {
  std::error_code ignored;
  const fs::path tiny = fs::path(path) / "taesd_decoder.safetensors";
  return find_model_files(fs::is_regular_file(tiny, ignored) ? tiny.string() : path);
}

namespace {

std::unique_ptr<Autoencoder> load(Backend& backend, const std::string& path, const ModelInfo& model,
                                  bool with_encoder, const ModelFiles& files, const TensorFile& file) {
  const FileWeights weights(file);
  // Beside a checkpoint of everything lies the configuration of its network.
  const bool described = !files.config.empty() && path != model.files.weights;
  std::optional<AutoencoderKLConfig> config;
  if (AutoencoderKeys::recognises(weights)) {
    config = infer_autoencoder_kl_config(AutoencoderKeys(weights));
    check(described || model.latent_scale, ErrorKind::input, "\"", printable(path),
          "\" has no config.json that says by what latents of ", model.channels,
          " channels are scaled (\"scaling_factor\", \"shift_factor\")");
    if (described) {
      const nlohmann::json object = parse_json_file(files.config);
      check_autoencoder_kl(object, files.config);
      read_autoencoder_config(object, files.config, *config);
    } else {
      config->scaling_factor = *model.latent_scale;
    }
    config->encoder = with_encoder;
  } else if (described) {
    check_tiny_autoencoder(parse_json_file(files.config), files.config);
  }
  // The halves of a tiny autoencoder are files of their own.
  const fs::path tiny = fs::path(files.weights).replace_filename("taesd_encoder.safetensors");
  std::error_code ignored;
  std::optional<TensorFile> tiny_file;
  if (with_encoder && !config && fs::is_regular_file(tiny, ignored))
    tiny_file = open_checkpoint(tiny.string(), WeightChoice::automatic);
  std::optional<FileWeights> tiny_weights;
  if (tiny_file) tiny_weights.emplace(*tiny_file);
  auto autoencoder = load_autoencoder(backend, weights, config, tiny_weights ? &*tiny_weights : nullptr);
  const int64_t channels = model.channels;
  check(autoencoder->can_decode(), ErrorKind::input, "\"", printable(path), "\" has no decoder");
  check(!with_encoder || autoencoder->can_encode(), ErrorKind::input, "\"", printable(path),
        "\" has no encoder, which an initial picture needs");
  check(autoencoder->latent_channels() == channels && autoencoder->factor() == model.pixels_per_latent,
        ErrorKind::input, "\"", printable(path), "\" decodes latents of ", autoencoder->latent_channels(),
        " channels to pictures ", autoencoder->factor(), " times as wide, but those of ", model.name,
        " have ", channels, " channels and need ", model.pixels_per_latent);
  return autoencoder;
}

}  // namespace

std::unique_ptr<Autoencoder> load_decoder(Backend& backend, const std::string& path, const ModelInfo& model,
                                          bool with_encoder) {
  const ModelFiles files = find_decoder(path);
  const TensorFile file = open_weights(files, WeightChoice::automatic);
  return naming_file(file.path(), [&] { return load(backend, path, model, with_encoder, files, file); });
}

Tensor decode(Backend& backend, const Autoencoder& autoencoder, const Tensor& latents) {
  const int64_t N = latents.extent(0), f = autoencoder.factor();
  Tensor pictures({N, 3, f * latents.extent(2), f * latents.extent(3)}, DType::f32);
  const int64_t size = pictures.elements() / N;
  for (int64_t i = 0; i < N; ++i) {
    const Tensor z = to_channels_last(backend, backend.upload(latents.slice(i, i + 1)));
    const Tensor scaled =
        combine(backend, {{1 / autoencoder.scaling_factor(), &z}}, autoencoder.shift_factor());
    const Tensor picture = backend.download(to_channels_first(backend, autoencoder.decode(scaled)));
    std::copy_n(picture.data<float>(), size, pictures.data<float>() + i * size);
  }
  return pictures;
}

Tensor encode(Backend& backend, const Autoencoder& autoencoder, const Tensor& picture) {
  const Tensor batch = picture.reshape({1, picture.extent(0), picture.extent(1), picture.extent(2)});
  const Tensor mean = autoencoder.encode(to_channels_last(backend, backend.upload(batch))).mean;
  const double scale = autoencoder.scaling_factor();
  return backend.download(
      to_channels_first(backend, combine(backend, {{scale, &mean}}, -scale * autoencoder.shift_factor())));
}

}  // namespace tstitch
