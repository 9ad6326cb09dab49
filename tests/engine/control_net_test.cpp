// Pictures steered by ControlNets, from hint to final latents, against diffusers
// (tools/goldens/make_control_goldens.py): one and several, for some of the steps, in some of the stages; and
// what must be equal or refused.
#include "tstitch/zoo/control_net.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "on_tiny_inpainting.h"
#include "on_tiny_sdxl.h"
#include "tests/support/expect_error.h"
#include "tests/support/fake_device.h"
#include "tests/support/tiny_control_nets.h"
#include "tstitch/diffusion/step_batcher.h"
#include "tstitch/engine/controls.h"
#include "tstitch/engine/engine.h"
#include "tstitch/engine/fields.h"
#include "tstitch/engine/memory_check.h"
#include "tstitch/engine/report.h"
#include "tstitch/io/picture.h"
#include "tstitch/io/png.h"

namespace tstitch {
namespace {

constexpr double kTolerance = 2e-5;  // relative, in f32

using Controls = std::vector<ControlOption>;

// With the hints that the files show.
SampleOptions with(SampleOptions options, const Controls& controls) {
  options.controls = controls;
  options.hints.clear();
  for (const ControlOption& control : controls)
    options.hints.push_back(std::make_shared<const Image>(read_picture(control.image)));
  return options;
}

std::string bytes_of(const Tensor& x) {
  return {reinterpret_cast<const char*>(x.bytes()), static_cast<size_t>(x.elements() * size_of(x.dtype()))};
}

struct Prepared {
  std::vector<ModelInfo> infos;
  RunSpec spec;
  std::vector<Model> models;
  EncodedInputs inputs;
};

// As Engine does, without pictures and with models that were loaded by themselves.
Prepared prepared(Backend& backend, std::vector<ModelInfo> infos, const SampleOptions& options,
                  const Tensor& init_latent = {}) {
  take_controls(options, infos);
  const RunSpec spec = make_run_spec(infos, options);
  Prepared all{.infos = infos, .spec = spec, .models = {}, .inputs = {}};
  all.inputs.conditions = make_condition_makers(backend, infos, spec);
  all.inputs.init_latent = init_latent;
  steer(all.inputs.conditions, infos,
        load_controls(backend, infos, spec, std::vector<bool>(infos.size(), true)));
  for (const ModelInfo& info : infos) all.models.push_back(load_model(info, backend));
  return all;
}

Tensor steered_latents(Backend& backend, const std::vector<ModelInfo>& infos, const SampleOptions& options,
                       const Tensor& init_latent = {}) {
  const Prepared all = prepared(backend, infos, options, init_latent);
  RunObserver silent;
  return run(backend, all.models, all.spec, silent, all.inputs).latents;
}

class ControlNetOfSd : public Inpainting {
 protected:
  static void SetUpTestSuite() {
    Inpainting::SetUpTestSuite();
    for (const std::string name : {"sd", "sd_2"}) write_tiny_control_net(folder() / name, name);
    write_png((folder() / "hint.png").string(), tiny_hint(), {});
    write_png((folder() / "hint_2.png").string(), tiny_hint(91), {});
  }

  static ControlOption net(double strength = 0.8, ControlInterval interval = {}) {
    return {.path = (folder() / "sd").string(),
            .image = (folder() / "hint.png").string(),
            .strength = strength,
            .interval = interval};
  }
  static ControlOption net_2(double strength, ControlInterval interval = {}) {
    return {.path = (folder() / "sd_2").string(),
            .image = (folder() / "hint_2.png").string(),
            .strength = strength,
            .interval = interval};
  }

  SampleOptions asked(const std::string& sampler, const Controls& controls) const {
    SampleOptions options = this->options(sampler, 0);
    options.fractions = {};
    return with(options, controls);
  }
  double error(const std::vector<std::string>& names, const SampleOptions& asked,
               const std::string& expected) const {
    return relative_error(steered_latents(*backend_, models(names), asked),
                          golden("control/" + expected + ".npy"));
  }

