#include "tstitch/backend/cpu/amx.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bit>
#include <cmath>

#include "tstitch/backend/cpu/amx_gemm.h"

namespace tstitch::cpu {
namespace {

constexpr unsigned kTileBits = 1u << 22 | 1u << 24 | 1u << 25;  // bf16, tiles, int8: CPUID leaf 7, EDX
constexpr uint64_t kTileStates = 3u << 17;                      // XCR0: configuration and data
constexpr int kRequestPermission = 0x1023;                      // ARCH_REQ_XCOMP_PERM of arch_prctl(2)
constexpr int kTileData = 18;

uint64_t enabled_states() {
  uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t{high} << 32 | low;
}

bool probe() {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return false;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & kTileBits) != kTileBits) return false;
  if ((enabled_states() & kTileStates) != kTileStates) return false;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

// Intel SDM, LDTILECFG.
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

}  // namespace

bool request_amx() {
  static const bool granted = probe();
  return granted;
}

HardwareTiles::HardwareTiles() {
  static constexpr TileConfig config;
  asm volatile("ldtilecfg %0" ::"m"(config));
}

void EmulatedTiles::multiply_add_bf16(uint32_t* sum, const uint32_t* a, const uint32_t* b) {
  const auto even = [](uint32_t pair) { return std::bit_cast<float>(pair << 16); };
  const auto odd = [](uint32_t pair) { return std::bit_cast<float>(pair & 0xffff0000u); };
  for (int64_t m = 0; m < 16; ++m)
    for (int64_t k = 0; k < 16; ++k)
      for (int64_t n = 0; n < 16; ++n) {
        const uint32_t x = a[m * 16 + k], y = b[k * 16 + n];
        sum[m * 16 + n] = std::bit_cast<uint32_t>(std::bit_cast<float>(sum[m * 16 + n]) + even(x) * even(y) +
                                                  odd(x) * odd(y));
      }
}

void EmulatedTiles::multiply_add_int8(uint32_t* sum, const uint32_t* a, const uint32_t* b) {
  for (int64_t m = 0; m < 16; ++m)
    for (int64_t k = 0; k < 16; ++k)
      for (int64_t n = 0; n < 16; ++n)
        for (int part = 0; part < 32; part += 8) {
          const auto x = static_cast<uint8_t>(a[m * 16 + k] >> part);
          const auto w = static_cast<int8_t>(b[k * 16 + n] >> part);
          sum[m * 16 + n] += static_cast<uint32_t>(x * w);
        }
}

namespace {

template <class E>
bool multiplies_right(const E* x, const E* panel, int64_t steps) {
  alignas(64) float by_hardware[kAmxRows * kAmxColumns], by_emulation[kAmxRows * kAmxColumns];
  for (const int64_t rows : {kAmxRows / 2, kAmxRows})
    for (const bool add : {false, true}) {
      {
        HardwareTiles tiles;
        amx_multiply(tiles, x, steps * kAmxStep<E>, rows, panel, steps, {}, {by_hardware, kAmxColumns, add});
      }
      EmulatedTiles tiles;
      amx_multiply(tiles, x, steps * kAmxStep<E>, rows, panel, steps, {}, {by_emulation, kAmxColumns, add});
      if (std::memcmp(by_hardware, by_emulation, static_cast<size_t>(rows * kAmxColumns) * sizeof(float)) !=
          0)
        return false;
    }
  return true;
}

}  // namespace

bool amx_self_check() {
  constexpr int64_t kSteps = 3, kInputs = kSteps * kAmxStep<uint16_t>;
  // Numbers of few bits, all different sums: an exact product, whatever the order.
  alignas(64) uint16_t x[kAmxRows * kInputs], panel[kInputs * kAmxColumns];
  for (int64_t i = 0; i < std::ssize(x); ++i)
    x[i] = static_cast<uint16_t>(std::bit_cast<uint32_t>(static_cast<float>(i * 7 % 31 - 15)) >> 16);
  for (int64_t i = 0; i < std::ssize(panel); ++i)
    panel[i] = static_cast<uint16_t>(std::bit_cast<uint32_t>(static_cast<float>(i * 5 % 29 - 14)) >> 16);
  if (!multiplies_right(x, panel, kSteps)) return false;

  // As bytes they are of all sizes and both signs.
  return multiplies_right(reinterpret_cast<const uint8_t*>(x), reinterpret_cast<const uint8_t*>(panel),
                          kSteps);
}

}  // namespace tstitch::cpu
