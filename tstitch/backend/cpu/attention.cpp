#include "tstitch/backend/cpu/attention.h"

#include <algorithm>

#include "tstitch/backend/cpu/amx_attention.h"
#include "tstitch/backend/cpu/amx_gemm.h"
#include "tstitch/backend/cpu/linear.h"
#include "tstitch/backend/cpu/parallel.h"
#include "tstitch/base/error.h"
#include "tstitch/tensor/tensor.h"

namespace tstitch::cpu {
namespace {

constexpr int64_t kCacheLine = 64;
int64_t whole_lines(int64_t bytes) { return divide_up(bytes, kCacheLine) * kCacheLine; }

// Packing and multiplying, by vectors or tiles, for jobs like `job`.
class Way {
 public:
  Way(const Isa& isa, const AttentionJob& job, bool may_use_tiles)
      : kernels_(*isa.kernels),
        bf16_(job.bf16),
        d_(job.d),
        emulated_(isa.multiplier == Multiplier::amx_emulated),
        tiles_(may_use_tiles && bf16_ && isa.multiplier != Multiplier::vectors) {}

  int64_t block_rows() const {
    return tiles_ ? kAmxRows : kernels_.block_rows(bf16_ ? Operand::bf16 : Operand::f32);
  }
  int64_t most_rows() const { return tiles_ ? kAmxQueries : kernels_.attention_rows(bf16_); }
  int64_t block_keys() const { return tiles_ ? kAmxKeys : kernels_.attention_keys; }
  int64_t panel_bytes(int64_t S) const {
    return whole_lines(tiles_ ? amx_attention_panel_bytes(d_, S)
                              : kernels_.attention_panel_bytes(bf16_, d_, S));
  }
  int64_t scratch_bytes() const {
    return whole_lines(tiles_ ? amx_attention_scratch_bytes(d_)
                              : kernels_.attention_scratch_bytes(bf16_, d_));
  }

  // The block of keys that s0 begins, if there is one.
  void pack(const AttentionJob& job, int64_t head, int64_t s0, std::byte* panels) const {
    if (s0 >= job.S) return;
    tiles_ ? amx_pack_keys(job, head, s0, panels) : kernels_.pack_keys(job, head, s0, panels);
  }
  void pack_all(const AttentionJob& job, int64_t head, std::byte* panels) const {
    for (int64_t s0 = 0; s0 < job.S; s0 += block_keys()) pack(job, head, s0, panels);
  }
  void multiply(const AttentionJob& job, int64_t head, int64_t begin, int64_t end, const std::byte* panels,
                std::byte* scratch) const {
    if (tiles_)
      amx_attention(emulated_, kernels_, job, head, begin, end, panels, scratch);
    else
      kernels_.attention(job, head, begin, end, panels, scratch);
  }

 private:
  const Kernels& kernels_;
  bool bf16_;
  int64_t d_;
  bool emulated_, tiles_;
};

// `count` pieces of memory of `bytes` each.
class Pieces {
 public:
  Pieces(int64_t count, int64_t bytes) : bytes_(bytes), memory_({count, bytes}, DType::u8) {}
  std::byte* operator[](int64_t i) { return memory_.bytes() + i * bytes_; }

 private:
  int64_t bytes_;
  Tensor memory_;
};

}  // namespace

void attend(const Isa& isa, int threads, int64_t images, int64_t heads, int64_t T,
            FunctionRef<AttentionJob(int64_t n)> job_of) {
  if (images == 0 || heads == 0 || T == 0) return;
  const Way way(isa, job_of(0), true);
  const int64_t all = images * heads, block = way.block_rows(), most_rows = way.most_rows();
  const int64_t wanted = std::max<int64_t>(divide_up(4 * threads, all), divide_up(T, most_rows));
  const int64_t rows =
      std::min(most_rows, std::max(divide_up(divide_up(T, wanted), block) * block, 4 * block));
  const int64_t ranges = divide_up(T, rows);
  int64_t S = 0;
  for (int64_t n = 0; n < images; ++n) {
    const int64_t keys = job_of(n).S;
    check_internal(keys > 0, "attention to no keys");
    S = std::max(S, keys);
  }
  const int64_t panel_bytes = way.panel_bytes(S);
  Pieces scratch(threads, way.scratch_bytes());

  if (ranges == 1) {  // what a thread packs is still in its caches when it multiplies by it
    Pieces panels(threads, panel_bytes);
    parallel_for(threads, all, [&](int64_t item, int thread) {
      const AttentionJob job = job_of(item / heads);
      way.pack_all(job, item % heads, panels[thread]);
      way.multiply(job, item % heads, 0, T, panels[thread], scratch[thread]);
    });
    return;
  }

  // Once for all ranges, of as many heads together as the L3 cache may hold and the threads can share.
  constexpr int64_t kPanelBytes = 8 << 20;
  const int64_t blocks = divide_up(S, way.block_keys());
  const int64_t together = std::min(all, std::max(kPanelBytes / panel_bytes, divide_up(4 * threads, ranges)));
  Pieces panels(together, panel_bytes);
  for (int64_t first = 0; first < all; first += together) {
    const int64_t count = std::min(together, all - first);
    parallel_for(threads, count * blocks, [&](int64_t item, int) {
      const int64_t i = item / blocks, at = first + i;
      way.pack(job_of(at / heads), at % heads, item % blocks * way.block_keys(), panels[i]);
    });
    parallel_for(threads, count * ranges, [&](int64_t item, int thread) {
      const int64_t i = item / ranges, at = first + i, begin = item % ranges * rows;
      way.multiply(job_of(at / heads), at % heads, begin, std::min(T, begin + rows), panels[i],
                   scratch[thread]);
    });
  }
}

void attend_causally(const Isa& isa, int threads, int64_t images, int64_t heads, int64_t T,
                     FunctionRef<AttentionJob(int64_t n)> job_of) {
  if (images == 0 || heads == 0 || T == 0) return;
  const Way way(isa, job_of(0), false);
  Pieces scratch(threads, way.scratch_bytes()), panels(threads, way.panel_bytes(T));
  parallel_for(threads, images * T, [&](int64_t item, int thread) {
    const int64_t t = item % T;
    AttentionJob job = job_of(item / T);
    job.S = t + 1;
    for (int64_t head = 0; head < heads; ++head) {
      way.pack_all(job, head, panels[thread]);
      way.multiply(job, head, t, t + 1, panels[thread], scratch[thread]);
    }
  });
}

}  // namespace tstitch::cpu