  std::unique_ptr<Backend> backend_ = make_backend({.dtype = "f32", .threads = 2});
};

TEST_F(ControlNetOfSd, AgreesWithDiffusers) {
  EXPECT_LE(error({"large"}, asked("pndm", {net()}), "sd_pndm"), kTolerance);
  EXPECT_LE(error({"large"}, asked("pndm", {net(1, {0.2, 0.75})}), "sd_interval"), kTolerance);
  EXPECT_LE(error({"large"}, asked("ddim", {net(0.8, {0, 0.6}), net_2(0.5, {0.3, 1})}), "sd_two"),
            kTolerance);
}

// Of BK-SDM-Small and Stable Diffusion, which alone is steered.
TEST_F(ControlNetOfSd, OfTheLargeStageAloneItAgreesWithDiffusers) {
  SampleOptions options = asked("pndm", {net()});
  options.stages = {parse_stage("share=0.4,control=none"), parse_stage("")};
  settle_stages(options, 2);
  EXPECT_LE(error({"small", "large"}, options, "sd_stitched"), kTolerance);
  options.stages[1] = parse_stage("control=" + net().path);
  EXPECT_LE(error({"small", "large"}, options, "sd_stitched"), kTolerance);
}

TEST_F(ControlNetOfSd, WhileAPartIsPaintedItAgreesWithDiffusers) {
  for (const std::string name : {"large", "inpaint"}) {
    SampleOptions options = tstitch::asked();
    ControlOption control = net();
    control.image = net_2(1).image;
    options = with(options, {control});
    std::vector<ModelInfo> infos = models({name});
    take_controls(options, infos);
    EXPECT_LE(relative_error(sampled(infos, options).latents, golden("control/sd_" + name + ".npy")),
              kTolerance)
        << name;
  }
}

TEST_F(ControlNetOfSd, AnImageDoesNotDependOnItsCompany) {
  SampleOptions many = asked("ddpm", {net(0.8, {0.2, 1}), net_2(0.5)});
  many.given = {};
  many.prompts = {"a", kPrompt, "a red bicycle"};
  many.batch_size = 2;
  for (const char* dtype : {"f32", "bf16"}) {
    const auto host = make_backend({.dtype = dtype, .threads = 2}),
               device = std::unique_ptr<Backend>(fake_device({.dtype = dtype, .threads = 2}));
    const Tensor together = steered_latents(*host, models({"large"}), many);
    EXPECT_EQ(bytes_of(steered_latents(*device, models({"large"}), many)), bytes_of(together));
    const RunSpec spec = prepared(*host, models({"large"}), many).spec;
    for (int64_t image = 0; image < 3; ++image) {
      SampleOptions one = many;
      one.prompts = {many.prompts[static_cast<size_t>(image)]};
      one.seed = spec.seed_of(image);
      EXPECT_EQ(bytes_of(steered_latents(*host, models({"large"}), one)),
                bytes_of(together.slice(image, image + 1)));
    }
  }
}

// Requests with other hints, strengths and intervals, and with none, ask one network together.
TEST_F(ControlNetOfSd, RequestsThatShareEvaluationsAreWhatTheyAreAlone) {
  const std::vector<SampleOptions> requests = {asked("ddim", {}), asked("ddim", {net()}),
                                               asked("pndm", {net(0.5, {0.3, 0.8})}),
                                               asked("euler", {net(), net_2(0.7)})};
  std::vector<Prepared> all;
  std::vector<std::string> alone;
  for (const SampleOptions& request : requests) {
    all.push_back(prepared(*backend_, models({"large"}), request));
    all.back().models = all.front().models;
    RunObserver silent;
    alone.push_back(
        bytes_of(run(*backend_, all.back().models, all.back().spec, silent, all.back().inputs).latents));
  }
  std::vector<std::string> together(requests.size());
  {
    StepBatcher batcher(*backend_);
    std::vector<std::shared_ptr<StepBatcher::Job>> jobs;
    for (size_t i = 0; i < all.size(); ++i)
      jobs.push_back(batcher.start([&, i](Evaluator& evaluator) {
        RunObserver silent;
        KeepLatents keep(all[i].spec);
        const IndexRange images{0, 1};
        run(*backend_, evaluator, all[i].models, all[i].spec, {&images, 1}, silent, keep, all[i].inputs);
        together[i] = bytes_of(keep.latents());
      }));
    for (const auto& job : jobs) job->wait();
  }
  EXPECT_EQ(together, alone);
}

TEST_F(ControlNetOfSd, IsSaidAgainCountedAndReported) {
  const std::string text = to_string(net(0.8, {0.2, 1})), text_2 = to_string(net_2(0.5));
  const Said said = {{"model", {(folder() / "small").string(), (folder() / "large").string()}},
                     {"control_net", {text, text_2}},
                     {"stage", {"share=0.5,control=none", "control=" + net_2(1).path}},
                     {"prompt", {"a fox"}},
                     {"steps", {"10"}},
                     {"sampler", {"ddim"}},
                     {"width", {"64"}},
                     {"height", {"64"}}};
  const auto asked_so = [&](const Said& all) {
    const std::vector<ModelInfo> models = read_models(parse_models(all));
    return std::pair(models, parse_options(all, models));
  };
  testing::expect_error(ErrorKind::usage, "\" has no effect here: every --stage names others with control=",
                        [&] { asked_so(said); });
  Said both = said;
  both["stage"][1] += ",control=" + net().path;
  const auto [models, asked] = asked_so(both);
  EXPECT_EQ(asked.controls, (Controls{net(0.8, {0.2, 1}), net_2(0.5)}));
  EXPECT_EQ(asked.hints.size(), 2u);
  const Tensor hint = make_hint(*asked.hints[0], asked.controls[0], 64, 64);
  EXPECT_EQ(hint.shape(), Shape({3, 64, 64}));
  EXPECT_EQ(bytes_of(hint), bytes_of(tiny_hint_picture()));
  EXPECT_EQ(said_of(to_json(asked, false), "here").at("control_net"), both.at("control_net"));

  const RunSpec spec = make_run_spec(models, asked);
  EXPECT_TRUE(spec.stages[0].controls.empty());
  EXPECT_EQ(spec.stages[1].controls, (std::vector<size_t>{0, 1}));
  EXPECT_EQ(spec.controls_at(1, 1), 2u);
  EXPECT_EQ(spec.controls_at(1, 2), 3u);
  const auto lines = describe_controls(spec, models);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].find("sd x 0.8 on "), 0u) << lines[0];
  EXPECT_NE(lines[0].find(": 5 of 5 steps"), std::string::npos) << lines[0];
  const std::string parameters = png_text(spec, models, 0).at(0).second;
  EXPECT_NE(parameters.find(", ControlNet: \"" + text.substr(0, 5)), std::string::npos) << parameters;

