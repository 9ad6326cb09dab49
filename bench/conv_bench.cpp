// Convolutions of the CPU backend, alone and with a norm and an activation on what they read, in turns: one
// thread, timed by the processor time they took, as a fraction of what this machine can do. Weights rotate,
// so that each is read from memory as in a run.
//
//   conv_bench [repetitions]
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
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
  int64_t size, inputs, outputs, images = 1;
};

// The decoder of Stable Diffusion at 512 x 512, and a U-Net's levels for one image and for a guided pair.
constexpr Case kCases[] = {{64, 512, 512},     {128, 512, 512},   {256, 256, 256},     {512, 128, 128},
                           {512, 128, 3},      {64, 4, 512},      {64, 320, 320},      {32, 640, 640},
                           {16, 1280, 1280},   {8, 1280, 1280},   {4, 1280, 1280},     {64, 320, 320, 2},
                           {64, 320, 4, 2},    {32, 640, 640, 2}, {16, 1280, 1280, 2}, {8, 1280, 1280, 2},
                           {8, 2560, 1280, 2}, {4, 1280, 1280, 2}};

constexpr int64_t kWeightBytes = 128 << 20;

void measure(const Case& c, DType operand, int repetitions) {
  const cpu::Isa& isa = cpu::find_isa("");
  const bool int8 = operand == DType::i8;
  const DType dtype = int8 ? DType::bf16 : operand;  // what x comes as, and goes
  CpuBackend backend(dtype, 1, isa, int8);
  Tensor w({c.outputs, c.inputs, 3, 3}, DType::f32), x({c.images, c.size, c.size, c.inputs}, DType::f32);
  std::fill_n(w.data<float>(), w.elements(), 0.01f);
  std::fill_n(x.data<float>(), x.elements(), 0.5f);
  const auto copies =
      static_cast<size_t>(std::min<int64_t>(kWeightBytes / (w.elements() * size_of(operand)) + 1, 16));
  std::vector<std::unique_ptr<PackedConv2d>> weights;
  while (weights.size() < copies)
    weights.push_back(int8 ? backend.pack_int8_conv2d(quantize(w), Tensor())
                           : backend.pack_conv2d(w, Tensor()));
  x = cast(backend, x, dtype);
  const Tensor norm = [&] {
    Tensor ones({c.images, 2, c.inputs}, DType::f32);
    std::fill_n(ones.data<float>(), ones.elements(), 1.f);
    return ones;
  }();
  const Conv2dPath plain = {.pad_before = 1, .pad_after = 1},
                   fused = {.pad_before = 1, .pad_after = 1, .norm = &norm, .act = Activation::silu};
  std::vector<double> plain_seconds, fused_seconds;
  for (int i = 0; i < repetitions; ++i) {
    const auto seconds = [&](size_t turn, const Conv2dPath& path) {
      const PackedConv2d& packed = *weights[turn % copies];
      return seconds_of([&] { conv2d(backend, x, packed, path, Activation::none, dtype); });
    };
    plain_seconds.push_back(seconds(2 * static_cast<size_t>(i), plain));
    fused_seconds.push_back(seconds(2 * static_cast<size_t>(i) + 1, fused));
  }
  const double flops = 2. * 9 * static_cast<double>(c.images * c.size * c.size * c.inputs * c.outputs);
  const double limit = peak(*isa.kernels, cpu::operand_of(operand));
  const auto print = [&](const char* name, std::vector<double>& seconds) {
    std::ranges::sort(seconds);
    const double rate = flops / seconds[seconds.size() / 2];
    std::printf("  %s %6.1f GFLOP/s %5.1f %%", name, rate * 1e-9, 100 * rate / limit);
    std::fflush(stdout);
  };
  std::printf("%lld x %4lld^2 %4lld -> %4lld %-5s", static_cast<long long>(c.images),
              static_cast<long long>(c.size), static_cast<long long>(c.inputs),
              static_cast<long long>(c.outputs), int8 ? "int8" : std::string(name_of(dtype)).c_str());
  print("plain", plain_seconds);
  print("with norm and silu", fused_seconds);
  std::printf("\n");
}

}  // namespace
}  // namespace tstitch

int main(int argc, char** argv) {
  for (const tstitch::DType dtype : {tstitch::DType::f32, tstitch::DType::bf16, tstitch::DType::i8})
    for (const auto& c : tstitch::kCases) tstitch::measure(c, dtype, argc > 1 ? std::atoi(argv[1]) : 5);
}
