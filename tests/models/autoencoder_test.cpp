// Autoencoders against diffusers (tools/goldens/make_autoencoder_goldens.py), and what must be equal.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/support/fake_device.h"
#include "tests/support/golden.h"
#include "tests/support/test_backends.h"
#include "tstitch/base/error.h"
#include "tstitch/io/json.h"
#include "tstitch/models/autoencoder_keys.h"
#include "tstitch/models/load_autoencoder.h"
#include "tstitch/models/tiny_autoencoder.h"
#include "tstitch/nn/random_weights.h"
#include "tstitch/ops/ops.h"

namespace tstitch {
namespace {

constexpr uint64_t kSeed = 7;

const AutoencoderKLConfig kSmall = {.block_out_channels = {32, 64}, .layers_per_block = 1};
const AutoencoderKLConfig kWithAttention = {.latent_channels = 16,
                                            .block_out_channels = {8, 16, 16},
                                            .layers_per_block = 2,
                                            .norm_num_groups = 4,
                                            .attention_levels = {1},
                                            .use_quant_conv = false,
                                            .use_post_quant_conv = false};

Tensor uniform(Backend& backend, const char* name, const Shape& shape) {
  return to_channels_last(backend, backend.upload(random_uniform(name, shape, std::sqrt(3.0), kSeed)));
}

double error_of(Backend& backend, const Tensor& x, const std::string& name) {
  return relative_error(backend.download(to_channels_first(backend, x)), golden("autoencoder/" + name));
}

void expect_golden(Backend& backend, const Autoencoder& autoencoder, const std::string& name,
                   double tolerance) {
  const int64_t C = autoencoder.latent_channels(), f = autoencoder.factor();
  EXPECT_LE(error_of(backend, autoencoder.decode(uniform(backend, "z", {2, C, 5, 6})), name + "_decode.npy"),
            tolerance);
  const LatentDistribution latents = autoencoder.encode(uniform(backend, "picture", {2, 3, 4 * f, 3 * f}));
  EXPECT_LE(error_of(backend, repeat(backend, latents.mean, 1), name + "_mean.npy"), tolerance);
  EXPECT_LE(error_of(backend, latents.log_variance, name + "_log_variance.npy"), tolerance);
}

TEST(AutoencoderKL, AgreesWithDiffusers) {
  for (const Precision& precision : test_precisions()) {
    const auto& [device, dtype, tolerance] = precision;
    SCOPED_TRACE(testing::Message() << device << " " << dtype);
    const auto backend = test_backend(precision);
    for (const auto& [name, config] : {std::pair{"kl", kSmall}, {"kl-attention", kWithAttention}})
      expect_golden(*backend, AutoencoderKL(config, Weights(*backend, RandomWeights(name, kSeed))), name,
                    tolerance);
  }
}

TEST(AutoencoderKL, WithACodebookAgreesWithVQModel) {
  const AutoencoderKLConfig config = {.block_out_channels = {16, 32},
                                      .layers_per_block = 1,
                                      .norm_num_groups = 8,
                                      .attention_levels = {1},
                                      .codebook_size = 97};
  for (const Precision& precision : test_precisions()) {
    const auto& [device, dtype, tolerance] = precision;
    SCOPED_TRACE(testing::Message() << device << " " << dtype);
    const auto backend = test_backend(precision);
    const AutoencoderKL autoencoder(config, Weights(*backend, RandomWeights("vq", kSeed)));
    EXPECT_LE(error_of(*backend, autoencoder.decode(uniform(*backend, "z", {2, 4, 5, 6})), "vq_decode.npy"),
              tolerance);
    const LatentDistribution latents = autoencoder.encode(uniform(*backend, "picture", {2, 3, 8, 6}));
    EXPECT_FALSE(latents.log_variance);
    EXPECT_LE(error_of(*backend, latents.mean, "vq_mean.npy"), tolerance);
  }
}

// The random weights of "kl", the residual stream of its decoder a million times as large, which its norms
// undo.
class Large final : public WeightSource {
 public:
  std::optional<Shape> shape(const std::string&) const override { return std::nullopt; }
  Tensor load(const std::string& name, const Shape& expected, DType dtype) const override {
    Tensor x = weights_.load(name, expected, DType::f32);
    const auto holds = [&](const char* part) { return name.find(part) != name.npos; };
    const bool adds = holds("decoder.conv_in.") || holds("conv2.") || holds("to_out.0."),
               passes = holds("upsamplers") || holds("conv_shortcut");
    if (name.starts_with("decoder.") && (adds || (passes && name.ends_with(".bias"))))
      for (int64_t i = 0; i < x.elements(); ++i) x.data<float>()[i] *= 1e6f;
    if (dtype == DType::f32) return x;
    Tensor rounded(expected, dtype);
    std::transform(x.data<float>(), x.data<float>() + x.elements(), rounded.data<bfloat16>(), to_bfloat16);
    return rounded;
  }

