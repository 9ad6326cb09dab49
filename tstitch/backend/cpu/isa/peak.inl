// The limit that products are measured against: multiply-adds whose operands never leave the registers.
#pragma once

#include "tstitch/backend/cpu/isa/gemm.inl"

namespace tstitch::cpu::TSTITCH_ISA {

// `steps` multiply-adds into each of kPeakSums registers, enough of them to hide the latency.
constexpr int64_t kPeakSums = 12;

template <class T>
void peak(int64_t steps, float* out) {
  Sums<T> sums[kPeakSums] = {};
  U a = splat(0x3f803f80u), b = a;  // ones
  for (auto& sum : sums)
    asm volatile("" : "+x"(sum));  // or the compiler would see that they are all the same
  for (int64_t i = 0; i < steps; ++i) {
    asm volatile("" : "+x"(a), "+x"(b));
#pragma GCC unroll 16
    for (int64_t j = 0; j < kPeakSums; ++j) sums[j] = multiply_add(sums[j], a, b, T{});
  }
  for (int64_t j = 1; j < kPeakSums; ++j) sums[0] += sums[j];
  store(out, bit_cast<F>(sums[0]));
}

}  // namespace tstitch::cpu::TSTITCH_ISA
