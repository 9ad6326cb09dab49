// Intel AMX: eight registers of 16 rows by 64 bytes ("tiles") and a product of two of them (Intel SDM, volume
// 1, chapter 18). Two engines with the same operations: the processor's, and an emulation that any machine
// can test with.
//
// Wrapped by hand because the header of g++ 12 does not tell the compiler that the instructions touch memory.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

namespace tstitch::cpu {

// Are there tiles of bf16 and of bytes, and does the operating system let this process use them? Asks it to,
// once.
bool request_amx();

// Does a product by tiles agree with the emulation?
bool amx_self_check();

class HardwareTiles {
 public:
  // For the calling thread: all eight tiles of full size. Released again before the thread may sleep, so that
  // the system does not carry 8 KB of state around.
  HardwareTiles();
  ~HardwareTiles() { asm volatile("tilerelease" ::: "memory"); }
  HardwareTiles(const HardwareTiles&) = delete;
  HardwareTiles& operator=(const HardwareTiles&) = delete;

  template <int tile>
  void zero() {
    asm volatile("tilezero %%tmm%c0" ::"i"(tile));
  }
  // 16 rows of 64 bytes, `stride` bytes apart.
  template <int tile>
  void load(const void* rows, int64_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(rows), "r"(stride), "i"(tile) : "memory");
  }
  template <int tile>
  void store(void* rows, int64_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(rows), "r"(stride), "i"(tile) : "memory");
  }
  // The last argument tells what the elements are:
  // sum (16, 16) f32 += a (16, 32) b, both bf16; b as [16 pairs of k][16 columns][2].
  template <int sum, int a, int b>
  void multiply_add(uint16_t) {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(sum), "i"(a), "i"(b));
  }
  // sum (16, 16) i32 += a (16, 64) u8 times b i8; b as [16 fours of k][16 columns][4].
  template <int sum, int a, int b>
  void multiply_add(uint8_t) {
    asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(sum), "i"(a), "i"(b));
  }
};

class EmulatedTiles {
 public:
  template <int tile>
  void zero() {
    tiles_[tile] = {};
  }
  template <int tile>
  void load(const void* rows, int64_t stride) {
    for (int64_t r = 0; r < 16; ++r)
      std::memcpy(&tiles_[tile][r * 16], static_cast<const char*>(rows) + r * stride, 64);
  }
  template <int tile>
  void store(void* rows, int64_t stride) const {
    for (int64_t r = 0; r < 16; ++r)
      std::memcpy(static_cast<char*>(rows) + r * stride, &tiles_[tile][r * 16], 64);
  }
  template <int sum, int a, int b>
  void multiply_add(uint16_t) {
    multiply_add_bf16(tiles_[sum].data(), tiles_[a].data(), tiles_[b].data());
  }
  template <int sum, int a, int b>
  void multiply_add(uint8_t) {
    multiply_add_int8(tiles_[sum].data(), tiles_[a].data(), tiles_[b].data());
  }

 private:
  using Tile = std::array<uint32_t, 256>;
  static void multiply_add_bf16(uint32_t* sum, const uint32_t* a, const uint32_t* b);
  static void multiply_add_int8(uint32_t* sum, const uint32_t* a, const uint32_t* b);

  std::array<Tile, 8> tiles_{};
};

}  // namespace tstitch::cpu