  // What the pictures' bytes depend on.
  const Field& field = field_named("control_net");
  const auto identity = [&, models = models](const SampleOptions& options) {
    return field.identity(field, make_run_spec(models, options));
  };
  const nlohmann::json usual = identity(asked);
  EXPECT_EQ(usual.size(), 2u);
  SampleOptions other = asked;
  other.controls[0].strength = 0.7;
  EXPECT_NE(identity(other), usual);
  other = asked;
  other.controls[0].interval.high = 0.9;
  EXPECT_NE(identity(other), usual);
  other = asked;
  other.hints[0] = std::make_shared<const Image>(tiny_hint(91));
  EXPECT_NE(identity(other), usual);
  other = asked;
  other.controls[0].image = "elsewhere.png";
  EXPECT_EQ(identity(other), usual);

  // Its weights, and what it gives the U-Net of each row, are held.
  SampleOptions plain = asked;
  plain.backend.dtype = "f32";
  const RunSpec in_f32 = make_run_spec(models, plain);
  const auto needed = [&](const std::vector<ModelInfo>& infos) {
    return memory_needed(infos, {true, true}, in_f32, "").total();
  };
  std::vector<ModelInfo> without = models;
  without[1].controls.clear();
  EXPECT_GE(needed(models) - needed(without), int64_t{4} * 2 * 556532);
  const ControlNetConfig& config = models[1].controls[0].net->config;
  const HintBytes small = control_net_hint_bytes(config, 8, 8, DType::f32),
                  large = control_net_hint_bytes(config, 16, 8, DType::f32);
  EXPECT_EQ(small.kept, 4 * 8 * 8 * config.unet.channels(0));
  EXPECT_EQ(large.kept, 2 * small.kept);
  EXPECT_EQ(large.work, 2 * small.work);
}