 private:
  RandomWeights weights_{"kl", kSeed};
};

// As that of SDXL, whose decoder overflows f16: the largest number of that is 65504.
TEST(AutoencoderKL, LargeActivationsDoNotOverflow) {
  for (const Precision& precision : test_precisions()) {
    const auto& [device, dtype, tolerance] = precision;
    SCOPED_TRACE(testing::Message() << device << " " << dtype);
    const auto backend = test_backend(precision);
    const AutoencoderKL autoencoder(kSmall, Weights(*backend, Large()));
    EXPECT_LE(error_of(*backend, autoencoder.decode(uniform(*backend, "z", {2, 4, 5, 6})), "kl_decode.npy"),
              tolerance);
  }
}

// The random weights of "kl" under other names: stored name -> (diffusers' name, stored shape).
class Renamed final : public WeightSource {
 public:
  using Names = std::map<std::string, std::pair<std::string, Shape>>;
  explicit Renamed(Names names) : names_(std::move(names)) {}

  std::optional<Shape> shape(const std::string& name) const override {
    const auto found = names_.find(name);
    return found == names_.end() ? std::nullopt : std::optional(found->second.second);
  }
  Tensor load(const std::string& name, const Shape& expected, DType dtype) const override {
    const auto found = names_.find(name);
    check(found != names_.end(), ErrorKind::input, "no tensor \"", name, "\"");
    check(expected == found->second.second, ErrorKind::input, "tensor \"", name, "\" has another shape");
    return weights_.load(found->second.first, expected, dtype);
  }

 private:
  Names names_;
  RandomWeights weights_{"kl", kSeed};
};

Renamed::Names compvis_names(const std::string& prefix) {
  const nlohmann::json list = parse_json_file(golden_path("autoencoder/compvis_names.json"));
  Renamed::Names names;
  for (const auto& [stored, name_and_shape] : list.items())
    names[prefix + stored] = {name_and_shape[0], Shape(name_and_shape[1].get<std::vector<int64_t>>())};
  return names;
}

// diffusers' names before and since 2023, with matrices.
Renamed::Names diffusers_names(bool old) {
  Renamed::Names names;
  for (const auto& [stored, name_and_shape] : compvis_names("")) {
    auto [name, shape] = name_and_shape;
    if (name.find(".attentions.") != std::string::npos && shape.rank() == 4) shape = {shape[0], shape[1]};
    std::string key = name;
    if (old)
      for (const auto& [from, to] : std::initializer_list<std::pair<std::string, std::string>>{
               {"to_q", "query"}, {"to_k", "key"}, {"to_v", "value"}, {"to_out.0", "proj_attn"}})
        if (const size_t at = key.find(from); at != std::string::npos) key.replace(at, from.size(), to);
    names[key] = {name, shape};
  }
  return names;
}

TEST(AutoencoderKeys, EveryNamingIsRead) {
  const auto backend = make_backend({.dtype = "f32", .threads = 2});
  for (const Renamed::Names& names : {compvis_names(""), compvis_names("first_stage_model."),
                                      diffusers_names(false), diffusers_names(true)}) {
    SCOPED_TRACE(names.begin()->first);
    const Renamed weights(names);
    const auto autoencoder = load_autoencoder(*backend, weights);
    EXPECT_EQ(dynamic_cast<const AutoencoderKL&>(*autoencoder).config(), kSmall);
    expect_golden(*backend, *autoencoder, "kl", 1e-5);
  }
}

TEST(AutoencoderKeys, HalvesAreReadAlone) {
  const auto backend = make_backend({.dtype = "f32", .threads = 2});
  for (const std::string half : {"decoder", "encoder"}) {
    Renamed::Names names = compvis_names("");
    std::erase_if(names, [&](const auto& entry) {
      return entry.first.find("coder.") != std::string::npos && !entry.first.starts_with(half);
    });
    const auto autoencoder = load_autoencoder(*backend, Renamed(names));
    EXPECT_EQ(autoencoder->can_decode(), half == "decoder");
    EXPECT_EQ(autoencoder->can_encode(), half == "encoder");
    EXPECT_EQ(autoencoder->latent_channels(), 4);
    EXPECT_EQ(autoencoder->factor(), 2);
  }
}

void expect_refused(const Renamed::Names& names, const std::string& expected) {
  const auto backend = make_backend({.dtype = "f32", .threads = 1});
  try {
    load_autoencoder(*backend, Renamed(names));
    FAIL() << "nothing refused";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::input);
    EXPECT_NE(std::string(e.what()).find(expected), std::string::npos) << e.what();
  }
}

TEST(AutoencoderKeys, WhatIsMissingIsNamedAsStored) {
  expect_refused({}, "not an autoencoder");
  Renamed::Names names = compvis_names("first_stage_model.");
  names.erase("first_stage_model.decoder.up.1.block.0.norm2.bias");
  expect_refused(names, "first_stage_model.decoder.up.1.block.0.norm2.bias");
}

TEST(AutoencoderKL, PicturesThatDoNotDivideAreRefused) {
  const auto backend = make_backend({.dtype = "f32", .threads = 1});
  const AutoencoderKL autoencoder(kSmall, Weights(*backend, RandomWeights("kl", kSeed)));
  try {
    autoencoder.encode(uniform(*backend, "picture", {1, 3, 4, 5}));
    FAIL() << "nothing refused";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::usage);
  }
}

