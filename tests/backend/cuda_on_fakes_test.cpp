// CudaDevice on a runtime and libraries that stand for NVIDIA's (tests/support/nvidia_fake/): the table of
// operations and the identities run on it as on any backend (identities_test.cpp, op_conformance_test.cpp),
// and here what is its own.
#include <cublasLt.h>
#include <cudnn_graph.h>

#include <cstdlib>
#include <limits>
#include <numeric>
#include <thread>

#include "backends.h"
#include "tests/support/expect_error.h"
#include "tests/support/nvidia_fake/cudart.h"
#include "tests/support/nvidia_fake/current.h"
#include "tests/support/through_device.h"
#include "tstitch/backend/cuda/cuda_backend.h"
#include "tstitch/backend/cuda/cuda_device.h"
#include "tstitch/backend/cuda/dynamic_library.h"
#include "tstitch/backend/cuda/instances.h"
#include "tstitch/backend/cuda/launch.h"

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
    fake::set_fault({});
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
  EXPECT_EQ(device->bytes_free(), static_cast<int64_t>(most));
  const DeviceAddress first = device->allocate(most);
  ASSERT_NE(first, DeviceAddress{});
  EXPECT_EQ(device->bytes_free(), 0);
  EXPECT_EQ(device->allocate(256), DeviceAddress{});
  device->free(first, most);  // queued: there once the stream has come so far and the pool has let go
  const DeviceAddress second = device->allocate(most);
  EXPECT_NE(second, DeviceAddress{});
  device->free(second, most);
}

// y = x w^T in graphs with a workspace of their own age, uploads that change, and memory freed meanwhile.
TEST_F(CudaOnFakes, GraphsTakeOtherUploadsAndOutliveTheWorkspace) {
  const auto device = make_cuda_device(0);
  const DeviceAddress w = uploaded(*device, {1, 10, 0, 0, 100, 1000, 0, 0}), x = device->allocate(256),
                      y = device->allocate(256), other = device->allocate(256);
  const Product product = {
      .x = {x, DType::f32, 1, 2, 4}, .w = {w, DType::f32, 2, 2, 4}, .y = {y, DType::f32, 1, 2, 2}};
  std::array<float, 2> values = {1, 2};

  device->begin_capture(sizeof values);
  expect_error(ErrorKind::internal, "", [&] { device->allocate(256); });
  expect_error(ErrorKind::internal, "", [&] { device->synchronize(); });
  device->upload(x, values.data(), sizeof values);
  expect_error(ErrorKind::internal, "uploads more", [&] { device->upload(x, values.data(), 4); });
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
  for (const auto& [at, bytes] : {std::pair{w, 32}, {x, 256}, {y, 256}, {pixel, 4}})
    device->free(at, static_cast<size_t>(bytes));
}

// What the engine does not take at once, three images, or only with too much memory, seven, comes one by one.
TEST_F(CudaOnFakes, ImagesThatDoNotFitTheEngineComeOneByOne) {
  const auto device = make_cuda_device(0);
  const DeviceAddress w = uploaded(*device, {1, 2}), bias = device->allocate(56), x = device->allocate(56),
                      y = device->allocate(56);
  std::vector<float> biases, pixels, sums;
  for (int n = 0; n < 7; ++n)
    for (int m = 0; m < 2; ++m) {
      biases.push_back(static_cast<float>(20 * n + 10 * m));
      pixels.push_back(m ? std::nanf("") : static_cast<float>(n));
      sums.push_back(biases.back() + static_cast<float>((m + 1) * n));
    }
  device->upload(bias, biases.data(), 56);
  device->upload(x, pixels.data(), 56);
  for (const int64_t N : {1, 2, 3, 7}) {
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
    EXPECT_EQ(downloaded(*device, y, static_cast<size_t>(2 * N)),
              std::vector<float>(sums.begin(), sums.begin() + 2 * N));
  }
  device->free(w, 8);
  for (const DeviceAddress at : {bias, x, y}) device->free(at, 56);
}

// A plan for two images is made once, without one for a single image, which is the next to be made.
TEST_F(CudaOnFakes, PlansAreMadeForTheImagesThatCome) {
  const auto device = make_cuda_device(0);
  const DeviceAddress x = uploaded(*device, {1, 2});
  const auto convolve = [&](int64_t N) {
    device->convolve(
        {.x = x, .w = x, .y = x, .N = N, .H = 1, .W = 1, .C = 1, .M = 1, .kh = 1, .kw = 1, .x_image = 1});
  };
  fake::set_fault({"a plan of cuDNN", 2, CUDNN_STATUS_INTERNAL_ERROR});
  convolve(2);
  convolve(2);
  expect_error(ErrorKind::device, "cudnnBackendFinalize", [&] { convolve(1); });
  convolve(1);
  EXPECT_EQ(downloaded(*device, x, 2), (std::vector<float>{1, 2}));
  device->free(x, 8);
}

