// ControlNets against diffusers (tools/goldens/make_control_goldens.py): their residuals, what U-Nets make of
// them, the forms of their files, and what must be equal or refused.
#include "tstitch/zoo/control_net.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/expect_error.h"
#include "tests/support/fake_device.h"
#include "tests/support/golden.h"
#include "tests/support/test_backends.h"
#include "tests/support/tiny_control_nets.h"
#include "tstitch/io/safetensors.h"
#include "tstitch/nn/random_weights.h"
#include "tstitch/ops/ops.h"
#include "tstitch/zoo/diffusers_unet.h"
#include "tstitch/zoo/families/unet.h"
#include "tstitch/zoo/model_info.h"
#include "tstitch/zoo/unet_network.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;
using testing::expect_error;

constexpr uint64_t kSeed = 7;
constexpr double kTimestep = 741, kStrength = 0.8;

Tensor uniform(const std::string& name, const Shape& shape) {
  return random_uniform(name, shape, std::sqrt(3.0), kSeed);
}

std::string bytes_of(const Tensor& x) {
  return {reinterpret_cast<const char*>(x.bytes()), static_cast<size_t>(x.elements() * size_of(x.dtype()))};
}

UNetConfig unet_config(const std::string& net) {
  return net == "sd"
             ? read_diffusers_unet_config(parse_json_file(golden_path("sd/large_config.json")), net)
             : read_diffusers_unet_config(parse_json_file(golden_path("sdxl/configs.json")).at("sdxl"), net);
}

// What the goldens' one picture shows.
Condition condition_of(Backend& backend, const UNetConfig& config) {
  Condition condition{
      .context = uniform("context", {1, 7, config.context_width}).reshape({7, config.context_width})};
  if (config.added_width == 0) return condition;
  constexpr double kSizes[] = {64, 64, 0, 0, 64, 64};
  const Tensor pooled = backend.upload(uniform("pooled", {1, config.added_width - 6 * 256}));
  condition.added =
      backend.download(text_time_condition(backend, pooled, kSizes)).reshape({config.added_width});
  return condition;
}

std::shared_ptr<const ControlNetwork> network(Backend& backend, const std::string& name) {
  return std::make_shared<const ControlNetwork>(
      ControlNet(tiny_control_config(name), Weights(backend, RandomWeights("control-" + name, kSeed))),
      false);
}

UNetNetwork unet(Backend& backend, const std::string& net) {
  const std::string tag = net == "sd" ? "sd-large" : "sdxl-sdxl";
  return UNetNetwork(UNet(unet_config(net), Weights(backend, RandomWeights(tag, kSeed))));
}

Tensor latents(Backend& backend, int64_t images = 1) {
  return to_channels_last(backend, backend.upload(uniform("x_T", {images, 4, 8, 8})));
}

TEST(ControlNet, ResidualsAgreeWithDiffusers) {
  for (const Precision& precision : test_devices()) {
    const auto backend = test_backend(precision);
    for (const std::string name : {"sd", "sdxl", "sdxl_mid", "sdxl_small"}) {
      SCOPED_TRACE(::testing::Message() << precision.device << " " << name);
      const UNetConfig config = unet_config(name);
      const Condition condition = condition_of(*backend, config);
      const auto net = network(*backend, name);
      const auto followed =
          std::static_pointer_cast<const FollowedHint>(net->follow(tiny_hint_picture(), kStrength));
      const BoundControl bound = net->bind(
          followed, backend->upload(condition.context),
          condition.added ? backend->upload(condition.added).reshape({1, config.added_width}) : Tensor());
      const BoundControl* controls[] = {&bound};
      const Row row{.t = kTimestep, .condition = nullptr};
      std::vector<const Tensor*> contexts;
      for (const Tensor& context : bound.context) contexts.push_back(&context);
      const std::vector<Tensor> features =
          net->net()(latents(*backend), net->times({&row, 1}, controls), contexts, followed->hint);
      std::vector<float> residuals;
      for (size_t k = 0; k < features.size(); ++k) {
        Tensor zeros(features[k].shape(), DType::f32);
        std::fill_n(zeros.data<float>(), zeros.elements(), 0.0f);
        Tensor sum = backend->upload(zeros);
        net->net().add_to(sum, k, features[k], followed->gains[k]);
        const Tensor found = backend->download(sum);
        residuals.insert(residuals.end(), found.data<float>(), found.data<float>() + found.elements());
      }
      const Tensor expected = golden("control/" + name + "_residuals.npy");
      Tensor third(expected.shape(), DType::f32);
      for (int64_t i = 0; i < third.elements(); ++i)
        third.data<float>()[i] = residuals.at(static_cast<size_t>(3 * i));
      EXPECT_EQ((static_cast<int64_t>(residuals.size()) + 2) / 3, third.elements());
      EXPECT_LE(relative_error(third, expected), 1e-5);
    }
  }
}

