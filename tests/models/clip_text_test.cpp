// CLIP's text encoders against transformers (tools/goldens/make_clip_goldens.py).
#include "tstitch/models/clip_text.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/support/golden.h"
#include "tests/support/test_backends.h"
#include "tstitch/base/error.h"
#include "tstitch/io/json.h"
#include "tstitch/models/clip_text_keys.h"
#include "tstitch/nn/random_weights.h"
#include "tstitch/ops/ops.h"

namespace tstitch {
namespace {

constexpr uint64_t kSeed = 7;
constexpr int64_t kTexts = 2, kTokens = 19;

const ClipTextConfig kClip = {
    .vocabulary = 97, .positions = kTokens, .width = 128, .layers = 3, .heads = 2, .mlp_size = 200};
const ClipTextConfig kOpenClip = {.vocabulary = 97,
                                  .positions = kTokens,
                                  .width = 192,
                                  .layers = 2,
                                  .heads = 3,
                                  .mlp_size = 384,
                                  .activation = Activation::gelu};

std::vector<int32_t> ids() {
  std::vector<int32_t> all;
  for (const auto& text : parse_json_file(golden_path("clip/ids.json")))
    for (const int32_t id : text) all.push_back(id);
  return all;
}

double error_of(const ClipText& encoder, Backend& backend, const std::string& name) {
  return relative_error(backend.download(encoder(ids(), kTexts).tokens), golden("clip/" + name + ".npy"));
}

TEST(ClipText, AgreesWithTransformers) {
  for (const Precision& precision : test_precisions(2e-2)) {
    const auto& [device, dtype, tolerance] = precision;
    SCOPED_TRACE(testing::Message() << device << " " << dtype);
    const auto backend = test_backend(precision);
    for (const auto& [name, config] :
         {std::pair<std::string, ClipTextConfig>{"clip", kClip}, {"openclip", kOpenClip}}) {
      const RandomWeights weights(name, kSeed);
      EXPECT_LE(error_of(ClipText(config, Weights(*backend, weights), {}), *backend, name), tolerance);
      EXPECT_LE(error_of(ClipText(config, Weights(*backend, weights), {.skip = 1}), *backend, name + "_skip"),
                tolerance);
    }
  }
}

// The random weights under OpenCLIP's names: stored name -> (transformers' names, joined by rows; shape).
class Joined final : public WeightSource {
 public:
  explicit Joined(std::string prefix)
      : prefix_(std::move(prefix)), names_(parse_json_file(golden_path("clip/openclip_names.json"))) {}

  std::optional<Shape> shape(const std::string& name) const override {
    if (!name.starts_with(prefix_) || !names_.contains(name.substr(prefix_.size()))) return std::nullopt;
    return Shape(names_[name.substr(prefix_.size())][1].get<std::vector<int64_t>>());
  }

  Tensor load(const std::string& name, const Shape& expected, DType dtype) const override {
    const auto stored = shape(name);
    check(stored.has_value(), ErrorKind::input, "no tensor \"", name, "\"");
    check(*stored == expected, ErrorKind::input, "tensor \"", name, "\" has another shape");
    const auto parts = names_[name.substr(prefix_.size())][0].get<std::vector<std::string>>();
    std::vector<int64_t> extents(expected.extents().begin(), expected.extents().end());
    extents[0] /= std::ssize(parts);
    Tensor joined(expected, dtype);
    std::byte* to = joined.bytes();
    for (const std::string& part : parts) {
      const Tensor x = weights_.load(part, Shape(extents), dtype);
      to = std::copy_n(x.bytes(), x.elements() * size_of(dtype), to);
    }
    return joined;
  }

 private:
  std::string prefix_;
  nlohmann::json names_;
  RandomWeights weights_{"openclip", kSeed};
};

TEST(ClipTextKeys, OpenClipsNamesAreRead) {
  const auto backend = make_backend({.dtype = "f32", .threads = 2});
  for (const char* prefix : {"", "cond_stage_model.model."}) {
    const Joined stored(prefix);
    ASSERT_TRUE(ClipTextKeys::recognises(stored));
    const ClipTextKeys keys(stored);
    EXPECT_EQ(infer_clip_text_config(keys), kOpenClip);
    EXPECT_LE(error_of(ClipText(kOpenClip, Weights(*backend, keys), {}), *backend, "openclip"), 1e-5);
  }
}

TEST(ClipTextKeys, WhatIsMissingIsNamedAsStored) {
  const auto backend = make_backend({.dtype = "f32", .threads = 1});
  const Joined stored("cond_stage_model.model.");
  const ClipTextKeys keys(stored);
  ClipTextConfig config = kOpenClip;
  config.layers = 3;
  try {
    ClipText(config, Weights(*backend, keys), {});
    ADD_FAILURE() << "accepted";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::input);
    EXPECT_NE(std::string(e.what()).find("cond_stage_model.model.transformer.resblocks.2"), std::string::npos)
        << e.what();
  }
  EXPECT_FALSE(ClipTextKeys::recognises(Joined("elsewhere.")));
}

TEST(ClipText, RefusesWhatItCannotRead) {
  const auto backend = make_backend({.dtype = "f32", .threads = 1});
  const RandomWeights random("clip", kSeed);
  const Weights weights(*backend, random);
  EXPECT_THROW(ClipText(kClip, weights, {.skip = 3}), Error);
  EXPECT_THROW(ClipText(kClip, weights, {.skip = -1}), Error);
  const ClipText encoder(kClip, weights, {});
  const std::vector<int32_t> unknown = {0, 97}, negative = {-1};
  EXPECT_THROW(encoder(unknown, 1), Error);
  EXPECT_THROW(encoder(negative, 1), Error);
}

// What a text is encoded as does not depend on the texts beside it.
TEST(ClipText, CompanyChangesNothing) {
  const auto backend = make_backend({.threads = 2});
  const ClipText encoder(kClip, Weights(*backend, RandomWeights("clip", kSeed)), {});
  const std::vector<int32_t> all = ids();
  const Tensor both = encoder(all, kTexts).tokens,
               second = encoder(std::span(all).subspan(kTokens), 1).tokens;
  EXPECT_EQ(std::memcmp(both.slice(1, 2).bytes(), second.bytes(), static_cast<size_t>(second.elements()) * 4),
            0);
}

}  // namespace
}  // namespace tstitch