TEST_F(ControlNetOfSd, WhatDoesNotFitIsRefused) {
  const auto refused = [&](ErrorKind kind, const std::string& part, const std::vector<std::string>& names,
                           const auto& change) {
    SampleOptions options = asked("ddim", {net()});
    change(options);
    testing::expect_error(kind, part, [&] {
      std::vector<ModelInfo> infos = models(names);
      take_controls(options, infos);
      const RunSpec spec = make_run_spec(infos, options);
      const std::string idle = field_named("control_net").idle(spec, infos);
      check(idle.empty(), ErrorKind::usage, idle);
    });
  };
  const auto nothing = [](SampleOptions&) {};
  refused(ErrorKind::input,
          "cannot steer small: it steers 6 skips, and the U-Net has 4. Name the stages that it",
          {"small", "large"}, nothing);
  refused(ErrorKind::input, "cannot steer small: it steers 6 skips, and the U-Net has 4", {"small"}, nothing);
  // No stage that the advice could name.
  try {
    std::vector<ModelInfo> infos = models({"small", "small"});
    take_controls(asked("ddim", {net()}), infos);
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_TRUE(std::string(error.what()).ends_with("it steers 6 skips, and the U-Net has 4"))
        << error.what();
  }
  refused(ErrorKind::input, "--control-net " + (folder() / "none").string() + ": ", {"large"},
          [](SampleOptions& o) { o.controls[0].path = (folder() / "none").string(); });
  const auto stages = [](const std::string& first, const std::string& second) {
    return [=](SampleOptions& o) { o.stages = {parse_stage(first), parse_stage(second)}; };
  };
  refused(ErrorKind::usage, "every --stage names others with control=", {"large", "large"},
          stages("control=none", "control=none"));
  refused(ErrorKind::usage,
          "--stage 1: control= is \"other\", expected none or one that --control-net names: ",
          {"large", "large"}, stages("control=other", ""));
  refused(ErrorKind::usage, "--stage 2: control=none stands alone", {"large", "large"},
          stages("", "control=none,control=" + net().path));
  refused(ErrorKind::usage, "is there twice", {"large", "large"},
          stages("", "control=" + net().path + ",control=" + net().path));
  refused(ErrorKind::usage, "expected none or one that --control-net names", {"large", "large"},
          [](SampleOptions& o) {
            o.controls.clear();
            o.hints.clear();
            o.stages = {parse_stage("control=a"), parse_stage("")};
          });
  refused(ErrorKind::usage, "--stage 1: control=none has no effect here: there is no --control-net",
          {"large", "large"}, [](SampleOptions& o) {
            o.controls.clear();
            o.hints.clear();
            o.stages = {parse_stage("control=none"), parse_stage("")};
          });
  refused(ErrorKind::usage, "holds none of the steps of the stages that it steers", {"large"},
          [](SampleOptions& o) {
            o.controls[0].interval = {0.01, 0.09};
          });
  refused(ErrorKind::usage, "--control-net is there 17 times, expected at most 16", {"large"},
          [](SampleOptions& o) { o.controls.resize(17, o.controls[0]); });
  refused(ErrorKind::usage, "the picture of a ControlNet is empty", {"large"},
          [](SampleOptions& o) { o.hints[0] = nullptr; });
  refused(ErrorKind::usage, "1 ControlNets with 0 pictures", {"large"},
          [](SampleOptions& o) { o.hints.clear(); });
  // Nothing of it is dropped where somebody forgets to give it to the models, or to their conditions.
  testing::expect_error(ErrorKind::usage, "steers no model",
                        [&] { make_run_spec(models({"large"}), asked("ddim", {net()})); });
  testing::expect_error(ErrorKind::internal, "a stage with 1 ControlNets", [&] {
    std::vector<ModelInfo> infos = models({"large"});
    take_controls(asked("ddim", {net()}), infos);
    latents_of(*backend_, infos, asked("ddim", {net()}));
  });
  refused(ErrorKind::input, "no ControlNet: it has neither a tensor", {"large"},
          [](SampleOptions& o) { o.controls[0].path = (folder() / "large" / "unet").string(); });

  // A stage that serves none of the steps in its interval leaves it without effect.
  refused(ErrorKind::usage, "holds none of the steps", {"small", "large"}, [](SampleOptions& o) {
    o.stages = {parse_stage("share=0.5,control=none"), parse_stage("")};
    o.controls[0].interval = {0, 0.5};
    settle_stages(o, 2);
  });
}

