// Convolutions of the CPU backend, alone and with a norm and an activation on what they read, in turns: one
// thread, timed by the processor time they took, as a fraction of what this machine can do.
//
//   conv_bench [repetitions]
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "bench/processor_time.h"
#include "tstitch/backend/cpu/cpu_backend.h"
#include "tstitch/backend/cpu/int8.h"
#include "tstitch/ops/ops.h"

namespace tstitch {
namespace {

double peak(const cpu::Kernels& kernels, cpu::Operand operand) {
  constexpr int64_t kSteps = 1 << 18;
  alignas(64) float out[16];
  double best = 1e9;
  for (int i = 0; i < 15; ++i) best = std::min(best, seconds_of([&] { kernels.peak(operand, kSteps, out); }));
  return static_cast<double>(kSteps * kernels.peak_flops(operand)) / best;
}

struct Case {
  int64_t size, inputs, outputs;
};

// The decoder of Stable Diffusion at 512 x 512, and a U-Net's levels.
constexpr Case kCases[] = {{64, 512, 512}, {128, 512, 512}, {256, 256, 256},  {512, 128, 128}, {512, 128, 3},
                           {64, 320, 320}, {32, 640, 640},  {16, 1280, 1280}, {8, 1280, 1280}, {64, 4, 512}};

void measure(const Case& c, DType dtype, int repetitions) {
  const cpu::Isa& isa = cpu::find_isa("");
  CpuBackend backend(dtype, 1, isa);
  Tensor w({c.outputs, c.inputs, 3, 3}, DType::f32), x({1, c.size, c.size, c.inputs}, DType::f32);
  std::fill_n(w.data<float>(), w.elements(), 0.01f);
  std::fill_n(x.data<float>(), x.elements(), 0.5f);
  const auto packed = backend.pack_conv2d(w, Tensor());
  x = cast(backend, x, dtype);
  const Tensor norm = [&] {
    Tensor ones({1, 2, c.inputs}, DType::f32);
    std::fill_n(ones.data<float>(), ones.elements(), 1.f);
    return ones;
  }();
  const Conv2dPath plain = {.pad_before = 1, .pad_after = 1},
                   fused = {.pad_before = 1, .pad_after = 1, .norm = &norm, .act = Activation::silu};
  std::vector<double> plain_seconds, fused_seconds;
  for (int i = 0; i < repetitions; ++i) {
    plain_seconds.push_back(seconds_of([&] { conv2d(backend, x, *packed, plain, Activation::none, dtype); }));
    fused_seconds.push_back(seconds_of([&] { conv2d(backend, x, *packed, fused, Activation::none, dtype); }));
  }
  const double flops = 2. * 9 * static_cast<double>(c.size * c.size * c.inputs * c.outputs);
  const double limit = peak(*isa.kernels, cpu::operand_of(dtype));
  const auto print = [&](const char* name, std::vector<double>& seconds) {
    std::ranges::sort(seconds);
    const double rate = flops / seconds[seconds.size() / 2];
    std::printf("  %s %6.1f GFLOP/s %5.1f %%", name, rate * 1e-9, 100 * rate / limit);
  };
  std::printf("%4lld^2 %4lld -> %4lld %-5s", static_cast<long long>(c.size), static_cast<long long>(c.inputs),
              static_cast<long long>(c.outputs), std::string(name_of(dtype)).c_str());
  print("plain", plain_seconds);
  print("with norm and silu", fused_seconds);
  std::printf("\n");
}

}  // namespace
}  // namespace tstitch

int main(int argc, char** argv) {
  for (const tstitch::DType dtype : {tstitch::DType::f32, tstitch::DType::bf16})
    for (const auto& c : tstitch::kCases) tstitch::measure(c, dtype, argc > 1 ? std::atoi(argv[1]) : 5);
}
