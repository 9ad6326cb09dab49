// What products of 8-bit numbers bring: linear maps and 3 x 3 convolutions of DiTs and Stable Diffusion's
// U-Net in f32, bf16 and int8, in turns on one thread, timed by the processor time they took. Of the
// repetitions the best: a machine that others use too only takes time away.
//
//   taskset -c 1 int8_bench [repetitions] [kernels]
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/processor_time.h"
#include "tstitch/backend/cpu/cpu_backend.h"
#include "tstitch/backend/cpu/int8.h"
#include "tstitch/ops/ops.h"

namespace tstitch {
namespace {

Tensor noise(const Shape& shape, double deviation) {
  Tensor x(shape, DType::f32);
  uint32_t state = 12345;
  for (int64_t i = 0; i < x.elements(); ++i) {
    state = state * 1664525u + 1013904223u;
    x.data<float>()[i] =
        static_cast<float>((static_cast<double>(state) / 4294967296. - 0.5) * 3.46 * deviation);
  }
  return x;
}

// side: of a picture, or 0: a linear map of `rows` rows.
struct Case {
  const char* name;
  int64_t rows, side, inputs, outputs;
};
constexpr Case kCases[] = {
    {"DiT-S qkv", 512, 0, 384, 1152},       {"DiT-S fc1", 512, 0, 384, 1536},
    {"DiT-S fc2", 512, 0, 1536, 384},       {"DiT-XL qkv", 512, 0, 1152, 3456},
    {"DiT-XL proj", 512, 0, 1152, 1152},    {"DiT-XL fc1", 512, 0, 1152, 4608},
    {"DiT-XL fc2", 512, 0, 4608, 1152},     {"SD 64^2 ff in", 4096, 0, 320, 2560},
    {"SD 64^2 ff out", 4096, 0, 1280, 320}, {"SD 16^2 ff in", 256, 0, 1280, 10240},
    {"SD 64^2 conv", 0, 64, 320, 320},      {"SD 32^2 conv", 0, 32, 640, 640},
    {"SD 16^2 conv", 0, 16, 1280, 1280},    {"SD 8^2 conv", 0, 8, 1280, 1280},
};

struct Type {
  const char* name;
  DType compute, operand;
};
constexpr Type kTypes[] = {{"f32", DType::f32, DType::f32},
                           {"bf16", DType::bf16, DType::bf16},
                           {"int8 in f32", DType::f32, DType::i8},
                           {"int8 in bf16", DType::bf16, DType::i8}};

// Multiply-adds whose operands never leave the registers.
double seconds_of_peak(const cpu::Kernels& kernels, cpu::Operand operand, int64_t steps) {
  alignas(64) float out[16];
  return seconds_of([&] { kernels.peak(operand, steps, out); });
}

// What is timed of a case in one type.
std::function<void()> work_of(const Case& c, const Type& type, const cpu::Isa& isa) {
  const auto backend = std::make_shared<CpuBackend>(type.compute, 1, isa, type.operand == DType::i8);
  const bool int8 = type.operand == DType::i8;
  const double deviation = 1 / std::sqrt(static_cast<double>(c.inputs * (c.side ? 9 : 1)));
  if (c.side == 0) {
    const Tensor w = noise({c.outputs, c.inputs}, deviation),
                 x = cast(*backend, noise({c.rows, c.inputs}, 1), type.compute);
    const std::shared_ptr<PackedLinear> packed =
        int8 ? backend->pack_int8_linear(quantize(w), {}) : backend->pack_linear(w, {});
    return [=] { linear(*backend, x, *packed, Activation::none, type.compute); };
  }
  const Tensor w = noise({c.outputs, c.inputs, 3, 3}, deviation), norm = noise({1, 2, c.inputs}, 1),
               x = cast(*backend, noise({1, c.side, c.side, c.inputs}, 1), type.compute);
  const std::shared_ptr<PackedConv2d> packed =
      int8 ? backend->pack_int8_conv2d(quantize(w), {}) : backend->pack_conv2d(w, {});
  return [=] {
    conv2d(*backend, x, *packed, {.pad_before = 1, .pad_after = 1, .norm = &norm, .act = Activation::silu},
           Activation::none, type.compute);
  };
}

void measure(int repetitions, const cpu::Isa& isa) {
  std::printf("%-16s", isa.name);
  for (const Type& type : kTypes) std::printf("  %14s  of peak", type.name);
  std::printf("  int8 : f32\n");
  for (const Case& c : kCases) {
    constexpr size_t kCount = std::size(kTypes);
    std::vector<std::function<void()>> work;
    for (const Type& type : kTypes) work.push_back(work_of(c, type, isa));
    std::vector<double> best(kCount, 1e9), best_peak(kCount, 1e9);
    constexpr int64_t kSteps = 1 << 18;
    for (int i = 0; i < repetitions; ++i)
      for (size_t t = 0; t < kCount; ++t) {
        best[t] = std::min(best[t], seconds_of(work[t]));
        best_peak[t] =
            std::min(best_peak[t], seconds_of_peak(*isa.kernels, cpu::operand_of(kTypes[t].operand), kSteps));
      }
    const double flops = 2. * static_cast<double>(c.side ? 9 * c.side * c.side : c.rows) *
                         static_cast<double>(c.inputs * c.outputs);
    std::printf("%-16s", c.name);
    for (size_t t = 0; t < kCount; ++t) {
      const int64_t step = isa.kernels->peak_flops(cpu::operand_of(kTypes[t].operand));
      const double peak = static_cast<double>(kSteps * step) / best_peak[t];
      std::printf("  %8.1f GOP/s  %5.1f %%", flops / best[t] * 1e-9, 100 * flops / best[t] / peak);
    }
    std::printf("  %10.2f\n", best[0] / best[2]);
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace tstitch

int main(int argc, char** argv) {
  const int repetitions = argc > 1 ? std::atoi(argv[1]) : 9;
  tstitch::measure(repetitions, tstitch::cpu::find_isa(argc > 2 ? argv[2] : ""));
}