TEST_F(ControlNetOfSd, HintsAreCutScaledAndMadeOfPhotographs) {
  const std::string path = (folder() / "gray.png").string();
  Image gray{.width = 128, .height = 64, .channels = 1, .pixels = std::vector<uint8_t>(128 * 64, 0)};
  for (size_t i = 0; i < gray.pixels.size(); ++i)
    if (i % 128 >= 64) gray.pixels[i] = 255;
  const Tensor whole = make_hint(gray, {.path = "net", .image = path}, 64, 64);  // the middle of it
  ASSERT_EQ(whole.shape(), Shape({3, 64, 64}));
  for (int64_t i = 0; i < whole.elements(); ++i) EXPECT_EQ(whole.data<float>()[i], i % 64 < 32 ? 0 : 1);
  const Tensor edge =
      make_hint(gray, {.path = "net", .image = path, .canny = CannyThresholds{100, 200}}, 64, 64);
  int64_t edges = 0;
  for (int64_t i = 0; i < edge.elements(); ++i) {
    const bool is_edge = edge.data<float>()[i] == 1;
    EXPECT_TRUE(is_edge || edge.data<float>()[i] == 0);
    if (is_edge) {
      EXPECT_TRUE(i % 64 == 31 || i % 64 == 32);
    }
    edges += is_edge;
  }
  EXPECT_EQ(edges, 3 * 64);
}

class ControlNetOfSdxl : public OnTinySdxl {
 protected:
  static void SetUpTestSuite() {
    OnTinySdxl::SetUpTestSuite();
    for (const std::string name : {"sdxl", "sdxl_mid", "sdxl_small"})
      write_tiny_control_net(tiny()->path("nets/" + name), name);
    write_png(tiny()->path("hint.png"), tiny_hint(), {});
    write_png(tiny()->path("hint_2.png"), tiny_hint(91), {});
  }

  static ControlOption net(const std::string& name, double strength, ControlInterval interval = {}) {
    return {.path = tiny()->path("nets/" + name),
            .image = tiny()->path(name == "sdxl_mid" ? "hint_2.png" : "hint.png"),
            .strength = strength,
            .interval = interval};
  }
  static SampleOptions asked(const Controls& controls) {
    SampleOptions options{.steps = "10", .prompts = {kPrompt}, .negative_prompt = "blurry"};
    options.given.initial = random_uniform("x_T", {1, 4, 8, 8}, std::sqrt(3.0), kSeed);
    return with(options, controls);
  }
  double error(const std::vector<std::string>& names, const SampleOptions& asked, const std::string& expected,
               const Tensor& init_latent = {}) const {
    return relative_error(steered_latents(*backend_, infos(names), asked, init_latent),
                          golden("control/" + expected + ".npy"));
  }

  std::unique_ptr<Backend> backend_ = make_backend({.dtype = "f32", .threads = 2});
};

TEST_F(ControlNetOfSdxl, AgreesWithDiffusers) {
  EXPECT_LE(error({"sdxl"}, asked({net("sdxl", 0.5)}), "sdxl"), kTolerance);
  EXPECT_LE(error({"sdxl"}, asked({net("sdxl_small", 0.5)}), "sdxl_small"), kTolerance);
}

