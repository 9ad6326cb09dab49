// torch.randn as PyTorch draws it, for people who bring seeds from elsewhere.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <span>

namespace tstitch {

// torch.Generator() on the CPU and torch.randn(n, generator=g), float32, contiguous.
//
// From 16 numbers on PyTorch has two transforms whose last bits differ (two numbers in five, by up to 2e-6):
// the vectorised one of every x86 processor with AVX2, also where it has AVX-512, and a scalar one through
// the C library elsewhere. This is the vectorised one, bit for bit: compared over 4,000,000 numbers with
// torch 2.9.1. Below 16 numbers there is one transform, in double; its bits are those of the C library's
// log1p, sin and cos.
class TorchCpuGenerator {
 public:
  // Like PyTorch, looks at the lower 32 bits of the seed only.
  explicit TorchCpuGenerator(uint64_t seed) : engine_(static_cast<uint32_t>(seed)) {}

  // Fills `out` as one call of torch.randn. The calls before it matter, in their order and their sizes: two
  // halves are not one whole.
  void randn(std::span<float> out);

 private:
  double uniform_double();  // [0, 1), 53 bits
  float uniform_float();    // [0, 1), 24 bits
  float next_normal();
  void fill_16(std::span<float, 16> out);

  std::mt19937 engine_;
  // Box-Muller makes two numbers; short calls keep the second for the next short call, past long ones.
  std::optional<double> second_;
};

// Fills `out` with call number `call` (0 = first) of torch.randn(n, device="cuda") after
// torch.manual_seed(seed): number i is the first of the four normals that cuRAND's Philox4x32-10 gives thread
// i at that call, {call, 0, i, 0}.
//
// So it is as long as PyTorch can start a thread for every number: n, and that of every call before, at most
// the device's multiprocessors times the threads that one holds (T4: 40,960, A100: 221,184). Beyond, the
// numbers depend on the device, which this does not imitate. Logarithm and sine are exact here and fast
// approximations there, so expect differences around 1e-6. Checked against 170 numbers of three calls that a
// device printed to four decimals; tests/golden/rng keeps 50 of them.
void torch_cuda_randn(uint64_t seed, uint32_t call, std::span<float> out);

}  // namespace tstitch
