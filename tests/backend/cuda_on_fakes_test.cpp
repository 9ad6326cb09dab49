// CudaDevice on a runtime and libraries that stand for NVIDIA's (tests/support/nvidia_fake/): the table of
// operations and the identities run on it as on any backend (identities_test.cpp, op_conformance_test.cpp),
// and here what is its own.
#include <cstdlib>
#include <numeric>

#include "backends.h"
#include "tests/support/expect_error.h"
#include "tests/support/nvidia_fake/cudart.h"
#include "tests/support/through_device.h"
#include "tstitch/backend/cuda/cuda_backend.h"
#include "tstitch/backend/cuda/cuda_device.h"
#include "tstitch/backend/cuda/dynamic_library.h"

namespace tstitch {

std::vector<std::unique_ptr<Backend>> tested_backends(DType dtype, int) {
  setenv("TSTITCH_CUDA_LIBRARIES", TSTITCH_FAKE_LIBRARIES, 1);
  std::vector<std::unique_ptr<Backend>> backends;
  backends.push_back(
      std::make_unique<ThroughDevice>(std::make_unique<CudaBackend>(cuda::make_cuda_device(0), dtype)));
  return backends;
}

// As on the twin (cuda_host_backends.cpp).
Tolerance rounding_of_sums(DType compute_dtype) {
  return compute_dtype == DType::bf16 ? Tolerance{1. / 32, 1. / 128} : Tolerance{0, 0};
}

namespace cuda {
namespace {

using tstitch::testing::expect_error;

class CudaOnFakes : public ::testing::Test {
 protected:
  void SetUp() override { setenv("TSTITCH_CUDA_LIBRARIES", TSTITCH_FAKE_LIBRARIES, 1); }
  void TearDown() override {
    EXPECT_TRUE(fake::machine.blocks.empty());
    fake::machine = {};
  }

