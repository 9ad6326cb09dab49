// U-Nets against diffusers (tools/goldens/make_unet_goldens.py), the names of their tensors, and what must be
// equal.
#include "tstitch/zoo/unet_network.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/support/fake_device.h"
#include "tests/support/golden.h"
#include "tests/support/test_backends.h"
#include "tstitch/base/error.h"
#include "tstitch/io/json.h"
#include "tstitch/models/unet.h"
#include "tstitch/models/unet_keys.h"
#include "tstitch/nn/random_weights.h"
#include "tstitch/ops/ops.h"
#include "tstitch/zoo/diffusers_unet.h"

namespace tstitch {
namespace {

constexpr uint64_t kSeed = 7;
constexpr double kTimestep = 741;
constexpr double kGuidance[] = {7.5, 2.5};  // of the two images, for networks that are told it
constexpr const char* kTiny[] = {"sd1",  "sd2",   "bk_base", "bk_small", "bk_tiny",    "ldm",
                                 "sdxl", "ssd1b", "vega",    "koala_1b", "koala_700m", "lcm"};

UNetConfig tiny_config(const std::string& name) {
  const std::string path = golden_path("unet/" + name + ".json");
  return read_diffusers_unet_config(parse_json_file(path), path);
}

Tensor uniform(const char* name, const Shape& shape) {
  return random_uniform(name, shape, std::sqrt(3.0), kSeed);
}

int64_t tokens_of(const std::string& name) { return name == "ldm" ? 1 : 7; }

std::vector<Condition> conditions_of(Backend& backend, const std::string& name, const UNetConfig& config) {
  constexpr double kSizes[] = {64, 128, 0, 0, 64, 128, 100, 90, 5, 7, 64, 128};
  const int64_t S = tokens_of(name), W = config.context_width;
  const Tensor context = uniform("context", {2, S, W});
  Tensor added;
  if (config.added_width > 0)
    added = backend.download(text_time_condition(
        backend, backend.upload(uniform("pooled", {2, config.added_width - 6 * 8})), kSizes, 8));
  std::vector<Condition> conditions;
  for (const int64_t n : {0, 1})
    conditions.push_back({.context = context.slice(n, n + 1).reshape({S, W}),
                          .added = added ? added.slice(n, n + 1).reshape({config.added_width}) : Tensor()});
  return conditions;
}

// A U-Net whose rows show the golden's two images.
class Bound {
 public:
  Bound(Backend& backend, const std::string& name, const UNetConfig& config, UNet unet, int64_t height = 8,
        int64_t width = 16)
      : network_(std::move(unet)) {
    for (const Condition& condition : conditions_of(backend, name, config))
      bound_.push_back(network_.bind(condition, height, width));
  }

  // x: of these images.
  Tensor operator()(const Tensor& x, double t, std::vector<size_t> images = {0, 1},
                    std::span<const double> ahead = {}) const {
    std::vector<Row> rows;
    for (const size_t image : images)
      rows.push_back(
          {.t = t, .condition = bound_[image].get(), .guidance = kGuidance[image], .ahead = ahead});
    return network_.evaluate(x, rows);
  }
  const UNetNetwork& network() const { return network_; }
  const BoundCondition& condition(size_t image) const { return *bound_[image]; }