// The network of the large model drives the small one, too, as in the paper.
TEST_F(ControlNetOfSdxl, DrivesBothStagesAsInDiffusers) {
  for (const auto& [ratio, name] : {std::pair{0.3, "ssd1b_0.3"}, {0.5, "ssd1b_0.5"}}) {
    SampleOptions options = asked({net("sdxl", 0.5)});
    options.fractions = {ratio, 1 - ratio};
    EXPECT_LE(error({"ssd1b", "sdxl"}, options, name), kTolerance) << name;
    EXPECT_LE(error({"alone/ssd1b", "sdxl"}, options, name), kTolerance) << name;
  }
  SampleOptions options = asked({net("sdxl", 0.5, {0, 0.8}), net("sdxl_mid", 0.7, {0.1, 1})});
  options.fractions = {0.3, 0.7};
  EXPECT_LE(error({"ssd1b", "sdxl"}, options, "sdxl_two"), kTolerance);
}

TEST_F(ControlNetOfSdxl, FromAPictureItAgreesWithDiffusers) {
  SampleOptions options = asked({net("sdxl", 0.5)});
  options.given = {};
  const Tensor latent = start_from_picture(options, 0.6);
  EXPECT_LE(error({"sdxl"}, options, "sdxl_img2img", latent), kTolerance);
}

// One network of weights, whoever is steered: two stages of one file share it, and the ControlNet.
TEST_F(ControlNetOfSdxl, StagesShareNetworks) {
  SampleOptions options = asked({net("sdxl", 0.5)});
  options.stages = {parse_stage("share=0.3"), parse_stage("share=0.3,control=none"), parse_stage("")};
  settle_stages(options, 3);
  std::vector<ModelInfo> models = infos({"sdxl", "sdxl", "ssd1b"});
  take_controls(options, models);
  EXPECT_TRUE(same_network(models[0], models[1]));
  EXPECT_EQ(models[0].controls[0].net, models[2].controls[0].net);
  Engine engine(models, {.dtype = "f32", .threads = 2});
  const RunSpec spec = make_run_spec(models, options);
  engine.load({&spec, 1}, false, [] { return false; });
  EXPECT_EQ(engine.models()[0].network, engine.models()[1].network);
  const auto controls = [&](size_t stage) {
    return engine.inputs().conditions[stage]->condition(0).controls;
  };
  EXPECT_EQ(controls(0), controls(2));
  EXPECT_EQ(controls(0).size(), 1u);
  EXPECT_TRUE(controls(1).empty());
  EXPECT_EQ(engine.inputs().conditions[0]->null(0).controls, controls(0));
}

// Every image changes over by itself, and is steered on both sides.
TEST_F(ControlNetOfSdxl, WithAdaptiveSwitchingAnImageIsTheSameAlone) {
  SampleOptions many = asked({net("sdxl", 0.5, {0, 0.7})});
  many.given = {};
  many.prompts = {"a", "a red bicycle", kPrompt};
  many.adaptive = true;
  many.switch_threshold = 0.6;
  const Prepared all = prepared(*backend_, infos({"ssd1b", "sdxl"}), many);
  RunObserver silent;
  const RunResult together = run(*backend_, all.models, all.spec, silent, all.inputs);
  for (int64_t image = 0; image < 3; ++image) {
    SampleOptions one = many;
    one.prompts = {many.prompts[static_cast<size_t>(image)]};
    one.seed = all.spec.seed_of(image);
    EXPECT_EQ(bytes_of(steered_latents(*backend_, infos({"ssd1b", "sdxl"}), one)),
              bytes_of(together.latents.slice(image, image + 1)));
  }
}

TEST_F(ControlNetOfSdxl, WhatDoesNotFitIsRefused) {
  for (const auto& [name, part] : {std::pair{"koala_700m", "it steers 9 skips, and the U-Net has 6"},
                                   {"refiner", "numbers a token, and the U-Net's are"}})
    testing::expect_error(ErrorKind::input, part, [&, name = name] {
      std::vector<ModelInfo> models = infos({name});
      take_controls(asked({net("sdxl", 1)}), models);
    });
}

}  // namespace
}  // namespace tstitch
