// InceptionV3 against pytorch-fid's architecture (tools/goldens/make_inception_goldens.py), and what must be
// equal.
#include "tstitch/models/inception_v3.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>

#include "tests/support/fake_device.h"
#include "tests/support/golden.h"
#include "tstitch/base/error.h"
#include "tstitch/models/inception_input.h"
#include "tstitch/nn/random_weights.h"

namespace tstitch {
namespace {

constexpr uint64_t kSeed = 7;

struct Case {
  InceptionResize resize;
  std::string name;
};
const Case kCases[] = {{InceptionResize::tf1, "tf1"}, {InceptionResize::pytorch_fid, "pytorch_fid"}};

Tensor pictures(const char* name, const Shape& shape) {
  const Tensor values = random_uniform(name, shape, 1, kSeed);
  Tensor bytes(shape, DType::u8);
  std::transform(values.data<float>(), values.data<float>() + values.elements(), bytes.data<uint8_t>(),
                 [](float x) { return static_cast<uint8_t>((x + 1) * 128); });
  return bytes;
}
Tensor small_pictures() { return pictures("small", {2, 13, 9, 3}); }

std::unique_ptr<FeatureExtractor> network(Backend& backend, InceptionResize resize = InceptionResize::tf1) {
  return load_inception_v3(backend, RandomWeights("inception", kSeed), resize);
}

// Every 37th row, of it every 5th pixel.
Tensor sample(const Tensor& input) {
  const int64_t N = input.extent(0), H = (input.extent(1) + 36) / 37, W = (input.extent(2) + 4) / 5;
  Tensor some({N, H, W, 3}, DType::f32);
  for (int64_t i = 0; i < some.elements(); ++i) {
    const int64_t c = i % 3, x = i / 3 % W * 5, y = i / 3 / W % H * 37, n = i / 3 / W / H;
    some.data<float>()[i] = input.data<float>()[((n * input.extent(1) + y) * input.extent(2) + x) * 3 + c];
  }
  return some;
}

TEST(InceptionInput, AgreesWithBothOrigins) {
  for (const auto& [resize, name] : kCases) {
    SCOPED_TRACE(name);
    for (const auto& [size, shape] :
         {std::pair{"small", Shape{2, 13, 9, 3}}, {"large", Shape{1, 310, 640, 3}}})
      EXPECT_LE(relative_error(sample(inception_input(pictures(size, shape), resize)),
                               golden("inception/" + name + "_" + size + "_input.npy")),
                2e-6);
  }
}

TEST(InceptionInput, OfItsOwnSizeIsNotResized) {
  const Tensor picture = pictures("small", {1, kInceptionSide, kInceptionSide, 3});
  const Tensor tf1 = inception_input(picture, InceptionResize::tf1),
               pytorch_fid = inception_input(picture, InceptionResize::pytorch_fid);
  for (int64_t i = 0; i < picture.elements(); i += 1001) {
    const auto pixel = static_cast<float>(picture.data<uint8_t>()[i]);
    EXPECT_EQ(tf1.data<float>()[i], (pixel - 128) / 128);
    EXPECT_NEAR(pytorch_fid.data<float>()[i], 2 * (pixel / 255) - 1, 1e-6);
  }
}

TEST(InceptionV3, AgreesWithPyTorch) {
  for (const auto& [dtype, tolerance] : {std::pair{"f32", 1e-5}, {"bf16", 2e-2}}) {
    const auto backend = make_backend({.dtype = dtype, .threads = 2});
    for (const auto& [resize, name] : kCases) {
      SCOPED_TRACE(testing::Message() << dtype << " " << name);
      const PictureFeatures features = (*network(*backend, resize))(small_pictures());
      for (const auto& [part, tensor] : {std::pair{"pooled", features.pooled},
                                         {"spatial", features.spatial},
                                         {"logits", features.logits}}) {
        const Tensor expected = golden("inception/" + name + "_" + part + ".npy");
        EXPECT_EQ(tensor.shape(), expected.shape()) << part;
        EXPECT_LE(relative_error(tensor, expected), tolerance) << part;
      }
    }
  }
}

// A batch of many parts on three threads, and one of its pictures alone on one.
TEST(InceptionV3, CompanyAndThreadsChangeNothing) {
  const auto one = make_backend({.dtype = "f32", .threads = 1}),
             three = make_backend({.dtype = "f32", .threads = 3});
  const Tensor many = pictures("many", {11, 20, 30, 3});
  const PictureFeatures together = (*network(*three))(many), alone = (*network(*one))(many.slice(9, 10));
  const auto expect_same = [](const Tensor& a, const Tensor& b) {
    EXPECT_EQ(std::memcmp(a.bytes(), b.bytes(), static_cast<size_t>(b.elements() * 4)), 0);
  };
  expect_same(together.pooled.slice(9, 10), alone.pooled);
  expect_same(together.spatial.slice(9, 10), alone.spatial);
  expect_same(together.logits.slice(9, 10), alone.logits);
}

TEST(InceptionV3, OnADeviceIsThatOfTheHost) {
  const auto host = make_backend({.dtype = "f32", .threads = 2});
  const auto device = fake_device({.dtype = "f32", .threads = 2});
  const PictureFeatures found = (*network(*device))(small_pictures()),
                        expected = (*network(*host))(small_pictures());
  for (const auto& part : {&PictureFeatures::pooled, &PictureFeatures::spatial, &PictureFeatures::logits}) {
    const Tensor &a = found.*part, &b = expected.*part;
    ASSERT_EQ(a.shape(), b.shape());
    EXPECT_EQ(std::memcmp(a.bytes(), b.bytes(), static_cast<size_t>(b.elements() * 4)), 0);
  }
}

TEST(InceptionV3, NoPicturesHaveNoFeatures) {
  const auto backend = make_backend({.dtype = "f32", .threads = 2});
  const PictureFeatures none = (*network(*backend))(pictures("none", {0, 8, 8, 3}));
  EXPECT_EQ(none.pooled.shape(), Shape({0, 2048}));
  EXPECT_EQ(none.spatial.shape(), Shape({0, 2023}));
  EXPECT_EQ(none.logits.shape(), Shape({0, 1008}));
}

TEST(InceptionV3, OtherPicturesAreRefused) {
  const auto backend = make_backend({.dtype = "f32", .threads = 2});
  const auto inception = network(*backend);
  EXPECT_EQ(inception->channels(), 3);
  EXPECT_EQ(inception->side(), 0);
  for (const Tensor& wrong : {Tensor({1, 8, 8, 1}, DType::u8), Tensor({8, 8, 3}, DType::u8),
                              Tensor({1, 0, 8, 3}, DType::u8), Tensor({1, 8, 8, 3}, DType::f32)})
    try {
      (*inception)(wrong);
      ADD_FAILURE() << wrong.shape() << " was taken";
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::usage) << e.what();
    }
}

// Random weights, but `name` is missing, or all of it is `value`.
class Altered final : public WeightSource {
 public:
  explicit Altered(std::string name, std::optional<float> value = {})
      : name_(std::move(name)), value_(value) {}