TEST(ControlNet, SteersUNetsAsInDiffusers) {
  for (const Precision& precision : test_precisions()) {
    const auto backend = test_backend(precision);
    for (const std::string name : {"sd", "sdxl", "sdxl_mid", "sdxl_small"}) {
      const bool is_slow = precision.device == "reference" || precision.device == "twin";
      if (is_slow && name != "sd") continue;
      SCOPED_TRACE(::testing::Message() << precision.device << " " << precision.dtype << " " << name);
      const UNetNetwork network_asked = unet(*backend, name);
      Condition condition = condition_of(*backend, unet_config(name));
      condition.controls = {network(*backend, name)->follow(tiny_hint_picture(), kStrength)};
      const auto bound = network_asked.bind(condition, 8, 8);
      const Row row{.t = kTimestep, .condition = bound.get()};
      const Tensor y = network_asked.evaluate(latents(*backend), {&row, 1});
      EXPECT_LE(relative_error(backend->download(to_channels_first(*backend, y)),
                               golden("control/" + name + "_steered.npy")),
                precision.relative);
    }
  }
}

// Stages may differ in type, and ControlNets have the run's. Of what 8 bits are away from f32 these networks
// are no measure: the tolerance tells a hint that is lost.
TEST(ControlNet, SteersUNetsOfOtherTypes) {
  const Tensor expected = golden("control/sd_steered.npy");
  for (const auto& [of_net, of_unet] :
       {std::pair{"f32", "int8"}, {"int8", "f32"}, {"bf16", "f32"}, {"int8", "int8"}}) {
    SCOPED_TRACE(::testing::Message() << of_net << " steers " << of_unet);
    const auto net_backend = make_backend({.dtype = of_net}), backend = make_backend({.dtype = of_unet});
    const UNetNetwork network_asked = unet(*backend, "sd");
    Condition condition = condition_of(*backend, unet_config("sd"));
    condition.controls = {network(*net_backend, "sd")->follow(tiny_hint_picture(), kStrength)};
    const auto bound = network_asked.bind(condition, 8, 8);
    const Row row{.t = kTimestep, .condition = bound.get()};
    const Tensor y = network_asked.evaluate(latents(*backend), {&row, 1});
    EXPECT_LE(relative_error(to_channels_first(*backend, y), expected), 0.15);
  }
}

// Rows that no net, one, another, or two steer, some for now or with other strengths: each the same alone.
TEST(ControlNet, ARowDoesNotDependOnWhoSteersOthers) {
  const auto answers = [](Backend& backend, const std::string& name) {
    const UNetNetwork asked = unet(backend, name);
    const Condition plain = condition_of(backend, unet_config(name));
    const auto net = network(backend, name), other = network(backend, name == "sd" ? "sd_2" : "sdxl_small");
    const auto a = net->follow(tiny_hint_picture(), 0.8), b = net->follow(tiny_hint_picture(91), 1),
               c = other->follow(tiny_hint_picture(), 0.5);
    std::vector<std::unique_ptr<const BoundCondition>> bound;
    const std::vector<std::vector<std::shared_ptr<const Control>>> all = {{}, {a}, {b}, {c}, {a, c}, {b, c}};
    for (const auto& controls : all) {
      Condition condition = plain;
      condition.controls = controls;
      bound.push_back(asked.bind(condition, 8, 8));
    }
    std::vector<Row> rows;
    for (size_t i = 0; i < all.size(); ++i)
      rows.push_back({.t = 900.0 - 7 * static_cast<double>(i % 3), .condition = bound[i].get()});
    rows.push_back(rows[4]);
    rows.back().controls = 2;  // the second alone
    rows.push_back(rows[5]);
    rows.back().controls = 0;
    const Tensor x = latents(backend, std::ssize(rows));
    std::vector<std::string> together, alone;
    const Tensor y = backend.download(asked.evaluate(x, rows));
    for (int64_t n = 0; n < std::ssize(rows); ++n) {
      together.push_back(bytes_of(y.slice(n, n + 1)));
      alone.push_back(
          bytes_of(backend.download(asked.evaluate(x.slice(n, n + 1), {&rows[static_cast<size_t>(n)], 1}))));
      EXPECT_EQ(together.back(), alone.back()) << name << ", row " << n;
      EXPECT_EQ(std::ranges::count(together, together.back()), 1);
    }
    return together;
  };
  for (const char* dtype : {"f32", "bf16"})
    for (const std::string name : {"sd", "sdxl"}) {
      const auto host = make_backend({.dtype = dtype, .threads = 2});
      EXPECT_EQ(answers(*fake_device({.dtype = dtype, .threads = 2}), name), answers(*host, name));
    }
}

