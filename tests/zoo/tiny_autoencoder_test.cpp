// The published tiny autoencoder, from its files.
#include "tstitch/models/tiny_autoencoder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <tuple>

#include "tests/support/expect_error.h"
#include "tstitch/base/error.h"
#include "tstitch/io/safetensors.h"
#include "tstitch/models/load_autoencoder.h"
#include "tstitch/ops/ops.h"
#include "tstitch/zoo/autoencoder_config.h"
#include "tstitch/zoo/file_weights.h"

namespace tstitch {
namespace {

// A picture with what photographs have: a sky that fades, hills, a sun, and no noise. (1, 3, 256, 256) in
// [-1, 1].
Tensor landscape() {
  constexpr int64_t kSide = 256;
  Tensor picture({1, 3, kSide, kSide}, DType::f32);
  const double colors[3][3] = {{0.1, 0.4, 0.9}, {1, 0.8, 0.3}, {0.2, 0.45, 0.15}};  // sky, sun, hills
  for (int64_t c = 0; c < 3; ++c)
    for (int64_t y = 0; y < kSide; ++y)
      for (int64_t x = 0; x < kSide; ++x) {
        const double u = static_cast<double>(x) / kSide, v = static_cast<double>(y) / kSide;
        const auto edge = [](double distance) { return 1 / (1 + std::exp(-150 * distance)); };
        const double sun = edge(0.12 - std::hypot(u - 0.7, v - 0.3)),
                     hills = edge(v - 0.65 - 0.1 * std::sin(7 * u) - 0.03 * std::sin(23 * u));
        double color = colors[0][c] * (1 - 0.5 * v) + 0.3 * v;
        color += sun * (colors[1][c] - color);
        color += hills * (colors[2][c] * (1.4 - 0.7 * v) - color);
        picture.data<float>()[(c * kSide + y) * kSide + x] = static_cast<float>(2 * color - 1);
      }
  return picture;
}

// 10 log10 of 1 over the mean square error of pictures in [-1, 1] held to 8 bits.
double psnr(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (int64_t i = 0; i < a.elements(); ++i) {
    const auto bits = [](float x) { return std::round(std::clamp((x + 1.) / 2, 0., 1.) * 255) / 255; };
    const double difference = bits(a.data<float>()[i]) - bits(b.data<float>()[i]);
    sum += difference * difference;
  }
  return -10 * std::log10(sum / static_cast<double>(a.elements()));
}

// The published weights are not part of this project: TSTITCH_TAESD names a folder with
// taesd_{encoder,decoder}.safetensors of github.com/madebyollin/taesd.
TEST(TinyAutoencoder, ThePublishedOneGivesAPictureBack) {
  const char* folder = std::getenv("TSTITCH_TAESD");
  if (!folder) GTEST_SKIP() << "TSTITCH_TAESD names no folder with taesd_{encoder,decoder}.safetensors";
  const TensorFile decoder = read_safetensors(concat(folder, "/taesd_decoder.safetensors")),
                   encoder = read_safetensors(concat(folder, "/taesd_encoder.safetensors"));
  const FileWeights decoder_weights(decoder), encoder_weights(encoder);
  for (const char* dtype : {"f32", "bf16"}) {
    const auto backend = make_backend({.dtype = dtype, .threads = 2});
    const auto autoencoder = load_autoencoder(*backend, decoder_weights, {}, &encoder_weights);
    const Tensor picture = landscape();
    const LatentDistribution latents =
        autoencoder->encode(to_channels_last(*backend, backend->upload(picture)));
    EXPECT_EQ(latents.mean.shape(), Shape({1, 32, 32, 4}));
    const Tensor back = backend->download(to_channels_first(*backend, autoencoder->decode(latents.mean)));
    EXPECT_GE(psnr(back, picture), 27) << dtype;
  }
}

TEST(TinyAutoencoder, SettingsItDoesNotHaveAreRefusedByName) {
  const nlohmann::json published = {{"_class_name", "AutoencoderTiny"},
                                    {"act_fn", "relu"},
                                    {"scaling_factor", 1.0},
                                    {"num_decoder_blocks", {3, 3, 3, 1}},
                                    {"latent_magnitude", 3}};
  EXPECT_NO_THROW(check_tiny_autoencoder(published, "config.json"));
  for (const auto& [key, value, part] :
       {std::tuple<const char*, nlohmann::json, const char*>{"act_fn", "silu",
                                                             "\"act_fn\" is \"silu\", expected \"relu\""},
        {"scaling_factor", 0.5, "\"scaling_factor\" is 0.5, expected 1"},
        {"num_decoder_blocks", {2, 2, 2, 1}, "\"num_decoder_blocks\" is [2,2,2,1]"}}) {
    nlohmann::json config = published;
    config[key] = value;
    testing::expect_error(ErrorKind::input, concat("config.json: ", part),
                          [&] { check_tiny_autoencoder(config, "config.json"); });
  }
  // Files of its own lie beside anything.
  EXPECT_NO_THROW(
      check_tiny_autoencoder({{"_class_name", "UNet2DConditionModel"}, {"act_fn", "silu"}}, "config.json"));
}

}  // namespace
}  // namespace tstitch
