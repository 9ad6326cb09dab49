#include <gtest/gtest.h>

#include <cstdlib>

#include "tstitch/backend/backend.h"
#include "tstitch/backend/cpu/isa.h"
#include "tstitch/base/error.h"

namespace tstitch {
namespace {

// The message of the error that the options are refused with.
std::string refusal(const BackendOptions& options, ErrorKind kind = ErrorKind::usage) {
  try {
    make_backend(options);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), kind);
    return e.what();
  }
  ADD_FAILURE() << "not refused";
  return "";
}

TEST(MakeBackend, KnowsDevicesAndTypes) {
  EXPECT_EQ(make_backend({.device = "reference"})->compute_dtype(), DType::f32);
  EXPECT_EQ(make_backend({.device = "reference", .dtype = "bf16"})->compute_dtype(), DType::bf16);
  EXPECT_EQ(make_backend({.dtype = "f32"})->compute_dtype(), DType::f32);
  EXPECT_EQ(make_backend({.dtype = "bf16", .threads = 2})->compute_dtype(), DType::bf16);
  EXPECT_NE(make_backend({.dtype = "f32", .threads = 3})->description().find("3 threads, f32"),
            std::string::npos);
}

TEST(MakeBackend, RefusesWhatItDoesNotKnow) {
  for (const char* device : {"tpu", "cuda:", "cuda:-1", "cuda:1x", "cuda0"})
    EXPECT_EQ(
        refusal({.device = device}),
        concat("unknown device \"", device, "\"; known are cpu, cuda, cuda:1 and so on, and reference"));
  EXPECT_EQ(refusal({.dtype = "f16"}), "unknown type \"f16\"; known are auto, f32, bf16 and int8");
  EXPECT_EQ(refusal({.threads = -1}), "-1 threads; expected 0 (all processors) to 1024");
  EXPECT_EQ(refusal({.threads = 1025}), "1025 threads; expected 0 (all processors) to 1024");
}

// A run is planned without the device it is for.
TEST(MakeBackend, TheTypeOfCudaIsKnownWithoutIt) {
  EXPECT_EQ(compute_dtype({.device = "cuda:7"}), DType::bf16);
  EXPECT_EQ(compute_dtype({.device = "cuda", .dtype = "f32"}), DType::f32);
}

// The program starts everywhere, and says in one sentence what a device is missing: the build's support,
// NVIDIA's driver, or the device itself.
TEST(MakeBackend, WithoutTheCudaDeviceItSaysWhy) {
  const std::string message = refusal({.device = "cuda:99"}, ErrorKind::device);
  EXPECT_TRUE(message.starts_with("no device cuda:99: this program is built without CUDA; ") ||
              message.starts_with("cuda:99 needs NVIDIA's driver for CUDA 13 or later: cudaError") ||
              message.starts_with("no device cuda:99; this machine has "))
      << message;
  EXPECT_EQ(message.find('\n'), message.npos);
}

TEST(MakeBackend, TheEnvironmentForcesKernels) {
  setenv("TSTITCH_CPU_ISA", "baseline", 1);
  const auto backend = make_backend({.threads = 1});
  EXPECT_EQ(backend->description(), "cpu: baseline, 1 thread, f32");  // "auto" is what is fast there
  setenv("TSTITCH_CPU_ISA", "mmx", 1);
  EXPECT_EQ(refusal({}).substr(0, 39), "TSTITCH_CPU_ISA is \"mmx\"; known are amx");
  unsetenv("TSTITCH_CPU_ISA");
}

}  // namespace
}  // namespace tstitch