// One picture alone and in company, on one thread and on three.
TEST(AutoencoderKL, CompanyAndThreadsChangeNothing) {
  for (const char* dtype : {"f32", "bf16"}) {
    const auto one = make_backend({.dtype = dtype, .threads = 1}),
               three = make_backend({.dtype = dtype, .threads = 3});
    const AutoencoderKL alone(kSmall, Weights(*one, RandomWeights("kl", kSeed))),
        together(kSmall, Weights(*three, RandomWeights("kl", kSeed)));
    const Tensor z = uniform(*one, "z", {2, 4, 9, 7});
    const Tensor a = alone.decode(z.slice(1, 2)), b = together.decode(z).slice(1, 2);
    EXPECT_EQ(std::memcmp(a.bytes(), b.bytes(), static_cast<size_t>(a.elements() * 4)), 0) << dtype;
  }
}

TEST(AutoencoderKL, TheSecondDecodingTakesNoMemoryFromTheSystem) {
  const auto backend = make_backend({.dtype = "bf16", .threads = 2});
  const AutoencoderKL autoencoder(kWithAttention, Weights(*backend, RandomWeights("kl", kSeed)));
  const Tensor z = uniform(*backend, "z", {2, 16, 9, 7});
  autoencoder.decode(z);
  const int64_t before = host_memory().statistics().system_allocations;
  autoencoder.decode(z);
  EXPECT_EQ(host_memory().statistics().system_allocations, before);
}

// The random weights of the golden tiny autoencoder, 12 channels wide; of its shapes those that tell it
// apart.
class TinyWeights final : public WeightSource {
 public:
  std::optional<Shape> shape(const std::string& name) const override {
    const std::map<std::string, Shape> shapes = {{"0.weight", {12, 3, 3, 3}},
                                                 {"14.weight", {4, 12, 3, 3}},
                                                 {"14.bias", {4}},
                                                 {"1.weight", {12, 4, 3, 3}},
                                                 {"19.bias", {3}}};
    const auto found = shapes.find(name);
    return found == shapes.end() ? std::nullopt : std::optional(found->second);
  }
  Tensor load(const std::string& name, const Shape& expected, DType dtype) const override {
    return weights_.load(name, expected, dtype);
  }

 private:
  RandomWeights weights_{"tiny", kSeed};
};

// What every kind makes of latents and of pictures.
std::vector<Tensor> of_every_kind(Backend& backend) {
  const AutoencoderKLConfig with_codebook = {.block_out_channels = {16, 32},
                                             .layers_per_block = 1,
                                             .norm_num_groups = 8,
                                             .attention_levels = {1},
                                             .codebook_size = 97};
  std::vector<std::unique_ptr<Autoencoder>> autoencoders;
  for (const AutoencoderKLConfig& config : {kSmall, kWithAttention, with_codebook})
    autoencoders.push_back(
        std::make_unique<AutoencoderKL>(config, Weights(backend, RandomWeights("kl", kSeed))));
  const TinyWeights tiny;
  autoencoders.push_back(std::make_unique<TinyAutoencoder>(backend, &tiny, &tiny));
  std::vector<Tensor> all;
  for (const auto& autoencoder : autoencoders) {
    const int64_t C = autoencoder->latent_channels(), f = autoencoder->factor();
    all.push_back(autoencoder->decode(uniform(backend, "z", {2, C, 5, 6})));
    const LatentDistribution latents = autoencoder->encode(uniform(backend, "picture", {2, 3, 4 * f, 3 * f}));
    all.push_back(latents.mean);
    if (latents.log_variance) all.push_back(latents.log_variance);
  }
  for (Tensor& x : all) x = backend.download(x);
  return all;
}

