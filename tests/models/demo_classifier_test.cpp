#include "tstitch/models/demo_classifier.h"

#include <gtest/gtest.h>

#include <cstring>

#include "tests/support/fake_device.h"
#include "tstitch/nn/random_weights.h"

namespace tstitch {
namespace {

TEST(DemoClassifier, OnADeviceIsThatOfTheHost) {
  Tensor pictures({3, 28, 28, 1}, DType::u8);
  for (int64_t i = 0; i < pictures.elements(); ++i)
    pictures.data<uint8_t>()[i] = static_cast<uint8_t>(i * 37 % 251);
  const auto features = [&](Backend& backend) {
    return DemoClassifier({}, Weights(backend, RandomWeights("demo", 7)))(pictures);
  };
  const auto host = make_backend({.dtype = "f32", .threads = 2});
  const auto device = fake_device({.dtype = "f32", .threads = 2});
  const PictureFeatures found = features(*device), expected = features(*host);
  for (const auto& part : {&PictureFeatures::pooled, &PictureFeatures::spatial, &PictureFeatures::logits}) {
    const Tensor &a = found.*part, &b = expected.*part;
    ASSERT_EQ(a.shape(), b.shape());
    EXPECT_EQ(std::memcmp(a.bytes(), b.bytes(), static_cast<size_t>(b.elements()) * sizeof(float)), 0);
  }
}

}  // namespace
}  // namespace tstitch