// What does not hold costs nothing and changes nothing.
TEST(ControlNet, ThatDoesNotHoldLeavesTheNetworkAsItIs) {
  const auto backend = make_backend({.dtype = "bf16", .threads = 2});
  const UNetNetwork asked = unet(*backend, "sd");
  Condition condition = condition_of(*backend, unet_config("sd"));
  const auto plain = asked.bind(condition, 8, 8);
  condition.controls = {network(*backend, "sd")->follow(tiny_hint_picture(), 0.8)};
  const auto steered = asked.bind(condition, 8, 8);
  const Row none{.t = kTimestep, .condition = plain.get()};
  Row off{.t = kTimestep, .condition = steered.get()};
  off.controls = 0;
  const Tensor x = latents(*backend);
  EXPECT_EQ(bytes_of(asked.evaluate(x, {&off, 1})), bytes_of(asked.evaluate(x, {&none, 1})));
}

TEST(ControlNet, CountsWhatDiffusersCount) {
  EXPECT_EQ(control_net_parameters(tiny_control_config("sd")), 556532);
  EXPECT_EQ(control_net_parameters(tiny_control_config("sdxl")), 1443956);
  EXPECT_EQ(control_net_parameters(tiny_control_config("sdxl_mid")), 1046132);
  EXPECT_EQ(control_net_parameters(tiny_control_config("sdxl_small")), 615668);
  const auto published = [](const char* preset) {
    ControlNetConfig config{.unet = unet_preset(preset)};
    config.unet.up.clear();
    return config;
  };
  EXPECT_EQ(control_net_parameters(published("sd1")), 361279120);
  EXPECT_EQ(control_net_parameters(published("sd2")), 364228240);
  EXPECT_EQ(control_net_parameters(published("sdxl")), 1251014160);
  EXPECT_EQ(known_networks_steered_by(published("sd1")), std::vector<std::string>{"Stable Diffusion 1"});
  EXPECT_EQ(known_networks_steered_by(published("sd2")), std::vector<std::string>{"Stable Diffusion 2"});
  EXPECT_EQ(known_networks_steered_by(published("sdxl")),
            (std::vector<std::string>{"Stable Diffusion XL", "SSD-1B", "Segmind-Vega"}));
}

// Convolutions of stride 2 round sides up.
TEST(ControlNet, CountsWhatItAddsToLatentsOfAnySize) {
  const ControlNetConfig config = tiny_control_config("sd");
  int64_t elements = 0;
  for (const auto& [channels, level] : config.outputs()) {
    const int64_t stride = int64_t{1} << level;
    elements += channels * ((9 + stride - 1) / stride) * ((13 + stride - 1) / stride);
  }
  EXPECT_EQ(control_net_feature_bytes(config, 9, 13, DType::f32), 4 * elements);
  EXPECT_EQ(control_net_feature_bytes(config, 9, 13, DType::bf16), 2 * elements);
}

TEST(ControlNet, SaysWhyItCannotSteer) {
  const ControlNetConfig sd1{.unet = unet_preset("sd1")}, sdxl{.unet = unet_preset("sdxl")};
  const auto expect = [](const ControlNetConfig& net, const char* unet, const std::string& why) {
    EXPECT_EQ(control_obstacle(net, unet_preset(unet)), why) << unet;
  };
  expect(sd1, "bk_base", "it steers 12 skips, and the U-Net has 8");
  expect(sd1, "sd2", "it reads texts encoded as 768 numbers a token, and the U-Net's are 1024");
  expect(sdxl, "koala_1b", "it steers 9 skips, and the U-Net has 6");
  expect(sdxl, "sdxl_refiner", "it reads texts encoded as 2048 numbers a token, and the U-Net's are 1280");
  ControlNetConfig none = sdxl;  // without transformers it reads no text
  none.unet.context_width = 0;
  expect(none, "sdxl_refiner", "it is told 2816 numbers beside the tokens of the text, and the U-Net 2560");
  expect(none, "sd1", "it is told 2816 numbers beside the tokens of the text, and the U-Net 0");
  ControlNetConfig wide = sd1;
  wide.unet.block_out_channels[1] = 960;
  expect(wide, "sd1", "its skip 5 has 960 channels at level 1, and the U-Net's 640 at level 1");
  ControlNetConfig masked = sd1;
  masked.unet.in_channels = 9;
  expect(masked, "sd1", "it reads latents of 9 channels, and the U-Net's have 4");
}