 private:
  UNetNetwork network_;
  std::vector<std::unique_ptr<const BoundCondition>> bound_;
};

Bound bound(Backend& backend, const std::string& name, int64_t height = 8, int64_t width = 16) {
  const UNetConfig config = tiny_config(name);
  return Bound(backend, name, config, UNet(config, Weights(backend, RandomWeights(name, kSeed))), height,
               width);
}

Tensor input(Backend& backend, int64_t height = 8, int64_t width = 16) {
  return to_channels_last(backend, backend.upload(uniform("x", {2, 4, height, width})));
}

TEST(UNet, AgreesWithDiffusers) {
  for (const Precision& precision : test_precisions()) {
    const auto& [device, dtype, tolerance] = precision;
    const auto backend = test_backend(precision);
    for (const std::string name : kTiny) {
      // Plain loops take their time.
      if (device == "reference" && name != "bk_tiny") continue;
      if (device == "twin" && name != "bk_tiny" && name != "ldm" && name != "sdxl") continue;
      SCOPED_TRACE(testing::Message() << device << " " << dtype << " " << name);
      const Tensor y = bound(*backend, name)(input(*backend), kTimestep);
      EXPECT_LE(
          relative_error(backend->download(to_channels_first(*backend, y)), golden("unet/" + name + ".npy")),
          tolerance);
    }
  }
}

// Latents whose halves, or halves of halves, are none: every level of the way up is as large as that of the
// way down.
TEST(UNet, OfOddExtentsAgreesWithDiffusers) {
  for (const Precision& precision : test_precisions()) {
    const auto& [device, dtype, tolerance] = precision;
    const auto backend = test_backend(precision);
    for (const std::string name : {"sd1", "bk_tiny", "sdxl", "koala_700m"}) {
      if ((device == "reference" || device == "twin") && name != "bk_tiny") continue;
      for (const auto& [height, width] : {std::pair{9, 13}, {10, 6}}) {
        SCOPED_TRACE(testing::Message() << device << " " << dtype << " " << name << " " << height);
        const Tensor y = bound(*backend, name, height, width)(input(*backend, height, width), kTimestep);
        EXPECT_LE(relative_error(backend->download(to_channels_first(*backend, y)),
                                 golden(concat("unet/", name, "_", height, "x", width, ".npy"))),
                  tolerance);
      }
    }
  }
}

// An evaluation that takes what one of the same picture at the same timestep kept is that one, bit for bit,
// whatever lies between; and it is no other.
TEST(UNet, WhatIsKeptIsWhatIsLeftOut) {
  const auto backend = make_backend({.dtype = "bf16", .threads = 2});
  for (const std::string name : kTiny)
    for (const BlockCache::Form form : {BlockCache::Form::paper, BlockCache::Form::helper}) {
      SCOPED_TRACE(testing::Message() << name << " " << static_cast<int>(form));
      const Bound network = bound(*backend, name, 9, 13);
      Tensor kept[2];
      const auto evaluate = [&](const Tensor& x, int64_t evaluation) {
        std::vector<Row> rows;
        for (const size_t n : {0, 1})
          rows.push_back({.t = kTimestep,
                          .condition = &network.condition(n),
                          .guidance = kGuidance[n],
                          .form = {.cache = {.every = 3, .form = form}},
                          .context = {.kept = &kept[n], .whole = evaluation % 3 == 0}});
        const Tensor y = backend->download(network.network().evaluate(x, rows));
        return std::string(reinterpret_cast<const char*>(y.bytes()), static_cast<size_t>(4 * y.elements()));
      };
      const Tensor x = input(*backend, 9, 13), other = combine(*backend, {{0.5, &x}});
      const std::string whole = evaluate(x, 0);
      EXPECT_EQ(evaluate(x, 1), whole);
      const std::string taken = evaluate(other, 2);
      EXPECT_NE(taken, evaluate(other, 3));
      EXPECT_NE(evaluate(x, 4), whole);
      kept[1] = {};  // a row that begins is whole, its neighbour not
      EXPECT_NE(evaluate(x, 5), whole);
      EXPECT_EQ(evaluate(x, 6), whole);
    }
}

// SDXL's transformers of two blocks without one of them: diffusers' (tools/goldens/make_twin_goldens.py), in
// any company.
TEST(UNet, LeavesOutBlocks) {
  const auto backend = make_backend({.dtype = "f32", .threads = 2});
  const Bound network = bound(*backend, "sdxl");
  const Tensor x = input(*backend);
  const auto evaluate = [&](const std::vector<int64_t>& first, const std::vector<int64_t>& second) {
    std::vector<Row> rows;
    for (const size_t n : {0, 1})
      rows.push_back({.t = kTimestep,
                      .condition = &network.condition(n),
                      .form = {.skip = n == 0 ? first : second},
                      .context = {}});
    return to_channels_first(*backend, network.network().evaluate(x, rows));
  };
  const std::vector<int64_t> skipped = {3, 4, 6, 13};
  const Tensor y = evaluate(skipped, skipped), whole = evaluate({}, {}), mixed = evaluate(skipped, {});
  EXPECT_LE(relative_error(y, golden("twins/sdxl_skip.npy")), 1e-5);
  EXPECT_LE(relative_error(whole, golden("unet/sdxl.npy")), 1e-5);
  EXPECT_GE(relative_error(y, whole), 1e-3);
  EXPECT_EQ(relative_error(mixed.slice(0, 1), y.slice(0, 1)), 0);
  EXPECT_EQ(relative_error(mixed.slice(1, 2), whole.slice(1, 2)), 0);

  const UNetConfig config = tiny_config("sdxl");
  EXPECT_EQ(unet_blocks(config), 17);
  EXPECT_EQ(unet_skip_obstacle(config, skipped), "");
  EXPECT_EQ(unet_skip_obstacle(config, std::vector<int64_t>{1, 3}),
            "block 1 is the only one of its transformer (down_blocks.1.attentions.1)");
  EXPECT_EQ(unet_skip_obstacle(config, std::vector<int64_t>{6, 7}),
            "blocks 6 ... 7 are all of their transformer (mid_block.attentions.0), which keeps one");
}

// PyTorch multiplies the same 8-bit numbers (tools/goldens/make_int8_goldens.py); where f32 rounds otherwise,
// a number falls to its neighbour now and then, and these small pictures carry that far: inputs that differ by 1e-6 move
// PyTorch's own results by up to 1.1 of their distance from f32, 0.049 and 0.033. Errors of another kind would be 1.4 of it away.
TEST(UNet, InInt8IsPyTorchsInInt8) {
  const auto backend = make_backend({.dtype = "int8"});
  const bool bf16 = backend->compute_dtype() == DType::bf16;
  for (const auto& [name, distance] : {std::pair{"sd1", 0.049}, {"sdxl", 0.033}}) {
    SCOPED_TRACE(name);
    const Tensor y = to_channels_first(*backend, bound(*backend, name)(input(*backend), kTimestep));
    EXPECT_LE(relative_error(y, golden("int8/unet_" + std::string(name) + ".npy")),
              bf16 ? 7e-2 : 1.25 * distance);
    EXPECT_LE(relative_error(y, golden("unet/" + std::string(name) + ".npy")), bf16 ? 8e-2 : 1.3 * distance);
  }
}

std::vector<std::byte> bytes_of(const Tensor& x) {
  return {x.bytes(), x.bytes() + x.elements() * size_of(x.dtype())};
}

TEST(UNet, OnADeviceIsThatOfTheHost) {
  for (const std::string name : {"sd1", "ldm", "sdxl"}) {
    const auto host = make_backend({.threads = 2});
    const auto device = fake_device({.threads = 2});
    EXPECT_EQ(bytes_of(device->download(bound(*device, name)(input(*device), kTimestep))),
              bytes_of(bound(*host, name)(input(*host), kTimestep)))
        << name;
  }
}

// An image depends neither on its company nor on which steps were announced.
TEST(UNet, IsTheSameAloneAndAnnounced) {
  constexpr double kAhead[] = {981, kTimestep, 1};
  for (const char* dtype : {"f32", "bf16"}) {
    const auto backend = make_backend({.dtype = dtype, .threads = 2});
    for (const std::string name : {"sd1", "ldm", "ssd1b", "lcm"}) {
      SCOPED_TRACE(testing::Message() << dtype << " " << name);
      const Bound fresh = bound(*backend, name), announced = bound(*backend, name);
      const Tensor x = input(*backend), y = fresh(x, kTimestep);
      EXPECT_NE(bytes_of(announced(x, 981, {0, 1}, kAhead)), bytes_of(y));
      EXPECT_EQ(bytes_of(announced(x, kTimestep)), bytes_of(y));
      for (const int64_t n : {0, 1})
        EXPECT_EQ(bytes_of(fresh(x.slice(n, n + 1), kTimestep, {static_cast<size_t>(n)})),
                  bytes_of(y.slice(n, n + 1)));
    }
  }
}

// Rows at other steps, with contexts of other lengths, share an evaluation.
TEST(UNet, RowsShareAnEvaluationWhateverTheyShow) {
  for (const char* dtype : {"f32", "bf16"}) {
    const auto backend = make_backend({.dtype = dtype, .threads = 2});
    for (const std::string name : {"sd1", "ssd1b"}) {
      const Bound unet = bound(*backend, name);
      Condition longer = conditions_of(*backend, name, tiny_config(name))[1];
      longer.context = uniform("longer", {14, longer.context.columns()});
      const auto other = unet.network().bind(longer, 8, 16);
      const Row rows[] = {{.t = 981, .condition = other.get()},
                          {.t = 1, .condition = &unet.condition(0)},
                          {.t = kTimestep, .condition = other.get()}};
      const Tensor two = input(*backend), x = stack(*backend, std::array{two, two.slice(0, 1)});
      const Tensor y = unet.network().evaluate(x, rows);
      for (int64_t n = 0; n < 3; ++n)
        EXPECT_EQ(bytes_of(unet.network().evaluate(x.slice(n, n + 1), {&rows[n], 1})),
                  bytes_of(y.slice(n, n + 1)))
            << n;
    }
  }
}

// Those that are told different scales of guidance, too; 1 is none.
TEST(UNet, RowsShareAnEvaluationWhateverTheirGuidance) {
  for (const char* dtype : {"f32", "bf16"}) {
    const auto backend = make_backend({.dtype = dtype, .threads = 2});
    const Bound unet = bound(*backend, "lcm");
    std::vector<Row> rows;
    for (const double guidance : {8.0, 1.0, 3.5, 8.0})
      rows.push_back({.t = kTimestep, .condition = &unet.condition(0), .guidance = guidance});
    const Tensor x = repeat(*backend, input(*backend).slice(0, 1), 4);
    const Tensor y = unet.network().evaluate(x, rows);
    for (int64_t n = 0; n < 4; ++n)
      EXPECT_EQ(bytes_of(unet.network().evaluate(x.slice(n, n + 1), {&rows[static_cast<size_t>(n)], 1})),
                bytes_of(y.slice(n, n + 1)))
          << n;
    for (const int64_t n : {1, 2}) EXPECT_NE(bytes_of(y.slice(n, n + 1)), bytes_of(y.slice(0, 1)));
    EXPECT_EQ(bytes_of(y.slice(3, 4)), bytes_of(y.slice(0, 1)));
  }
}

// Against diffusers' formula in f64: sin, then cos, of 1000 (w - 1) f, f = 10000^(-i / (half - 1)).
TEST(UNet, GuidanceIsEmbeddedAsSinusoids) {
  constexpr double kScales[] = {1, 7.5};
  const Tensor embedding = guidance_embedding(kScales, 7);
  EXPECT_EQ(embedding.shape(), Shape({2, 7}));
  const float* x = embedding.data<float>();
  for (const int i : {0, 1, 2}) {
    EXPECT_EQ(x[i], 0);
    EXPECT_EQ(x[3 + i], 1);
  }
  for (const auto& [i, angle] : {std::pair{0, 6500.0}, {1, 65.0}, {2, 0.65}}) {
    EXPECT_NEAR(x[7 + i], std::sin(angle), 1e-6);
    EXPECT_NEAR(x[10 + i], std::cos(angle), 1e-6);
  }
  EXPECT_EQ(x[6], 0);
  EXPECT_EQ(x[13], 0);
}

// What the memory check counts on: never more than what is alive, and not far below.
TEST(UNet, ItsActivationsAreKnown) {
  for (const char* dtype : {"f32", "bf16"})
    for (const std::string name : {"sd1", "bk_tiny", "ssd1b"}) {
      const auto device = fake_device({.dtype = dtype, .threads = 2});
      const Bound unet = bound(*device, name);
      const Tensor x = repeat(*device, input(*device), 2);
      const std::vector<size_t> images = {0, 1, 0, 1};
      unet(x, kTimestep, images);
      const int64_t before = device->memory().statistics().bytes_in_use;
      unet(x, kTimestep, images);
      const int64_t peak = device->memory().statistics().peak_bytes_in_use - before,
                    known = 4 * unet_activation_bytes(tiny_config(name), 8, 16, device->compute_dtype());
      EXPECT_LE(known, peak) << name << " " << dtype;
      EXPECT_GE(known, peak * 3 / 5) << name << " " << dtype;
    }
}

// The second evaluation finds the memory of the first.
TEST(UNet, AllocatesNothingTheSecondTime) {
  constexpr double kAhead[] = {981, kTimestep};
  for (const char* dtype : {"f32", "bf16"}) {
    const auto backend = make_backend({.dtype = dtype, .threads = 2});
    const Bound unet = bound(*backend, "bk_tiny");
    const Tensor x = input(*backend);
    unet(x, 981, {0, 1}, kAhead);
    const int64_t system = host_memory().statistics().system_allocations;
    unet(x, kTimestep);
    EXPECT_EQ(host_memory().statistics().system_allocations, system);
  }
}

// Random weights that remember what they were asked for.
class Recorder final : public WeightSource {
 public:
  explicit Recorder(const std::string& tag) : weights_(tag, kSeed) {}
  std::optional<Shape> shape(const std::string&) const override { return std::nullopt; }
  Tensor load(const std::string& name, const Shape& expected, DType dtype) const override {
    shapes[name] = expected;
    return weights_.load(name, expected, dtype);
  }
  mutable std::map<std::string, Shape> shapes;

