// That cuDNN has an engine for the convolutions and attentions of the networks, and takes another number of
// images with the engine chosen for one: asked on any machine, of devices that are described. No kernel runs.
// Where the driver is missing, the toolkit's stub of it stands in, which lets cuDNN compile and fails when it
// loads the result. Where there is a device, only those like it are described.
#include <cuda.h>
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/expect_error.h"
#include "tstitch/backend/cuda/cudnn_attention.h"
#include "tstitch/backend/cuda/cudnn_convolution.h"
#include "tstitch/backend/cuda/cudnn_plans.h"
#include "tstitch/base/error.h"

namespace tstitch::cuda {
namespace {

using tstitch::testing::expect_error;

// A device as cuDNN describes it in JSON: numbers of NVIDIA's specifications, a few of which heuristics use.
struct DeviceDescription {
  const char* name;
  int version, processors, lanes_per_processor;
  int64_t shared_memory, l2_cache, memory;

  std::string json() const {
    return concat(
        R"({"deviceVer":)", version, R"(,"driverVer":13000,"cudaDeviceId":0,)",
        R"("maxGridSize":[2147483647,65535,65535],"maxBlockSize":[1024,1024,64],"regsPerBlock":65536,)",
        R"("multiProcessorCount":)", processors, R"(,"warpSize":32,"maxSharedMemoryPerBlock":49152,)",
        R"("maxSharedMemoryPerBlockOptin":)", shared_memory, R"(,"reservedSharedMemoryPerBlock":1024,)",
        R"("maxRegistersPerSM":65536,"maxCtasPerSM":)", lanes_per_processor / 64,
        R"(,"maxThreadsPerBlock":1024,"maxThreadsPerSM":)", lanes_per_processor,
        R"(,"pciDeviceId":0,"isTccDriver":0,"supportCoopLaunch":1,"smClockRateKHz":1980000,)",
        R"("memClockRateKHz":3201000,"l2CacheSize":)", l2_cache, R"(,"deviceName":")", name,
        R"(","totalGlobalMem":)", memory, R"(,"cudnnVersion":91900,"schemaVersion":1})");
  }
};

constexpr DeviceDescription kDevices[] = {
    {"NVIDIA A100-SXM4-80GB", 800, 108, 2048, 166912, 41943040, 85899345920},
    {"NVIDIA GeForce RTX 4090", 890, 128, 1536, 101376, 75497472, 25769803776},
    {"NVIDIA H200", 900, 132, 2048, 232448, 62914560, 161061273600},
    {"NVIDIA B200", 1000, 148, 2048, 232448, 132644864, 193273528320},
    {"NVIDIA GeForce RTX 5090", 1200, 170, 1536, 101376, 100663296, 34359738368},
};

// NVIDIA's driver; null: there is none, and its stub is opened under the driver's name.
void* driver() {
  static void* const opened = [] {
    void* const found = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
    if (!found) dlopen(TSTITCH_CUDA_STUB, RTLD_NOW | RTLD_GLOBAL);
    return found;
  }();
  return opened;
}
bool is_stub() { return !driver(); }

// The compute capability of the first device here, as its description has it; 0: there is none.
int version_here() {
  if (is_stub()) return 0;
  const auto init = reinterpret_cast<decltype(&cuInit)>(dlsym(driver(), "cuInit"));
  const auto ask = reinterpret_cast<decltype(&cuDeviceGetAttribute)>(dlsym(driver(), "cuDeviceGetAttribute"));
  int major = 0, minor = 0;
  if (!init || !ask || init(0) != CUDA_SUCCESS) return 0;
  ask(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 0);
  ask(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 0);
  return 100 * major + 10 * minor;
}

const CudnnLibrary* library() {
  static const CudnnLibrary* const opened = []() -> const CudnnLibrary* {
    driver();
    try {
      return new CudnnLibrary;
    } catch (const Error& e) {
      std::printf("%s\n", e.what());
      return nullptr;
    }
  }();
  return opened;
}

class CudaPlans : public ::testing::TestWithParam<DeviceDescription> {
 protected:
  void SetUp() override {
    if (!library()) GTEST_SKIP() << "no cuDNN here";
    if (const int here = version_here(); here != 0 && here != GetParam().version)
      GTEST_SKIP() << "the device here is of compute capability " << here / 100.;
    const std::string json = GetParam().json();
    Descriptor properties(*library(), CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
    properties
        .set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, std::span<const char>(json.c_str(), json.size() + 1))
        .finalize();
    target_.emplace(*library(), nullptr, properties);
  }