TEST(Autoencoders, OnADeviceAreThoseOfTheHost) {
  for (const char* dtype : {"f32", "bf16"}) {
    const auto host = make_backend({.dtype = dtype, .threads = 2});
    const auto device = fake_device({.dtype = dtype, .threads = 2});
    const std::vector<Tensor> expected = of_every_kind(*host), found = of_every_kind(*device);
    ASSERT_EQ(found.size(), 10u);
    for (size_t i = 0; i < found.size(); ++i) {
      ASSERT_EQ(found[i].shape(), expected[i].shape());
      EXPECT_EQ(std::memcmp(found[i].bytes(), expected[i].bytes(),
                            static_cast<size_t>(expected[i].elements() * size_of(expected[i].dtype()))),
                0)
          << dtype << " " << i;
    }
  }
}

// A large level is made in strips: the same bits as whole.
TEST(ResnetBlock, StripsOfAnUpsampledPictureChangeNothing) {
  for (const char* dtype : {"f32", "bf16"}) {
    const auto backend = make_backend({.dtype = dtype, .threads = 2});
    const RandomWeights source("strips", kSeed);
    const Weights weights(*backend, source);
    const ResnetBlock block(weights / "resnet", 16, 8, 4);
    const Conv2d upsample(weights / "upsample", 16, 16, 3);
    for (const int64_t height : {1, 31, 32, 33, 70}) {
      const Tensor x = uniform(*backend, "x", {1, 16, height, 5});
      const Tensor whole = block.of_upsampled(x, upsample, INT64_MAX),
                   strips = block.of_upsampled(x, upsample, 0);
      ASSERT_EQ(whole.shape(), strips.shape());
      EXPECT_EQ(std::memcmp(whole.bytes(), strips.bytes(),
                            static_cast<size_t>(whole.elements() * size_of(whole.dtype()))),
                0)
          << dtype << ", " << height << " rows";
    }
  }
}

TEST(AutoencoderKL, FlopsOfADecodingAreWhatPyTorchCounts) {
  // torch.utils.flop_counter over diffusers' AutoencoderKL with Stable Diffusion's configuration.
  EXPECT_DOUBLE_EQ(autoencoder_kl_decode_flops({}, 32, 32), 622'187'282'432);
  EXPECT_DOUBLE_EQ(autoencoder_kl_decode_flops({}, 64, 64), 2'514'518'933'504);
}

// What the memory check counts on: never more than what is alive, and not far below.
TEST(AutoencoderKL, BytesOfADecodingAreKnown) {
  for (const char* dtype : {"f32", "bf16"}) {
    const auto device = fake_device({.dtype = dtype, .threads = 2});
    const AutoencoderKL autoencoder(kSmall, Weights(*device, RandomWeights("kl", kSeed)));
    const Tensor z = device->upload(random_uniform("z", {1, 16, 12, kSmall.latent_channels}, 1, kSeed));
    const int64_t before = device->memory().statistics().bytes_in_use;
    autoencoder.decode(z);
    const int64_t peak = device->memory().statistics().peak_bytes_in_use - before,
                  known = autoencoder_kl_decode_bytes(kSmall, 16, 12, device->compute_dtype());
    EXPECT_LE(known, peak) << dtype;
    EXPECT_GE(known, peak * 3 / 5) << dtype;
  }
}

TEST(TinyAutoencoder, AgreesWithPyTorch) {
  for (const Precision& precision : test_precisions()) {
    const auto& [device, dtype, tolerance] = precision;
    SCOPED_TRACE(testing::Message() << device << " " << dtype);
    const auto backend = test_backend(precision);
    const TinyWeights weights;
    const TinyAutoencoder autoencoder(*backend, &weights, &weights);
    EXPECT_LE(error_of(*backend, autoencoder.decode(uniform(*backend, "z", {2, 4, 3, 5})), "tiny_decode.npy"),
              tolerance);
    EXPECT_LE(error_of(*backend, autoencoder.encode(uniform(*backend, "picture", {2, 3, 24, 16})).mean,
                       "tiny_encode.npy"),
              tolerance);
  }
}

}  // namespace
}  // namespace tstitch