 private:
  RandomWeights weights_;
};

// The random weights of a tag as a file would hold them: stored name -> (diffusers' name, stored shape).
class Stored final : public WeightSource {
 public:
  struct Entry {
    std::string name;
    Shape shape;
  };
  explicit Stored(const std::string& tag) : weights_(tag, kSeed) {}

  std::optional<Shape> shape(const std::string& name) const override {
    const auto found = entries.find(name);
    return found == entries.end() ? std::nullopt : std::optional(found->second.shape);
  }
  Tensor load(const std::string& name, const Shape& expected, DType dtype) const override {
    const auto found = entries.find(name);
    check(found != entries.end(), ErrorKind::input, "no tensor \"", name, "\"");
    check(expected == found->second.shape, ErrorKind::input, "tensor \"", name, "\" has the shape ",
          found->second.shape, ", expected ", expected);
    return weights_.load(found->second.name, expected, dtype);
  }
  std::map<std::string, Entry> entries;

 private:
  RandomWeights weights_;
};

bool is_projection(const std::string& name) {
  return name.ends_with(".proj_in.weight") || name.ends_with(".proj_out.weight");
}

// The tensors of a tiny network by the names of a golden list (none: diffusers'); `convolutions`: projections
// of transformers as 1 x 1 convolutions.
Stored stored_as(const std::string& tag, const std::map<std::string, Shape>& shapes, const std::string& list,
                 const std::string& prefix, bool convolutions) {
  const nlohmann::json modules =
      list.empty() ? nlohmann::json::object() : parse_json_file(golden_path("unet/" + list));
  Stored stored(tag);
  for (const auto& [name, shape] : shapes) {
    std::string key = name;
    for (size_t dot = name.rfind('.'); !list.empty() && dot != std::string::npos;
         dot = name.rfind('.', dot - 1)) {
      if (const auto found = modules.find(name.substr(0, dot)); found != modules.end()) {
        key = found->get<std::string>() + name.substr(dot);
        break;
      }
      if (dot == 0) break;
    }
    EXPECT_TRUE(list.empty() || key != name) << name << " is not in " << list;
    stored.entries[prefix + key] = {
        name, convolutions && is_projection(name) ? Shape({shape[0], shape[1], 1, 1}) : shape};
  }
  return stored;
}

TEST(UNet, IsReadFromBothLayouts) {
  const auto backend = make_backend({.dtype = "f32", .threads = 2});
  for (const std::string name : kTiny) {
    const UNetConfig config = tiny_config(name);
    const Recorder recorder(name);
    const Tensor x = input(*backend);
    const auto run = [&](UNet unet) {
      return bytes_of(Bound(*backend, name, config, std::move(unet))(x, kTimestep));
    };
    const auto first = run(UNet(config, Weights(*backend, recorder)));
    int64_t parameters = 0;
    for (const auto& [key, shape] : recorder.shapes) parameters += shape.elements();
    EXPECT_EQ(unet_parameters(config), parameters);

    std::vector<std::string> lists = {"", name + "_names.json"};
    if (name.starts_with("bk")) lists.push_back(name + "_sparse_names.json");
    for (const std::string& list : lists)
      for (const std::string prefix : {"", "model.diffusion_model."})
        for (const bool convolutions : {false, true}) {
          SCOPED_TRACE(testing::Message() << name << " as " << list << " behind \"" << prefix << "\"");
          const Stored stored = stored_as(name, recorder.shapes, list, prefix, convolutions);
          const UNetKeys keys(stored, prefix);
          const UNetConfig inferred = infer_unet_config(keys);
          EXPECT_EQ(inferred, config);
          if (convolutions) {
            EXPECT_EQ(run(UNet(inferred, Weights(*backend, keys))), first);
          }
        }
  }
}

template <class F>
void expect_error(ErrorKind kind, const std::string& part, const F& f) {
  try {
    f();
    ADD_FAILURE() << "no error about " << part;
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), kind) << e.what();
    EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
  }
}

