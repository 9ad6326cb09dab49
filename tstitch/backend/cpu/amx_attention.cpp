#include "tstitch/backend/cpu/amx_attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>

#include "tstitch/backend/cpu/amx_gemm.h"

namespace tstitch::cpu {
namespace {

int64_t round_up(int64_t x) { return (x + 31) / 32 * 32; }

// Where the pieces of the scratch memory lie, in bytes; each begins on a cache line.
struct Scratch {
  int64_t width;  // d up to whole tiles
  int64_t queries = 0, scores, probabilities, out, largest, sum, end;

  explicit Scratch(int64_t d) : width(round_up(d)) {
    scores = queries + kAmxRows * width * 2;
    probabilities = scores + kAmxRows * kAmxKeys * 4;
    out = probabilities + kAmxRows * kAmxKeys * 2;
    largest = out + kAmxQueries * width * 4;
    sum = largest + kAmxQueries * 4;
    end = sum + kAmxQueries * 4;
  }
};

template <class Tiles>
void attention(const Kernels& kernels, const AttentionJob& job, int64_t head, int64_t begin, int64_t end,
               const uint16_t* panels, char* scratch) {
  const Scratch at(job.d);
  const int64_t d = job.d, width = at.width, steps = width / kAmxStep<uint16_t>;
  const auto* q = static_cast<const uint16_t*>(job.q) + head * d;
  auto* result = static_cast<uint16_t*>(job.out) + head * d;

  auto* queries = reinterpret_cast<uint16_t*>(scratch + at.queries);
  auto* scores = reinterpret_cast<float*>(scratch + at.scores);
  auto* p = reinterpret_cast<uint16_t*>(scratch + at.probabilities);
  auto* out = reinterpret_cast<float*>(scratch + at.out);  // whole blocks of 32 queries
  auto* largest = reinterpret_cast<float*>(scratch + at.largest);
  auto* sum = reinterpret_cast<float*>(scratch + at.sum);
  std::fill_n(out, round_up(end - begin) * width, 0.f);
  std::fill_n(largest, round_up(end - begin), -std::numeric_limits<float>::infinity());
  std::fill_n(sum, round_up(end - begin), 0.f);

  Tiles tiles;
  for (int64_t s0 = 0; s0 < job.S; s0 += kAmxKeys) {
    const int64_t keys = std::min(kAmxKeys, job.S - s0), padded_keys = round_up(keys);
    const uint16_t* key_panels = panels + 2 * s0 * width;
    const uint16_t* value_panels = key_panels + padded_keys * width;
    for (int64_t t = begin; t < end; t += kAmxRows) {
      const int64_t rows = std::min(kAmxRows, end - t);
      std::memset(queries, 0, static_cast<size_t>(kAmxRows * width * 2));
      for (int64_t r = 0; r < rows; ++r)
        std::memcpy(queries + r * width, q + (t + r) * job.q_stride, static_cast<size_t>(2 * d));
      for (int64_t s = 0; s < keys; s += kAmxColumns)
        amx_multiply(tiles, queries, width, kAmxRows, key_panels + s * width, steps, {},
                     {scores + s, kAmxKeys});
      for (int64_t r = 0; r < kAmxRows; ++r)
        std::fill(scores + r * kAmxKeys + keys, scores + r * kAmxKeys + padded_keys,
                  -std::numeric_limits<float>::infinity());

      float* block = out + (t - begin) * width;
      kernels.softmax_block({.scores = scores,
                             .scores_stride = kAmxKeys,
                             .rows = kAmxRows,
                             .keys = padded_keys,
                             .factor = std::numbers::log2e_v<float> / std::sqrt(static_cast<float>(d)),
                             .p = p,
                             .p_stride = kAmxKeys,
                             .largest = largest + t - begin,
                             .sum = sum + t - begin,
                             .out = block,
                             .out_stride = width,
                             .out_columns = width});
      for (int64_t j = 0; j < d; j += kAmxColumns)
        amx_multiply(tiles, p, kAmxKeys, kAmxRows, value_panels + j * padded_keys,
                     padded_keys / kAmxStep<uint16_t>, {}, {block + j, width, true});
    }
  }
  kernels.normalize(out, width, sum, end - begin, d, result + begin * job.out_stride, job.out_stride);
}

}  // namespace

int64_t amx_attention_panel_bytes(int64_t d, int64_t S) { return 2 * 2 * round_up(S) * round_up(d); }

void amx_pack_keys(const AttentionJob& job, int64_t head, int64_t s0, void* panels) {
  const int64_t d = job.d, width = round_up(d), keys = std::min(kAmxKeys, job.S - s0);
  const auto* k = static_cast<const uint16_t*>(job.k) + s0 * job.k_stride + head * d;
  const auto* v = static_cast<const uint16_t*>(job.v) + s0 * job.v_stride + head * d;
  auto* key_panels = static_cast<uint16_t*>(panels) + 2 * s0 * width;  // [keys / 32], then
  auto* value_panels = key_panels + round_up(keys) * width;            // [width / 32]
  for (int64_t s = 0; s < keys; s += kAmxColumns)
    amx_pack_panel(k + s * job.k_stride, job.k_stride, std::min(kAmxColumns, keys - s), d,
                   key_panels + s * width);
  for (int64_t j = 0; j < d; j += kAmxColumns)
    amx_pack_transposed(v + j, job.v_stride, keys, std::min(kAmxColumns, d - j),
                        value_panels + j * round_up(keys));
}

int64_t amx_attention_scratch_bytes(int64_t d) { return Scratch(d).end; }

void amx_attention(bool emulated, const Kernels& kernels, const AttentionJob& job, int64_t head,
                   int64_t begin, int64_t end, const void* panels, void* scratch) {
  const auto* packed = static_cast<const uint16_t*>(panels);
  if (emulated)
    attention<EmulatedTiles>(kernels, job, head, begin, end, packed, static_cast<char*>(scratch));
  else
    attention<HardwareTiles>(kernels, job, head, begin, end, packed, static_cast<char*>(scratch));
}

}  // namespace tstitch::cpu
