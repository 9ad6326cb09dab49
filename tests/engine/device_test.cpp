// Runs on a device: bit for bit those of the host, so nothing between a spec and its latents touches a tensor
// of the device but through the backend.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/engine/tiny_dits.h"
#include "tests/support/fake_device.h"
#include "tests/support/golden.h"
#include "tests/support/test_backends.h"
#include "tstitch/models/autoencoder_kl.h"
#include "tstitch/nn/random_weights.h"
#include "tstitch/zoo/latents.h"

namespace tstitch {
namespace {

// Returns the run on the device.
RunResult expect_same_on_device(const Setting& setting) {
  const auto device = fake_device({.dtype = setting.dtype, .threads = setting.threads});
  const RunResult on_host = sample(setting);
  RunResult on_device = sample(setting, *device);
  expect_equal(on_device.latents, on_host.latents);
  EXPECT_EQ(on_device.small_steps, on_host.small_steps);
  EXPECT_EQ(device->memory().statistics().bytes_in_use, 0);
  return on_device;
}

class DeviceSamplers : public testing::TestWithParam<const char*> {
 protected:
  Setting setting() const {
    Setting s;
    s.options.sampler = GetParam();
    s.options.fractions = {0.5, 0.5};
    s.options.cfg_scale = 1.5;
    return s;
  }
};

TEST_P(DeviceSamplers, MakeTheImagesOfTheHost) {
  for (const char* dtype : {"f32", "bf16"}) {
    Setting s = setting();
    s.dtype = dtype;
    expect_same_on_device(s);
  }
}

INSTANTIATE_TEST_SUITE_P(All, DeviceSamplers,
                         testing::Values("ddim", "ddpm", "pndm", "euler", "euler_a", "heun", "dpm2", "dpm2_a",
                                         "lms", "deis", "dpm++2s", "dpm++2m", "dpm++2m_sde", "unipc", "lcm",
                                         "tcd"));

// Others sum in another order.
TEST_P(DeviceSamplers, MakeTheImagesOfTheHostButForRounding) {
  for (const Precision& precision : test_devices()) {
    const auto device = test_backend(precision);
    const RunResult on_host = sample(setting()), on_device = sample(setting(), *device);
    EXPECT_LE(relative_error(on_device.latents, on_host.latents), 1e-4) << device->description();
    EXPECT_EQ(on_device.small_steps, on_host.small_steps);
  }
}

TEST(Device, OtherSizesAreThoseOfTheHost) {
  Setting s;
  s.options.fractions = {0.5, 0.5};
  s.options.width = 8 * 36;
  s.options.height = 8 * 20;
  expect_same_on_device(s);
}

TEST(Device, ImagesSwitchByThemselvesAsOnTheHost) {
  Setting s;
  s.options.adaptive = true;
  s.options.switch_threshold = 1000;
  s.options.steps = "12";
  s.options.cfg_scale = 1.5;
  // Networks without training find no details: they come from starts of different size.
  Tensor start({3, 1, 28, 28}, DType::f32);
  for (int64_t i = 0; i < start.elements(); ++i)
    start.data<float>()[i] = static_cast<float>(std::sin(i) * std::pow(8, i / (28 * 28)));
  s.options.given.initial = start;
  const std::vector<int64_t> small_steps = expect_same_on_device(s).small_steps;
  EXPECT_LE(*std::ranges::max_element(small_steps), 1);  // each at a step of its own
}

TEST(Device, PicturesAreStartedFromAsOnTheHost) {
  Setting s;
  s.options.init_image = random_uniform("picture", {3, 8 * 28, 8 * 28}, 1, 7);
  s.options.strength = 0.6;
  s.options.fractions = {0.5, 0.5};
  s.options.sampler = "ddpm";
  s.init_latent = random_uniform("latent", {1, 1, 28, 28}, 1, 7);
  expect_same_on_device(s);
}

TEST(Device, PicturesArePaintedInPartAsOnTheHost) {
  Setting s;
  s.options.init_image = random_uniform("picture", {3, 8 * 28, 8 * 28}, 1, 7);
  s.options.mask = random_uniform("mask", {8 * 28, 8 * 28}, 1, 7);
  for (int64_t i = 0; i < s.options.mask.elements(); ++i)
    s.options.mask.data<float>()[i] = std::max(0.0f, s.options.mask.data<float>()[i]);
  s.options.fractions = {0.5, 0.5};
  s.options.sampler = "dpm++2m";
  s.init_latent = random_uniform("latent", {1, 1, 28, 28}, 1, 7);
  for (const Blend blend : {Blend::step, Blend::x0}) {
    s.options.blend = blend;
    expect_same_on_device(s);
  }
}

TEST(Device, LatentsAreDecodedAndPicturesEncodedAsOnTheHost) {
  const AutoencoderKLConfig config = {.block_out_channels = {32, 64}, .layers_per_block = 1};
  const Tensor latents = random_uniform("latents", {2, 4, 6, 5}, 1, 7),
               picture = random_uniform("picture", {3, 12, 10}, 1, 7);
  const auto both_ways = [&](Backend& backend) {
    const AutoencoderKL autoencoder(config, Weights(backend, RandomWeights("kl", 7)));
    return std::pair(decode(backend, autoencoder, latents), encode(backend, autoencoder, picture));
  };
  const auto host = make_backend({.threads = 2});
  const auto device = fake_device({.threads = 2});
  const auto [pictures, latent] = both_ways(*device);
  const auto [expected_pictures, expected_latent] = both_ways(*host);
  expect_equal(pictures, expected_pictures);
  expect_equal(latent, expected_latent);
}

}  // namespace
}  // namespace tstitch