TEST(UNet, NamesWhatIsMissingOrMisshapen) {
  const auto backend = make_backend({.dtype = "f32", .threads = 2});
  const std::string name = "bk_tiny";
  const UNetConfig config = tiny_config(name);
  const Recorder recorder(name);
  UNet first(config, Weights(*backend, recorder));
  const Stored whole = stored_as(name, recorder.shapes, name + "_sparse_names.json", "", true);
  const auto load = [&](const Stored& stored) {
    const UNetKeys keys(stored);
    UNet(infer_unet_config(keys), Weights(*backend, keys));
  };
  for (const char* key : {"input_blocks.1.0.emb_layers.1.weight", "output_blocks.5.2.conv.weight",
                          "output_blocks.0.1.transformer_blocks.0.ff.net.2.bias", "out.2.weight",
                          "time_embed.2.weight", "input_blocks.1.0.in_layers.2.weight"}) {
    Stored without = whole, misshapen = whole;
    ASSERT_EQ(without.entries.erase(key), 1) << key;
    Shape& shape = misshapen.entries[key].shape;
    shape = shape.with(0, shape[0] + 1);
    // Inference looks under diffusers' names, the loader says what it looked for.
    expect_error(ErrorKind::input, "", [&] { load(without); });
    expect_error(ErrorKind::input, "", [&] { load(misshapen); });
  }
  Stored misshapen = whole;
  misshapen.entries["time_embed.2.weight"].shape = {3, 3};
  expect_error(ErrorKind::input, "tensor \"time_embed.2.weight\" has the shape [3, 3], expected [128, 128]",
               [&] { load(misshapen); });
  Stored without = whole;
  without.entries.erase("time_embed.2.weight");
  expect_error(ErrorKind::input, "\"time_embed.2.weight\"", [&] { load(without); });

  // A configuration that says more than the file holds.
  UNetConfig deeper = config;
  deeper.down[1][0] = 2;
  expect_error(ErrorKind::input, "input_blocks.4.1.transformer_blocks.1.", [&] {
    const UNetKeys keys(whole);
    UNet(deeper, Weights(*backend, keys));
  });
  const Stored nothing("none");
  expect_error(ErrorKind::input, "not a U-Net", [&] { load(nothing); });
}