class ControlNetFile : public ::testing::Test {
 protected:
  using Tensors = std::map<std::string, Tensor>;

  void SetUp() override {
    folder_ = fs::temp_directory_path() / concat("tstitch_control_", getpid());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string write(const std::string& name, const Tensors& tensors) const {
    write_safetensors((folder_ / name).string(), tensors, {});
    return (folder_ / name).string();
  }

  // As the original code names them.
  static Tensors original(const Tensors& tensors, const std::string& prefix) {
    static const nlohmann::json names = parse_json_file(golden_path("control/sd1_names.json"));
    Tensors renamed;
    for (const auto& [name, tensor] : tensors) {
      std::string longest;
      for (const auto& [module, target] : names.items())
        if (name.starts_with(module + ".") && module.size() > longest.size()) longest = module;
      renamed[prefix + names.at(longest).get<std::string>() + name.substr(longest.size())] = tensor;
    }
    return renamed;
  }

  // Its weights with these names, as the network reads them.
  static std::string features(const ControlNetInfo& info, const ModelInfo& base) {
    const auto backend = make_backend({.dtype = "f32", .threads = 2});
    const auto net = load_control_net(info, base, *backend);
    const auto followed = std::static_pointer_cast<const FollowedHint>(net->follow(tiny_hint_picture(), 1));
    const BoundControl bound = net->bind(followed, uniform("context", {7, 768}), {});
    const BoundControl* controls[] = {&bound};
    const Row row{.t = kTimestep, .condition = nullptr};
    std::vector<const Tensor*> contexts;
    for (const Tensor& context : bound.context) contexts.push_back(&context);
    const auto all = net->net()(latents(*backend), net->times({&row, 1}, controls), contexts, followed->hint);
    std::string bytes;
    for (size_t k = 0; k < all.size(); ++k) {
      Tensor sum = repeat(*backend, all[k], 1);
      net->net().add_to(sum, k, all[k], followed->gains[k]);
      bytes += bytes_of(sum);
    }
    return bytes;
  }

  fs::path folder_;
};

TEST_F(ControlNetFile, IsReadUnderAllNames) {
  const Tensors tensors = tiny_control_tensors("sd1");
  const ControlNetInfo diffusers = read_control_net_info(write("net.safetensors", tensors));
  EXPECT_EQ(diffusers.config.hint_channels, (std::vector<int64_t>{4, 8, 8, 16}));
  EXPECT_EQ(diffusers.name, "net");
  EXPECT_FALSE(diffusers.is_difference);
  const std::string expected = features(diffusers, {});
  for (const char* prefix : {"", "control_model."}) {
    const ControlNetInfo info =
        read_control_net_info(write("original.safetensors", original(tensors, prefix)));
    EXPECT_EQ(info.config, diffusers.config);
    EXPECT_EQ(features(info, {}), expected) << prefix;
  }
  write_tiny_control_net(folder_ / "folder", "sd1");
  const ControlNetInfo folder = read_control_net_info((folder_ / "folder").string());
  EXPECT_EQ(folder.config.unet.down, diffusers.config.unet.down);
  EXPECT_EQ(features(folder, {}), expected);
}

TEST_F(ControlNetFile, OfADifferenceBecomesItsSumWithTheModel) {
  // Of powers of two, so that nothing is rounded.
  const auto rounded = [](const Tensor& tensor) {
    Tensor coarse(tensor.shape(), DType::f32);
    for (int64_t i = 0; i < tensor.elements(); ++i)
      coarse.data<float>()[i] = std::round(tensor.data<float>()[i] * 1024) / 1024;
    return coarse;
  };
  Tensors whole, base, difference;
  for (const auto& [name, tensor] : tiny_control_tensors("sd1")) {
    whole[name] = difference[name] = rounded(tensor);
    if (name.starts_with("controlnet_")) continue;
    base["unet." + name] = rounded(uniform(name, tensor.shape()));
    difference[name] = Tensor(tensor.shape(), DType::f32);
    for (int64_t i = 0; i < tensor.elements(); ++i)
      difference[name].data<float>()[i] =
          whole[name].data<float>()[i] - base["unet." + name].data<float>()[i];
  }
  Tensors stored = original(difference, "control_model.");
  stored["difference"] = Tensor({1}, DType::f32);
  *stored["difference"].data<float>() = 1;
  const ControlNetInfo info = read_control_net_info(write("difference.safetensors", stored));
  EXPECT_TRUE(info.is_difference);

  UNetConfig config = info.config.unet;
  config.up = {{1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}};
  ModelInfo model;
  model.files.path = model.files.weights = write("base.safetensors", base);
  const auto steered = [&](const UNetConfig& unet) {
    model.architecture = std::make_shared<UNetArchitecture>(unet, "unet.", 77, WeightChoice::automatic);
    return control_obstacle(info, model);
  };
  UNetConfig deeper = config;
  deeper.down[1] = {2, 2};
  EXPECT_EQ(steered(deeper),
            "it is stored as a difference from a U-Net's way down, and this one's is another");
  EXPECT_EQ(steered(config), "");
  EXPECT_EQ(features(info, model), features(read_control_net_info(write("whole.safetensors", whole)), {}));
}

TEST_F(ControlNetFile, MayTakeTheBlueFirst) {
  const auto backend = make_backend({.dtype = "f32", .threads = 2});
  const auto hint = [&](bool takes_bgr, const Tensor& picture) {
    const auto net = std::make_shared<const ControlNetwork>(
        ControlNet(tiny_control_config("sd"), Weights(*backend, RandomWeights("control-sd", kSeed))),
        takes_bgr);
    return bytes_of(std::static_pointer_cast<const FollowedHint>(net->follow(picture, 1))->hint);
  };
  const Tensor rgb = tiny_hint_picture();
  Tensor bgr(rgb.shape(), DType::f32);
  for (int64_t c = 0; c < 3; ++c)
    std::copy_n(rgb.data<float>() + c * 64 * 64, 64 * 64, bgr.data<float>() + (2 - c) * 64 * 64);
  EXPECT_EQ(hint(true, bgr), hint(false, rgb));
  EXPECT_NE(hint(true, rgb), hint(false, rgb));
  nlohmann::json config = tiny_control_configs().at("sd");
  config["controlnet_conditioning_channel_order"] = "bgr";
  bool takes_bgr = false;
  read_diffusers_control_net_config(config, "config.json", takes_bgr);
  EXPECT_TRUE(takes_bgr);
}

TEST_F(ControlNetFile, OfAnotherKindIsRefusedByName) {
  const Tensor any({1}, DType::f32);
  for (const auto& [tensor, part] :
       {std::pair{"lora_controlnet", "a Control-LoRA"},
        {"task_embedding", "a ControlNet-Union"},
        {"control_add_embedding.linear_1.bias", "a ControlNet-Union"},
        {"body.0.in_conv.weight", "a T2I-Adapter"},
        {"adapter.body.0.resnets.0.block1.weight", "a T2I-Adapter"},
        {"control_to_base_for_conv_in.weight", "a ControlNet-XS"},
        {"image_proj.proj.weight", "an IP-Adapter"},
        {"ip_adapter.1.to_k_ip.weight", "an IP-Adapter"},
        {"lllite_unet_input_blocks_4_1.conditioning1.0.weight", "a ControlLLLite"},
        {"controlnet_blocks.0.weight", "a ControlNet of a transformer"},
        {"lora_unet_conv_in.lora_up.weight", "this is a LoRA: name it with --lora"},
        {"conv_out.weight", "no ControlNet: it has neither a tensor"}}) {
    // Some have tensors that ControlNets have, too.
    const std::string path = write("other.safetensors", {{tensor, any}, {"conv_in.weight", any}});
    expect_error(ErrorKind::input, concat("[CONTROL_KIND] "), [&] { read_control_net_info(path); });
    expect_error(ErrorKind::input, part, [&] { read_control_net_info(path); });
    const bool known = std::string(part).find("LoRA:") == std::string::npos && part[0] != 'n';
    EXPECT_EQ(is_control_net(read_safetensors(path)), known) << tensor;
  }
  const std::string shuffle =
      write("control_v11e_sd15_shuffle.safetensors", original(tiny_control_tensors("sd1"), ""));
  expect_error(ErrorKind::input, "\"global_pool_conditions\"", [&] { read_control_net_info(shuffle); });
  expect_error(ErrorKind::input, "a ControlNet, which steers a model and is none: name it with --control-net",
               [&] { read_model_info(write("net.safetensors", tiny_control_tensors("sd1"))); });
}

TEST_F(ControlNetFile, ThatIsBrokenIsRefused) {
  const Tensors good = tiny_control_tensors("sd1");
  const auto backend = make_backend({.dtype = "f32", .threads = 2});
  const auto refused = [&](const std::string& part, const auto& change, const std::string& prefix = "") {
    Tensors tensors = good;
    change(tensors);
    const std::string path =
        write("broken.safetensors", prefix.empty() ? tensors : original(tensors, prefix));
    expect_error(ErrorKind::input, part,
                 [&] { load_control_net(read_control_net_info(path), {}, *backend); });
    expect_error(ErrorKind::input, "broken.safetensors",
                 [&] { load_control_net(read_control_net_info(path), {}, *backend); });
  };
  refused("\"controlnet_down_blocks.3.bias\"", [](Tensors& t) { t.erase("controlnet_down_blocks.3.bias"); });
  refused(
      "\"control_model.zero_convs.3.0.bias\"", [](Tensors& t) { t.erase("controlnet_down_blocks.3.bias"); },
      "control_model.");
  refused("\"controlnet_mid_block.weight\"", [](Tensors& t) { t.erase("controlnet_mid_block.weight"); });
  refused("\"controlnet_cond_embedding.conv_out.weight\"",
          [](Tensors& t) { t.erase("controlnet_cond_embedding.conv_out.weight"); });
  refused("\"mid_block.resnets.0.conv1.weight\"",
          [](Tensors& t) { t.erase("mid_block.resnets.0.conv1.weight"); });
  refused("\"down_blocks.1.resnets.1.norm1.weight\"",
          [](Tensors& t) { t.erase("down_blocks.1.resnets.1.norm1.weight"); });
  refused("its hint has 1 channels, expected 3 (RGB)", [](Tensors& t) {
    t["controlnet_cond_embedding.conv_in.weight"] = Tensor({4, 1, 3, 3}, DType::f32);
  });
  refused("4 dimensions", [](Tensors& t) {
    t["controlnet_cond_embedding.conv_in.weight"] = Tensor({4, 3}, DType::f32);
  });
  refused("\"controlnet_down_blocks.2.weight\"", [](Tensors& t) {
    t["controlnet_down_blocks.2.weight"] = Tensor({32, 16, 1, 1}, DType::f32);
  });
  refused("[MODEL_NONFINITE]", [](Tensors& t) {
    Tensor& bias = t["controlnet_mid_block.bias"];
    bias = repeat(*make_backend({.dtype = "f32", .threads = 1}), bias, 1);
    bias.data<float>()[3] = std::numeric_limits<float>::quiet_NaN();
  });

  const nlohmann::json config = tiny_control_configs().at("sdxl");
  struct Case {
    const char* key;
    nlohmann::json value;
    const char* message;
  };
  for (const auto& [key, value, message] :
       {Case{"global_pool_conditions", true, "\"global_pool_conditions\" is true, expected false"},
        Case{"conditioning_channels", 1, "\"conditioning_channels\" is 1, expected 3"},
        Case{"_class_name", "ControlNetUnionModel", "\"_class_name\""},
        Case{"controlnet_conditioning_channel_order", "grb", "\"controlnet_conditioning_channel_order\""},
        Case{"conditioning_embedding_out_channels", nlohmann::json::array(), "has 0 values"},
        Case{"down_block_types", {"DownBlock2D", "AttnDownBlock2D", "DownBlock2D"}, "AttnDownBlock2D"},
        Case{"mid_block_type", nullptr, "\"mid_block_type\" is null"},
        Case{"class_embed_type", "timestep", "\"class_embed_type\" is \"timestep\""}}) {
    nlohmann::json changed = config;
    changed[key] = value;
    bool takes_bgr = false;
    expect_error(ErrorKind::input, message,
                 [&] { read_diffusers_control_net_config(changed, "config.json", takes_bgr); });
  }
}

}  // namespace
}  // namespace tstitch