  static DeviceAddress uploaded(Device& device, const std::vector<float>& values) {
    const DeviceAddress at = device.allocate(values.size() * sizeof(float));
    device.upload(at, values.data(), values.size() * sizeof(float));
    return at;
  }
  static std::vector<float> downloaded(Device& device, DeviceAddress at, size_t count) {
    std::vector<float> values(count);
    device.download(values.data(), at, count * sizeof(float), count * sizeof(float), 1);
    return values;
  }
  static std::string refusal(int number = 0) {
    try {
      make_cuda_device(number);
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::device);
      return e.what();
    }
    return "";
  }
};

TEST_F(CudaOnFakes, UploadsOfAnySizeArriveAlthoughTheHostGoesOn) {
  const auto device = make_cuda_device(0);
  std::vector<std::pair<DeviceAddress, std::vector<float>>> all;
  for (const size_t count : {1, 3, 5000000, 2, 4 << 18, 7}) {
    std::vector<float> values(count);
    std::iota(values.begin(), values.end(), static_cast<float>(all.size()));
    all.emplace_back(uploaded(*device, values), values);
  }
  for (const auto& [at, values] : all) {
    EXPECT_TRUE(downloaded(*device, at, values.size()) == values);
    device->free(at, values.size() * sizeof(float));
  }
}

TEST_F(CudaOnFakes, RowsComeDownDense) {
  const auto device = make_cuda_device(0);
  const DeviceAddress at = uploaded(*device, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  std::vector<float> rows(6);
  device->download(rows.data(), at, 8, 12, 3);
  EXPECT_EQ(rows, (std::vector<float>{1, 2, 4, 5, 7, 8}));
  device->download(rows.data(), at, 8, 4, 1);  // the pitch of a single row says nothing
  EXPECT_EQ(rows[1], 2);
  device->download(nullptr, at, 0, 0, 3);
  device->free(at, 36);
}

TEST_F(CudaOnFakes, MemoryThatIsFreedServesAgainOrThereIsNone) {
  const auto device = make_cuda_device(0);
  const size_t most = fake::machine.memory;
  const DeviceAddress first = device->allocate(most);
  ASSERT_NE(first, DeviceAddress{});
  EXPECT_EQ(device->allocate(256), DeviceAddress{});
  device->free(first, most);  // queued: there once the stream has come so far and the pool has let go
  const DeviceAddress second = device->allocate(most);
  EXPECT_NE(second, DeviceAddress{});
  device->free(second, most);
}

// y = x w^T in graphs with a workspace of their own age, uploads that change, and memory freed meanwhile.
TEST_F(CudaOnFakes, GraphsTakeOtherUploadsAndOutliveTheWorkspace) {
  const auto device = make_cuda_device(0);
  const DeviceAddress w = uploaded(*device, {1, 10, 100, 1000}), x = device->allocate(256),
                      y = device->allocate(256), other = device->allocate(256);
  const Product product = {
      .x = {x, DType::f32, 1, 2, 2}, .w = {w, DType::f32, 2, 2, 2}, .y = {y, DType::f32, 1, 2, 2}};
  std::array<float, 2> values = {1, 2};

  device->begin_capture();
  expect_error(ErrorKind::internal, "", [&] { device->allocate(256); });
  expect_error(ErrorKind::internal, "", [&] { device->synchronize(); });
  device->upload(x, values.data(), sizeof values);
  device->multiply(product);
  device->free(other, 256);
  const auto graph = device->end_capture();
  EXPECT_TRUE(std::isnan(downloaded(*device, y, 2)[0]));  // recorded, not done

  // cuDNN's plans want more than there is, after which the graph still has what it was recorded with.
  const DeviceAddress pixel = uploaded(*device, {3});
  device->convolve({.x = pixel,
                    .w = w,
                    .y = pixel,
                    .N = 1,
                    .H = 1,
                    .W = 1,
                    .C = 1,
                    .M = 1,
                    .kh = 1,
                    .kw = 1,
                    .x_image = 1});
  EXPECT_EQ(downloaded(*device, pixel, 1)[0], 3);
  for (const float first : {1.f, 4.f}) {
    values = {first, 2};
    device->replay(*graph, std::as_bytes(std::span(values)));
    values = {-1, -1};  // read already
    EXPECT_EQ(downloaded(*device, y, 2), (std::vector<float>{first + 20, 100 * first + 2000}));
  }
  expect_error(ErrorKind::internal, "", [&] { device->replay(*graph, {}); });
  for (const auto& [at, bytes] : {std::pair{w, 16}, {x, 256}, {y, 256}, {pixel, 4}})
    device->free(at, static_cast<size_t>(bytes));
}

// What the engine does not take at once, three images, comes one by one, with the bits of single images.
TEST_F(CudaOnFakes, ImagesThatDoNotFitTheEngineComeOneByOne) {
  const auto device = make_cuda_device(0);
  const DeviceAddress w = uploaded(*device, {1, 2}), bias = uploaded(*device, {10, 20, 30, 40, 50, 60}),
                      x = uploaded(*device, {1, 0, 2, 0, 3, 0}), y = device->allocate(256);
  for (const int64_t N : {1, 2, 3}) {
    device->convolve({.x = x,
                      .w = w,
                      .y = y,
                      .bias = bias,
                      .bias_per_image = true,
                      .N = N,
                      .H = 1,
                      .W = 1,
                      .C = 1,
                      .M = 2,
                      .kh = 1,
                      .kw = 1,
                      .x_image = 2});
    const std::vector<float> all = {11, 22, 32, 44, 53, 66};
    EXPECT_EQ(downloaded(*device, y, static_cast<size_t>(2 * N)),
              std::vector<float>(all.begin(), all.begin() + 2 * N));
  }
  for (const auto& [at, bytes] : {std::pair{w, 8}, {bias, 24}, {x, 24}, {y, 256}})
    device->free(at, static_cast<size_t>(bytes));
}

TEST_F(CudaOnFakes, PlansAreNotMadeWhileWorkIsRecorded) {
  const auto device = make_cuda_device(0);
  const DeviceAddress x = uploaded(*device, {1});
  const Convolution c = {
      .x = x, .w = x, .y = x, .N = 1, .H = 1, .W = 1, .C = 1, .M = 1, .kh = 1, .kw = 1, .x_image = 1};
  device->begin_capture();
  expect_error(ErrorKind::internal, "", [&] { device->convolve(c); });
  device->end_capture();
  device->convolve(c);
  device->begin_capture();
  device->convolve(c);
  device->end_capture();
  device->free(x, 4);
}

TEST_F(CudaOnFakes, ProductsThatTheLibraryLacksAreNamed) {
  const auto device = make_cuda_device(0);
  const DeviceAddress x = device->allocate(256);
  expect_error(ErrorKind::device, "cuBLASLt 130100 has no product 1 x 1 x 13, f32 to f32", [&] {
    device->multiply(
        {.x = {x, DType::f32, 1, 1, 1}, .w = {x, DType::f32, 13, 1, 1}, .y = {x, DType::f32, 1, 13, 13}});
  });
  device->free(x, 256);
}

TEST_F(CudaOnFakes, WhatIsMissingIsSaid) {
  EXPECT_EQ(refusal(1), "no device cuda:1; this machine has cuda:0");
  fake::machine.devices = 3;
  EXPECT_EQ(refusal(3), "no device cuda:3; this machine has cuda:0 to cuda:2");
  fake::machine.major = 7;
  EXPECT_EQ(refusal(),
            "cuda:0 is Fake of compute capability 7.0, expected 8.0 or later, which computes bf16");
  fake::machine.major = 9;
  fake::machine.kernels = cudaErrorNoKernelImageForDevice;
  EXPECT_EQ(refusal(),
            "cuda:0 is Fake of compute capability 9.0, and this program is built for sm_fake; "
            "TSTITCH_CUDA_ARCHITECTURES of the build says for what");
  fake::machine.status = cudaErrorNoDevice;
  fake::machine.devices = 0;
  EXPECT_EQ(refusal(), "no device cuda:0; this machine has none");
  fake::machine.status = cudaErrorInsufficientDriver;
  EXPECT_EQ(refusal(),
            "cuda:0 needs NVIDIA's driver for CUDA 13 or later: cudaErrorInsufficientDriver, as the "
            "fake says");
}

TEST_F(CudaOnFakes, ErrorsNameTheCallAndTheDevice) {
  const auto device = make_cuda_device(0);
  const DeviceAddress at = device->allocate(256);
  expect_error(ErrorKind::device, "cuda:0: cudaMemcpy2DAsync: cudaErrorUnknown, as the fake says",
               [&] { device->download(nullptr, at, 8, 4, 2); });
  device->free(at, 256);
}

TEST_F(CudaOnFakes, LibrariesThatAreNotThereAreNamedWithTheirPlaces) {
  expect_error(ErrorKind::device,
               "a CUDA device needs libnobody.so.1: " TSTITCH_FAKE_LIBRARIES "/libnobody.so.1: ", [] {
                 DynamicLibrary("libnobody.so.1");
               });
  const DynamicLibrary library("libnvrtc.so.13");
  EXPECT_EQ(library.path(), TSTITCH_FAKE_LIBRARIES "/libnvrtc.so.13");
  expect_error(ErrorKind::device, "/libnvrtc.so.13 has no nvrtcNothing: expected a newer version",
               [&] { library["nvrtcNothing"]; });
}

TEST_F(CudaOnFakes, ItSaysItsNameAndIsTheBackends) {
  CudaBackend backend(make_cuda_device(0), DType::bf16);
  EXPECT_EQ(backend.description(), "cuda:0: Fake, compute capability 9.0, bf16");
}

}  // namespace
}  // namespace cuda
}  // namespace tstitch