TEST_F(CudaOnFakes, PlansAreNotMadeWhileWorkIsRecorded) {
  const auto device = make_cuda_device(0);
  const DeviceAddress x = uploaded(*device, {1});
  const Convolution c = {
      .x = x, .w = x, .y = x, .N = 1, .H = 1, .W = 1, .C = 1, .M = 1, .kh = 1, .kw = 1, .x_image = 1};
  device->begin_capture(0);
  expect_error(ErrorKind::internal, "", [&] { device->convolve(c); });
  device->end_capture();
  device->convolve(c);
  device->begin_capture(0);
  device->convolve(c);
  device->end_capture();
  device->free(x, 4);
}

TEST_F(CudaOnFakes, ProductsThatTheLibraryLacksAreNamed) {
  const auto device = make_cuda_device(0);
  const DeviceAddress x = device->allocate(256);
  expect_error(ErrorKind::device, "cuBLASLt 130100 has no product 1 x 1 x 13, f32 to f32", [&] {
    device->multiply(
        {.x = {x, DType::f32, 1, 1, 4}, .w = {x, DType::f32, 13, 1, 4}, .y = {x, DType::f32, 1, 13, 13}});
  });
  device->free(x, 256);
}

// Otherwise whatever is given back goes to the system whenever the host waits.
TEST_F(CudaOnFakes, ThePoolKeepsItsMemory) {
  make_cuda_device(0);
  EXPECT_EQ(fake::machine.release_threshold, std::numeric_limits<uint64_t>::max());
}

// The device that is current is the thread's, and somebody else's calls change it.
TEST_F(CudaOnFakes, DevicesAndThreadsMix) {
  fake::machine.devices = 2;
  const auto first = make_cuda_device(0), second = make_cuda_device(1);
  for (Device* device : {first.get(), second.get(), first.get()})
    std::thread([&] {
      const DeviceAddress at = uploaded(*device, {1, 2});
      EXPECT_EQ(downloaded(*device, at, 2), (std::vector<float>{1, 2}));
      device->free(at, 8);
    }).join();
}

// What a device is used for: call by call, and recorded; y = x w^T + x * w, one number.
class WorkOnFakes {
 public:
  explicit WorkOnFakes(Device& device) : device_(device) {}
  ~WorkOnFakes() {
    for (const DeviceAddress at : blocks_) device_.free(at, 256);
  }
  WorkOnFakes(const WorkOnFakes&) = delete;

  float result() {
    upload();
    calls();
    const float called = downloaded();
    device_.begin_capture(sizeof kX);
    try {
      upload();
      calls();
    } catch (...) {
      device_.end_capture();
      throw;
    }
    const auto graph = device_.end_capture();
    device_.replay(*graph, std::as_bytes(std::span(&kX, 1)));
    EXPECT_EQ(downloaded(), called);
    return called;
  }

 private:
  static constexpr float kX = 3;

  DeviceAddress block() {
    blocks_.push_back(device_.allocate(256));
    return blocks_.back();
  }
  void upload() { device_.upload(x_, &kX, sizeof kX); }
  void calls() {
    device_.convolve(
        {.x = x_, .w = x_, .y = y_, .N = 1, .H = 1, .W = 1, .C = 1, .M = 1, .kh = 1, .kw = 1, .x_image = 1});
    const auto matrix = [](DeviceAddress at) { return Matrix{at, DType::f32, 1, 1, 4}; };
    device_.multiply({.x = matrix(x_), .w = matrix(x_), .y = matrix(y_), .accumulate = true});
    const auto row = [](DeviceAddress at) { return Rows{reinterpret_cast<void*>(at), 1, DType::f32}; };
    launch(device_, 1, Copy{row(y_), row(y_), 1, 1});
  }
  float downloaded() {
    float y;
    device_.download(&y, y_, sizeof y, sizeof y, 1);
    return y;
  }

  Device& device_;
  std::vector<DeviceAddress> blocks_;
  const DeviceAddress x_ = block(), y_ = block();
};