TEST(DiffusersUNet, RefusesWhatItDoesNotKnow) {
  const nlohmann::json good = parse_json_file(golden_path("unet/ssd1b.json"));
  struct Case {
    const char* key;
    nlohmann::json value;
    const char* message;
  };
  const Case cases[] = {
      {"down_block_types", {"DownBlock2D", "AttnDownBlock2D", "DownBlock2D"}, "AttnDownBlock2D"},
      {"down_block_types", {"DownBlock2D"}, "\"up_block_types\" has 3 blocks, expected 1"},
      {"up_block_types", "UpBlock2D", "an array of strings"},
      {"mid_block_type", "UNetMidBlock2DSimpleCrossAttn", "\"mid_block_type\""},
      {"block_out_channels", {64, 64}, "\"block_out_channels\" has 2 values"},
      {"block_out_channels", {64, 64, 130}, "do not divide into 32 groups"},
      {"attention_head_dim", {1, 1, 3}, "do not divide into 3 heads"},
      {"attention_head_dim", {1, 1}, "\"attention_head_dim\" has 2 values, expected 3"},
      {"layers_per_block", 0, "\"layers_per_block\""},
      {"layers_per_block", 1e9, "\"layers_per_block\""},
      {"transformer_layers_per_block", {1, {1}, {1, 1}}, "\"transformer_layers_per_block\""},
      {"reverse_transformer_layers_per_block", nullptr, "\"reverse_transformer_layers_per_block\""},
      {"reverse_transformer_layers_per_block", {{1, 1, 2}, {1, -2, 1}, 1}, "-2"},
      {"addition_embed_type", "image", "\"addition_embed_type\""},
      {"projection_class_embeddings_input_dim", nullptr, "\"projection_class_embeddings_input_dim\""},
      {"class_embed_type", "timestep", "\"class_embed_type\" is \"timestep\""},
      {"resnet_time_scale_shift", "scale_shift", "\"resnet_time_scale_shift\""},
      {"time_cond_proj_dim", 1, "\"time_cond_proj_dim\" is 1, expected an integer 4"},
      {"freq_shift", 1, "\"freq_shift\" is 1, expected 0"},
      {"_class_name", "UNet2DModel", "\"_class_name\""},
      {"cross_attention_dim", {2048, 768, 2048}, "\"cross_attention_dim\""},
  };
  EXPECT_EQ(read_diffusers_unet_config(good, "unet/config.json"), tiny_config("ssd1b"));
  for (const auto& [key, value, message] : cases) {
    nlohmann::json broken = good;
    broken[key] = value;
    SCOPED_TRACE(broken[key].dump());
    expect_error(ErrorKind::input, message, [&] { read_diffusers_unet_config(broken, "unet/config.json"); });
    expect_error(ErrorKind::input, "unet/config.json",
                 [&] { read_diffusers_unet_config(broken, "unet/config.json"); });
  }
}

}  // namespace
}  // namespace tstitch