  // There are engines for one image, and the first takes eight images of all shapes, for one image the same;
  // whatever does not take them is not supported, and nothing else.
  template <class Shape>
  void expect_engines(std::initializer_list<Shape> shapes) {
    const Shape& shape = *shapes.begin();
    const auto engines = find_engines(*target_, shape.graph(*target_, 1), shape.f32());
    EXPECT_FALSE(engines.empty()) << shape.describe();
    if (engines.empty()) return;
    const auto fits = [](const EngineChoice& e) { return e.workspace <= Plans<Shape>::kMostWorkspace; };
    EXPECT_TRUE(std::ranges::any_of(engines, fits)) << shape.describe();
    for (const Shape& many : shapes) {
      cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
      EXPECT_TRUE(configure(*target_, many.graph(*target_, 8), engines[0], status))
          << many.describe() << ": " << library()->describe(status);
      for (const EngineChoice& engine : engines)
        EXPECT_NO_THROW(configure(*target_, many.graph(*target_, 8), engine, status)) << many.describe();
    }
  }

  std::optional<PlanTarget> target_;
};

struct Path {
  int64_t extent, C, M, kernel = 3, stride = 1;
};

// Of the U-Nets of Stable Diffusion 1.5 at 512 x 512 and SDXL at 1024 x 1024, of their autoencoders, of DiT's
// patches and of what the op table asks for.
constexpr Path kPaths[] = {
    {64, 4, 320},
    {64, 320, 320},
    {64, 320, 320, 3, 2},
    {32, 320, 640},
    {32, 320, 640, 1},
    {32, 640, 640},
    {32, 640, 640, 3, 2},
    {16, 640, 1280},
    {16, 640, 1280, 1},
    {16, 1280, 1280},
    {16, 1280, 1280, 3, 2},
    {8, 1280, 1280},
    {8, 2560, 1280},
    {8, 2560, 1280, 1},
    {16, 2560, 1280},
    {16, 1920, 1280},
    {32, 1280, 1280},
    {32, 1920, 640},
    {32, 1280, 640},
    {32, 960, 640},
    {64, 640, 640},
    {64, 960, 320},
    {64, 640, 320},
    {64, 320, 4},
    {128, 4, 320},
    {128, 320, 320},
    {128, 320, 320, 3, 2},
    {64, 320, 640},
    {64, 640, 640, 3, 2},
    {32, 640, 1280},
    {32, 2560, 1280},
    {32, 1920, 1280},
    {64, 1280, 1280},
    {64, 1920, 640},
    {64, 1280, 640},
    {64, 960, 640},
    {128, 640, 640},
    {128, 960, 320},
    {128, 640, 320},
    {128, 320, 4},
    {128, 4, 4, 1},
    {128, 4, 512},
    {128, 512, 512},
    {256, 512, 512},
    {512, 512, 512},
    {512, 512, 256},
    {512, 512, 256, 1},
    {512, 256, 256},
    {1024, 256, 256},
    {1024, 256, 128},
    {1024, 128, 128},
    {1024, 128, 3},
    {1024, 3, 128},
    {1024, 128, 128, 3, 2},
    {32, 4, 1152, 2, 2},
    {9, 1, 1},
    {9, 3, 33},
    {9, 17, 40},
    {9, 22, 37},
};

ConvolutionShape shape_of(const Path& path, DType dtype, bool bias_per_image) {
  // Padded as in the U-Nets; strided 3 x 3 also occurs padded after alone, as in the encoder.
  const int64_t pad = path.kernel == 3 ? 1 : 0, before = path.stride == 2 && path.extent == 1024 ? 0 : pad;
  return ConvolutionShape({.x = DeviceAddress{256},
                           .w = DeviceAddress{256},
                           .y = DeviceAddress{256},
                           .bias = DeviceAddress{256},
                           .bias_per_image = bias_per_image,
                           .x_type = dtype,
                           .y_type = dtype,
                           .N = 1,
                           .H = path.extent,
                           .W = path.extent,
                           .C = path.C,
                           .M = path.M,
                           .kh = path.kernel,
                           .kw = path.kernel,
                           .x_image = path.extent * path.extent * path.C,
                           .stride = path.stride,
                           .top = before,
                           .left = before,
                           .bottom = pad,
                           .right = pad});
}

TEST_P(CudaPlans, ThereAreEnginesForConvolutionsInBf16) {
  for (const Path& path : kPaths)
    expect_engines({shape_of(path, DType::bf16, false), shape_of(path, DType::bf16, true)});
}

TEST_P(CudaPlans, ThereAreEnginesForConvolutionsInF32) {
  for (const Path& path : kPaths) expect_engines({shape_of(path, DType::f32, false)});
}