// A call that fails is named; nothing of it is remembered, and what was taken is given back.
TEST_F(CudaOnFakes, CallsThatFailAreNamedAndForgotten) {
  const struct {
    fake::Fault fault;
    const char* message;
  } cases[] = {
      {{"cudaMallocAsync", 1, cudaErrorUnknown}, "cuda:0: cudaMallocAsync: cudaErrorUnknown"},
      {{"cudaMallocAsync", 3, cudaErrorUnknown}, "cuda:0: cudaMallocAsync: cudaErrorUnknown"},  // a workspace
      {{"cudaMallocAsync", 4, cudaErrorUnknown}, "cuda:0: cudaMallocAsync: cudaErrorUnknown"},  // uploads
      {{"cudaMemcpyAsync", 1, cudaErrorUnknown}, "cuda:0: cudaMemcpyAsync: cudaErrorUnknown"},
      {{"cudaMemcpyAsync", 3, cudaErrorUnknown}, "cuda:0: cudaMemcpyAsync: cudaErrorUnknown"},
      {{"cudaLaunchKernelExC", 1, cudaErrorLaunchFailure},
       "cuda:0: cudaLaunchKernelExC: cudaErrorLaunchFailure"},
      {{"cudaLaunchKernelExC", 2, cudaErrorLaunchFailure},
       "cuda:0: cudaLaunchKernelExC: cudaErrorLaunchFailure"},
      {{"cublasLtMatmul", 1, CUBLAS_STATUS_EXECUTION_FAILED}, "cuda:0: cublasLtMatmul: CUBLAS_STATUS_FAKE"},
      {{"cublasLtMatmul", 2, CUBLAS_STATUS_EXECUTION_FAILED}, "cuda:0: cublasLtMatmul: CUBLAS_STATUS_FAKE"},
      {{"a plan of cuDNN", 1, CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED},
       ": cudnnBackendFinalize: CUDNN_STATUS_FAKE, as the fake says"},
      {{"a plan of cuDNN", 1, CUDNN_STATUS_NOT_SUPPORTED_RUNTIME_PREREQUISITE_MISSING},
       ": cudnnBackendFinalize: CUDNN_STATUS_FAKE, as the fake says"},
      {{"cudnnBackendExecute", 1, CUDNN_STATUS_EXECUTION_FAILED}, ": cudnnBackendExecute: CUDNN_STATUS_FAKE"},
      {{"cudnnBackendExecute", 2, CUDNN_STATUS_EXECUTION_FAILED}, ": cudnnBackendExecute: CUDNN_STATUS_FAKE"},
      {{"cudaStreamBeginCapture", 1, cudaErrorUnknown}, "cuda:0: cudaStreamBeginCapture: cudaErrorUnknown"},
      {{"cudaStreamEndCapture", 1, cudaErrorUnknown}, "cuda:0: cudaStreamEndCapture: cudaErrorUnknown"},
      {{"cudaGraphInstantiate", 1, cudaErrorUnknown}, "cuda:0: cudaGraphInstantiate: cudaErrorUnknown"},
      {{"cudaGraphLaunch", 1, cudaErrorUnknown}, "cuda:0: cudaGraphLaunch: cudaErrorUnknown"},
      {{"cudaStreamSynchronize", 1, cudaErrorUnknown}, "cuda:0: cudaStreamSynchronize: cudaErrorUnknown"},
  };
  for (const auto& [fault, message] : cases) {
    SCOPED_TRACE(concat(fault.call, " ", fault.n));
    const auto device = make_cuda_device(0);
    fake::set_fault(fault);
    expect_error(ErrorKind::device, message, [&] { WorkOnFakes(*device).result(); });
    EXPECT_EQ(WorkOnFakes(*device).result(), 18);
  }
}

TEST_F(CudaOnFakes, AWorkspaceThatThereIsNoMemoryForIsAskedForAgain) {
  const auto device = make_cuda_device(0);
  WorkOnFakes work(*device);
  const size_t memory = std::exchange(fake::machine.memory, size_t{1} << 20);
  expect_error(ErrorKind::device, "cuda:0: no memory left for 41943040 bytes", [&] { work.result(); });
  fake::machine.memory = memory;
  EXPECT_EQ(work.result(), 18);
}

TEST_F(CudaOnFakes, LibrariesForAnotherCudaAreRefused) {
  fake::set_fault({"cudnnGetCudartVersion", 1, 12080});
  EXPECT_EQ(refusal(), TSTITCH_FAKE_LIBRARIES "/libcudnn.so.9 is for CUDA 12, expected one for CUDA 13");
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
