// A part of a picture painted anew, from the picture's pixels to final latents, against diffusers
// (tools/goldens/make_inpainting_goldens.py), and what must be equal or refused.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "on_tiny_sdxl.h"
#include "tests/engine/on_tiny_inpainting.h"
#include "tests/support/expect_error.h"
#include "tests/support/fake_device.h"
#include "tests/support/golden.h"
#include "tstitch/condition/mask_conditions.h"
#include "tstitch/diffusion/adaptive_switch.h"
#include "tstitch/engine/engine.h"
#include "tstitch/engine/fields.h"
#include "tstitch/engine/mask.h"
#include "tstitch/engine/pixels.h"

namespace tstitch {
namespace {

TEST_F(Inpainting, AgreesWithDiffusers) {
  for (const auto& [network, sampler, strength] : {std::tuple{"large", "pndm", "1"},
                                                   {"large", "ddim", "1"},
                                                   {"large", "heun", "1"},
                                                   {"large", "unipc", "1"},
                                                   {"large", "dpm++2m", "1"},
                                                   {"large", "ddim", "0.6"},
                                                   {"large", "dpm++2m", "0.6"},
                                                   {"inpaint", "pndm", "1"},
                                                   {"inpaint", "ddim", "0.6"}}) {
    SampleOptions options = asked(sampler);
    if (strength != std::string("1")) options.strength = 0.6;  // 1 is the default
    if (sampler == std::string("heun")) options.spacing.spacing = Spacing::linspace;
    const std::string name = concat(network, "_", sampler, "_", strength);
    EXPECT_LE(
        relative_error(sampled(models({network}), options).latents, golden("inpainting/" + name + ".npy")),
        1e-5)
        << name;
  }
}

// SDXL of four channels and of nine, from a pipeline's folder.
class InpaintingXl : public OnTinySdxl {};

TEST_F(InpaintingXl, AgreesWithDiffusers) {
  tiny()->variant("inpaint", "sdxl", {{"in_channels", 9}});
  nlohmann::json config = parse_json_file(golden_path("inpainting/vae_config.json"));
  config["scaling_factor"] = 0.13025;
  for (const std::string name : {"sdxl", "inpaint"}) {
    write_part(tiny()->path(name + "/vae"), config, "vae",
               parse_json_file(golden_path("inpainting/vae_names.json")));
    TinySdxl::write(
        tiny()->path(name + "/model_index.json"),
        R"({"_class_name": "StableDiffusionXLInpaintPipeline", "force_zeros_for_empty_prompt": true})");
  }
  EXPECT_TRUE(infos({"inpaint"})[0].condition.sees_mask);
  for (const auto& [name, strength, expected] : {std::tuple{"sdxl", 1.0, "sdxl_large_1"},
                                                 {"inpaint", 1.0, "sdxl_inpaint_1"},
                                                 {"inpaint", 0.6, "sdxl_inpaint_0.6"}}) {
    SampleOptions options = asked("");
    options.strength = strength;
    EXPECT_LE(relative_error(sampled(infos({name}), options).latents,
                             golden(concat("inpainting/", expected, ".npy"))),
              1e-5)
        << expected;
  }
  // Both kinds take turns.
  SampleOptions options = asked("");
  options.fractions = {0.5, 0.5};
  EXPECT_EQ(make_run_spec(infos({"sdxl", "inpaint"}), options).blended, (std::vector<bool>{true, false}));
}

TEST_F(Inpainting, WhatIsKnownStaysInThePicture) {
  const SampleOptions options = asked();
  const Image known = decode_pixels(options.init_image.reshape({1, 3, kSide, kSide})).at(0);
  for (const std::vector<std::string>& names :
       {std::vector<std::string>{"large"}, {"inpaint"}, {"small", "inpaint"}, {"inpaint", "large"}}) {
    const Result result = sampled(models(names), options);
    ASSERT_EQ(result.pictures.size(), 1u);
    int64_t changed = 0;
    for (int64_t i = 0; i < kSide * kSide; ++i)
      for (int64_t c = 3 * i; c < 3 * i + 3; ++c) {
        const auto e = static_cast<size_t>(c);
        const bool same = result.pictures[0].pixels[e] == known.pixels[e];
        if (!is_painted(i)) {
          EXPECT_TRUE(same) << i;
        }
        changed += !same;
      }
    EXPECT_GT(changed, 32 * 29 * 2);
  }
}

// What it blends in and what it shows belong to every stage: handing over is neither model alone.
TEST_F(Inpainting, AModelOfFourChannelsHandsOverToOneThatSeesTheMask) {
  const auto latents = [&](const std::vector<std::string>& names, double first, Blend blend) {
    SampleOptions options = asked();
    options.fractions = {first, 1 - first};
    options.blend = blend;
    return sampled(models(names), options).latents;
  };
  const auto bytes = [](const Tensor& x) {
    return std::string(reinterpret_cast<const char*>(x.bytes()), static_cast<size_t>(x.elements()) * 4);
  };
  const std::string both = bytes(latents({"small", "inpaint"}, 0.4, Blend::step));
  EXPECT_NE(both, bytes(latents({"small", "inpaint"}, 0.4, Blend::x0)));
  // Where the first serves no step, there is nothing to blend.
  EXPECT_EQ(bytes(latents({"small", "inpaint"}, 0, Blend::step)),
            bytes(latents({"small", "inpaint"}, 0, Blend::x0)));
  EXPECT_EQ(bytes(latents({"small", "inpaint"}, 0, Blend::step)),
            bytes(sampled(models({"inpaint"}), asked()).latents));
}

TEST_F(Inpainting, AnImageDoesNotDependOnItsCompany) {
  SampleOptions many = asked("ddpm");
  many.prompts = {"a", kPrompt, "a red bicycle"};
  many.rng = "philox";
  many.mask_blur = 4;
  many.batch_size = 2;
  const auto infos = models({"small", "inpaint"});
  const RunSpec spec = make_run_spec(infos, many);
  const Result together = sampled(infos, many);
  for (int64_t image = 0; image < 3; ++image) {
    SampleOptions one = many;
    one.prompts = {many.prompts[static_cast<size_t>(image)]};
    one.seed = spec.seed_of(image);
    const Result alone = sampled(infos, one);
    EXPECT_EQ(std::memcmp(alone.latents.bytes(), together.latents.slice(image, image + 1).bytes(),
                          static_cast<size_t>(alone.latents.elements()) * 4),
              0);
    EXPECT_EQ(alone.pictures[0].pixels, together.pictures[static_cast<size_t>(image)].pixels);
  }
}

TEST_F(Inpainting, OnADeviceIsThatOfTheHost) {
  const auto infos = models({"small", "inpaint"});
  const RunSpec spec = make_run_spec(infos, asked("pndm"));
  const auto latents_on = [&](Backend& backend) {
    EncodedInputs inputs{.conditions = make_condition_makers(backend, infos, spec),
                         .init_latent = random_uniform("latent", {1, 4, 8, 8}, 1, kSeed)};
    inputs.conditions[1] =
        std::make_shared<MaskConditions>(inputs.conditions[1], beside_latent(inputs.init_latent, mask()));
    std::vector<Model> loaded;
    for (const ModelInfo& info : infos) loaded.push_back(load_model(info, backend));
    RunObserver silent;
    return run(backend, loaded, spec, silent, inputs).latents;
  };
  for (const char* dtype : {"f32", "bf16"}) {
    const Tensor found = latents_on(*fake_device({.dtype = dtype, .threads = 2})),
                 expected = latents_on(*make_backend({.dtype = dtype, .threads = 2}));
    EXPECT_EQ(std::memcmp(found.bytes(), expected.bytes(), static_cast<size_t>(found.elements()) * 4), 0)
        << dtype;
  }
}

// When an image changes over is decided by what is painted, not by what is known.
TEST_F(Inpainting, ThePaintedPartDecidesWhenToSwitch) {
  struct Details final : RunObserver {
    explicit Details(Tensor mask) : painted(std::move(mask)) {}
    void predicted(IndexRange, const Step& step, const Tensor&, const Prediction& at) override {
      const Tensor x0 = at.x0.reshape({at.x0.extent(1), at.x0.extent(2), at.x0.extent(3)});
      of_part.push_back(detail_to_noise(x0, step.level, painted));
      of_whole.push_back(detail_to_noise(x0, step.level));
    }
    Tensor painted;
    std::vector<double> of_part, of_whole;
  };
  SampleOptions options = asked();
  const auto run_of = [&](RunObserver& observer) {
    const auto infos = models({"small", "large"});
    const RunSpec spec = make_run_spec(infos, options);
    Engine engine(infos, {.dtype = "f32", .threads = 2});
    engine.load(spec);
    const IndexRange all{0, 1};
    return engine.sample(spec, {&all, 1}, observer, nullptr);
  };
  options.fractions = {1, 0};
  Details details(make_run_spec(models({"small", "large"}), options).painted_places());
  ASSERT_TRUE(details.painted);
  run_of(details);
  // After how many steps each measure exceeds the threshold.
  const auto exceeds = [](const std::vector<double>& measures, double threshold) {
    const auto first = std::ranges::find_if(measures, [&](double d) { return d > threshold; });
    return std::min(std::ssize(measures), first - measures.begin() + 1);
  };
  options.fractions.clear();
  options.adaptive = true;
  int differ = 0;
  for (const double threshold : details.of_part) {
    options.switch_threshold = threshold * 0.999;
    const auto expected = exceeds(details.of_part, *options.switch_threshold);
    if (differ == 2 || expected == exceeds(details.of_whole, *options.switch_threshold)) continue;
    ++differ;
    RunObserver silent;
    EXPECT_EQ(run_of(silent).small_steps[static_cast<size_t>(expected)], 1) << threshold;
  }
  EXPECT_GT(differ, 0);
}

TEST_F(Inpainting, SpecsSayWhatIsBlended) {
  const auto infos = models({"small", "inpaint"});
  EXPECT_FALSE(infos[0].condition.sees_mask);
  EXPECT_TRUE(infos[1].condition.sees_mask);
  EXPECT_EQ(infos[1].channels, 4);
  EXPECT_EQ(infos[1].architecture->name(), "U-Net");
  const RunSpec spec = make_run_spec(infos, asked());
  EXPECT_EQ(spec.blended, (std::vector<bool>{true, false}));
  EXPECT_EQ(*spec.options.strength, 1);
  // Of a batch some images may be the one's and some the other's.
  SampleOptions adaptive = asked();
  adaptive.adaptive = true;
  EXPECT_EQ(make_run_spec(models({"inpaint", "small"}), adaptive).blended, (std::vector<bool>{true, true}));
  SampleOptions options = asked();
  options.mask = {};
  EXPECT_EQ(*make_run_spec(models({"large"}), options).options.strength, 0.75);
  // The mask's bytes are those of the pictures, softened or not.
  const auto identity = [&](double blur) {
    SampleOptions soft = asked();
    soft.mask_blur = blur;
    const RunSpec of = make_run_spec(infos, soft);
    return field_named("mask").identity(field_named("mask"), of);
  };
  EXPECT_EQ(identity(0), identity(0));
  EXPECT_NE(identity(0), identity(1));
}

TEST_F(Inpainting, WhatDoesNotFitIsRefused) {
  const auto refused = [&](const char* part, const std::vector<std::string>& names, const auto& change) {
    SampleOptions options = asked();
    change(options);
    testing::expect_error(ErrorKind::usage, part, [&] { make_run_spec(models(names), options); });
  };
  refused("was trained to paint a part of a picture", {"inpaint"}, [](SampleOptions& o) { o.mask = {}; });
  refused("was trained to paint a part of a picture", {"small", "inpaint"}, [](SampleOptions& o) {
    o.mask = {};
    o.init_image = {};
  });
  refused("--mask says which part of an initial picture", {"large"},
          [](SampleOptions& o) { o.init_image = {}; });
  refused("expected [64, 64]", {"large"}, [](SampleOptions& o) { o.mask = Tensor({8, 8}, DType::f32); });
  refused("--mask-blur is 65", {"large"}, [](SampleOptions& o) { o.mask_blur = 65; });
  refused("--mask leaves nothing to paint", {"large"}, [](SampleOptions& o) {
    std::fill_n(o.mask.data<float>(), o.mask.elements(), 0.0f);
    o.mask.data<float>()[1] = 1;  // between the places of a latent
  });
  // One that serves no step needs none.
  SampleOptions options = asked();
  options.mask = {};
  options.fractions = {1, 0};
  EXPECT_NO_THROW(make_run_spec(models({"small", "inpaint"}), options));
}

}  // namespace
}  // namespace tstitch