  std::optional<Shape> shape(const std::string& name) const override {
    if (name == name_) return std::nullopt;
    return name == "fc.weight" ? Shape{1008, 2048} : Shape{1};
  }
  Tensor load(const std::string& name, const Shape& expected, DType dtype) const override {
    check(value_ || name != name_, ErrorKind::input, "no tensor \"", name, "\"");
    Tensor tensor = weights_.load(name, expected, dtype);
    if (name == name_) std::fill_n(tensor.data<float>(), tensor.elements(), *value_);
    return tensor;
  }

 private:
  std::string name_;
  std::optional<float> value_;
  RandomWeights weights_{"inception", kSeed};
};

TEST(InceptionV3, IsKnownByItsNames) {
  EXPECT_TRUE(is_inception_v3(Altered("fc.bias")));
  for (const char* name : {"Conv2d_1a_3x3.conv.weight", "Mixed_7c.branch_pool.conv.weight", "fc.weight"})
    EXPECT_FALSE(is_inception_v3(Altered(name))) << name;
}

TEST(InceptionV3, TheWrongWeightIsNamed) {
  const auto backend = make_backend({.dtype = "f32", .threads = 2});
  for (const Altered& weights :
       {Altered("Mixed_6b.branch7x7_2.bn.running_var"), Altered("Mixed_6b.branch7x7_2.bn.running_var", -1)})
    try {
      load_inception_v3(*backend, weights);
      ADD_FAILURE() << "nothing refused";
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::input);
      EXPECT_NE(std::string(e.what()).find("\"Mixed_6b.branch7x7_2.bn.running_var\""), std::string::npos)
          << e.what();
    }
}

// torchvision's network has the same names but tells ImageNet's 1000 classes apart.
TEST(InceptionV3, AnotherNumberOfClassesIsRefused) {
  class Torchvision final : public WeightSource {
    std::optional<Shape> shape(const std::string&) const override { return Shape{1000, 2048}; }
    Tensor load(const std::string&, const Shape&, DType) const override { throw std::logic_error("loaded"); }
  };
  const auto backend = make_backend({.dtype = "f32", .threads = 1});
  try {
    load_inception_v3(*backend, Torchvision());
    ADD_FAILURE() << "nothing refused";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::input);
    EXPECT_NE(std::string(e.what()).find("[1000, 2048], expected [1008, 2048]"), std::string::npos)
        << e.what();
  }
}

TEST(InceptionV3, TheSecondBatchTakesNoMemoryFromTheSystem) {
  const auto backend = make_backend({.dtype = "f32", .threads = 2});
  const auto inception = network(*backend);
  const Tensor some = small_pictures();
  (*inception)(some);
  const int64_t before = host_memory().statistics().system_allocations;
  (*inception)(some);
  EXPECT_EQ(host_memory().statistics().system_allocations, before);
}

TEST(InceptionV3, FlopsAreWhatPyTorchCounts) {
  // torch.utils.flop_counter over pytorch-fid's network, without its last linear map.
  EXPECT_DOUBLE_EQ(inception_v3_flops(), 11'422'336'192);
}

}  // namespace
}  // namespace tstitch
