// All that a kernel sees of the machine.
//
// A kernel is a value: pointers and sizes, and a call. Elementwise ones are called with an index and are
// launched once for each; those that sum are called with a Block, lanes that work on one row together. nvcc
// makes threads of the lanes; in the tests each is a fiber (tests/support/cuda_host/), so that every line of
// a kernel runs, is checked by sanitizers and sums in the device's order without one.
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define TSTITCH_DEVICE __host__ __device__ inline
#else
#define TSTITCH_DEVICE inline
#endif

namespace tstitch::cuda {

#ifdef __CUDA_ARCH__
extern __shared__ float block_scratch[];

struct Block {
  __device__ int rank() const { return static_cast<int>(threadIdx.x); }
  __device__ int size() const { return static_cast<int>(blockDim.x); }
  __device__ int64_t row() const { return int64_t{blockIdx.x}; }
  __device__ float* scratch() const { return block_scratch; }
  __device__ void barrier() const { __syncthreads(); }
  __device__ float shuffle_xor(float x, int mask) const { return __shfl_xor_sync(~0u, x, mask); }
};
#else
struct Block {
  int rank() const;                            // of this lane, from 0
  int size() const;                            // lanes, a multiple of kWarp
  int64_t row() const;                         // of this block among those launched
  float* scratch() const;                      // shared by the lanes, as much as the launch asked for
  void barrier() const;                        // until all lanes are here
  float shuffle_xor(float x, int mask) const;  // the x of lane rank ^ mask, mask < kWarp
};
#endif

constexpr int kWarp = 32;         // lanes that shuffle
constexpr int kMostLanes = 1024;  // of a block

// Sum of x over the lanes, the same bits in each of them. Uses size / kWarp numbers of the scratch.
TSTITCH_DEVICE float sum(const Block& block, float x) {
  for (int mask = kWarp / 2; mask; mask /= 2) x += block.shuffle_xor(x, mask);
  if (block.size() == kWarp) return x;
  block.barrier();  // whoever still reads the scratch of an earlier sum
  if (block.rank() % kWarp == 0) block.scratch()[block.rank() / kWarp] = x;
  block.barrier();
  x = block.scratch()[0];
  for (int i = 1; i < block.size() / kWarp; ++i) x += block.scratch()[i];
  return x;
}

}  // namespace tstitch::cuda