TEST_P(CudaPlans, F32IsNotComputedInLess) {
  const ConvolutionShape shape = shape_of({64, 320, 320}, DType::f32, false);
  const Descriptor graph = shape.graph(*target_, 1);
  EXPECT_LT(find_engines(*target_, graph, true).size(), find_engines(*target_, graph, false).size());
}

// A strip of rows inside a picture, which begins where it does.
TEST_P(CudaPlans, ThereAreEnginesForStrips) {
  for (const int64_t C : {128, 3}) {
    ConvolutionShape shape = shape_of({1024, C, 128}, DType::bf16, false);
    shape.H = 34;
    shape.height = 32;
    shape.top = shape.bottom = 0;
    shape.x_alignment = C == 3 ? 2 : 16;
    expect_engines({shape});
  }
}

struct Heads {
  int64_t T, heads, d, S;  // S: T of self-attention, whose q, k and v lie beside each other
};

// Of DiT at 256 x 256 and 512 x 512, the U-Nets, and the autoencoders.
constexpr Heads kHeads[] = {
    {256, 16, 72, 256},     {1024, 16, 72, 1024}, {256, 6, 64, 256},  {4096, 8, 40, 4096},
    {4096, 8, 40, 77},      {1024, 8, 80, 1024},  {1024, 8, 80, 77},  {256, 8, 160, 256},
    {256, 8, 160, 77},      {64, 8, 160, 64},     {64, 8, 160, 77},   {4096, 10, 64, 4096},
    {4096, 10, 64, 77},     {1024, 20, 64, 1024}, {1024, 20, 64, 77}, {4096, 1, 512, 4096},
    {16384, 1, 512, 16384},
};

AttentionShape shape_of(const Heads& a) {
  const int64_t D = a.heads * a.d;
  const bool self = a.S == a.T;
  return AttentionShape({.q_stride = self ? 3 * D : D,
                         .k_stride = self ? 3 * D : 2 * D,
                         .v_stride = self ? 3 * D : 2 * D,
                         .N = 1,
                         .T = a.T,
                         .S = a.S,
                         .heads = a.heads,
                         .d = a.d,
                         .kv_shared = !self});
}

TEST_P(CudaPlans, ThereAreEnginesForAttention) {
  for (const Heads& heads : kHeads) expect_engines({shape_of(heads)});
}

TEST_P(CudaPlans, WidthsBetweenEightHaveNone) {
  const auto shape = shape_of({256, 4, 36, 256});
  EXPECT_TRUE(find_engines(*target_, shape.graph(*target_, 1), false).empty());
}

// As far as it goes without a device: the engine is compiled, and the driver's stub refuses to load it.
TEST_P(CudaPlans, EnginesCompile) {
  const auto expect_compiles = [&](const auto& shape) {
    const auto engines = find_engines(*target_, shape.graph(*target_, 1), shape.f32());
    ASSERT_FALSE(engines.empty()) << shape.describe();
    for (const int64_t images : {1, 8}) {
      cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
      const auto plan = [&] {
        return make_plan(*target_, shape.graph(*target_, images), engines[0], status);
      };
      if (is_stub())
        expect_error(ErrorKind::device, "CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER", plan);
      else
        EXPECT_TRUE(plan()) << shape.describe() << ": " << library()->describe(status);
    }
  };
  expect_compiles(shape_of({64, 320, 320}, DType::bf16, true));
  expect_compiles(shape_of(kHeads[0]));
}

// A driver that fails is no missing engine, whose place others would take ever after.
TEST_P(CudaPlans, WhatTheDriverRefusesIsAnError) {
  if (!is_stub()) GTEST_SKIP() << "the driver is there";
  Plans<AttentionShape> plans(*target_);
  const auto shape = shape_of(kHeads[0]);
  expect_error(ErrorKind::internal, "while work is recorded", [&] { plans.find(shape, 2, true); });
  for (int i = 0; i < 2; ++i)
    expect_error(ErrorKind::device, "CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER",
                 [&] { plans.find(shape, 2, false); });
}

TEST_P(CudaPlans, WidthsBetweenEightAreNotSupported) {
  Plans<AttentionShape> plans(*target_);
  const auto shape = shape_of({256, 4, 36, 256});
  EXPECT_EQ(plans.find(shape, 2, false).plan, nullptr);
  EXPECT_EQ(plans.find(shape, 2, true).plan, nullptr);
}

INSTANTIATE_TEST_SUITE_P(Devices, CudaPlans, ::testing::ValuesIn(kDevices),
                         [](const auto& device) { return concat("sm_", device.param.version / 10); });

}  // namespace
}  // namespace tstitch::cuda
