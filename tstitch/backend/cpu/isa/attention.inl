// Attention of one head for a range of queries, with the online softmax of Milakov and Gimelshein
// (arXiv 1805.02867, Algorithm 3): keys arrive in blocks, and what was summed so far is rescaled whenever the
// largest score grows. Only block_rows x kKeys scores exist at a time. Keys and values come as panels, packed
// once for all ranges.
#pragma once

#include "tstitch/backend/cpu/isa/gemm.inl"

namespace tstitch::cpu::TSTITCH_ISA {

constexpr int64_t kKeys = 256;  // a block of keys: its K and V panels stay in the L2 cache

// Most queries of a range: whole blocks of rows of every type.
template <class T>
constexpr int64_t kQueries = 20 * kBlockRows<T>;

// Where the panels of blocks of kKeys keys lie, in units of 4 bytes: [block][keys, then values]. A panel of
// keys that ends them may be of a single vector, one of values, too.
template <class T>
struct AttentionPanels {
  int64_t d_units, value_columns;  // d up to whole vectors

  explicit AttentionPanels(int64_t d) : d_units(units<T>(d)), value_columns(round_up(d, kLanes)) {}

  int64_t keys(int64_t count) const { return round_up(count, kLanes) * d_units; }
  int64_t values(int64_t count) const { return units<T>(count) * value_columns; }
  int64_t block(int64_t s) const { return s / kKeys * (keys(kKeys) + values(kKeys)); }
  int64_t all(int64_t S) const { return block(S) + keys(S % kKeys) + values(S % kKeys); }
};

// Where the pieces of the scratch memory lie, in units of 4 bytes; each begins on a cache line.
template <class T>
struct AttentionScratch {
  int64_t queries = 0, scores, probabilities, out, largest, sum, end;

  explicit AttentionScratch(int64_t d) {
    constexpr int64_t rows = kBlockRows<T>;
    scores = queries + round_up(rows * units<T>(d), 16);
    probabilities = scores + rows * kKeys;
    out = probabilities + rows * units<T>(kKeys);
    largest = out + kQueries<T> * round_up(d, kLanes);
    sum = largest + round_up(kQueries<T>, 16);
    end = sum + kQueries<T>;
  }
};

// The units of kLanes columns: one row of f32, or two of bf16.
inline U unit_of_rows(const f32* row, const f32*) { return load_raw<U>(row); }
inline U unit_of_rows(const bf16* row, const bf16* next) {
  return __builtin_convertvector(load_raw<Halves>(row), U) |
         (__builtin_convertvector(load_raw<Halves>(next), U) << 16);
}

// Values v (keys, d) as panels [panel][unit of keys][column], the last panel perhaps of a single vector.
template <class T>
void pack_values(const T* v, int64_t v_stride, int64_t keys, int64_t d, uint32_t* panels) {
  const int64_t all_columns = round_up(d, kLanes);
  const T zeros[kLanes] = {};
  for (int64_t first = 0; first < all_columns; first += kPanelColumns)
    for (int64_t s = 0; s < keys; s += kPerUnit<T>)
      for (int64_t j = first; j < min(first + kPanelColumns, all_columns); j += kLanes, panels += kLanes) {
        const T* rows[2] = {v + s * v_stride + j, s + 1 < keys ? v + (s + 1) * v_stride + j : zeros};
        T tails[2][kLanes] = {};
        if (d - j < kLanes)
          for (int part = 0; part < 2; ++part) {
            for (int64_t c = 0; c < d - j; ++c) tails[part][c] = rows[part][c];
            rows[part] = tails[part];
          }
        const U unit = unit_of_rows(rows[0], rows[1]);
        __builtin_memcpy(panels, &unit, sizeof unit);
      }
}

// Asks for `rows` rows of d elements. They lie a whole tensor row apart, where the processor foresees
// nothing: without this, packing waits for every line (a sixth of the time at 16 heads of 72).
template <class T>
void prefetch_rows(const T* x, int64_t x_stride, int64_t rows, int64_t d) {
  constexpr int64_t kLine = 64 / sizeof(T);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < d + kLine - 1; j += kLine)
      __builtin_prefetch(x + r * x_stride + min(j, d - 1), 0, 2);
}

// The d elements of each row, zero up to whole units.
template <class T>
void copy_queries(const T* q, int64_t q_stride, int64_t rows, int64_t d, T* to) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < units<T>(d) * kPerUnit<T>; ++j) *to++ = j < d ? q[r * q_stride + j] : T{};
}

// x in the first `count` lanes, -infinity in the others.
inline F only_first(F x, int64_t count) {
  alignas(64) static constexpr int32_t kLane[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return load_raw<I>(kLane) < static_cast<int32_t>(count) ? x : splat(-__builtin_inff());
}

// f(s, scores of the keys s ..., scores of those behind): two vectors at a time, -infinity where keys end.
template <class Function>
inline void for_scores(const float* scores, int64_t keys, const Function& f) {
  int64_t s = 0;
  for (; s + 2 * kLanes <= keys; s += 2 * kLanes) f(s, load(scores + s), load(scores + s + kLanes));
  if (s < keys)
    f(s, only_first(load(scores + s), keys - s), only_first(load(scores + s + kLanes), keys - s - kLanes));
}

// The part of SoftmaxBlock (kernels.h) that makes `largest` the largest of row r and of what was before.
inline void find_largest(const SoftmaxBlock& block, int64_t r) {
  F highest = splat(-__builtin_inff()), other = highest;
  for_scores(block.scores + r * block.scores_stride, block.keys, [&](int64_t, F x, F next) {
    highest = max(highest, x);
    other = max(other, next);
  });
  const float largest = block.largest[r], new_largest = max_lanes(max(highest, other));
  if (!(new_largest > largest)) return;
  block.largest[r] = new_largest;
  if (largest == -__builtin_inff()) return;
  // By the products that softmax_row takes away, so that their rounding cancels.
  const float rescale = exp2(splat(largest * block.factor - new_largest * block.factor))[0];
  block.sum[r] *= rescale;
  float* out = block.out + r * block.out_stride;
  for (int64_t j = 0; j < block.out_columns; ++j) out[j] *= rescale;
}

// The rest of it, with probabilities of type T.
template <class T>
inline void softmax_row(const SoftmaxBlock& block, int64_t r) {
  T* const p = static_cast<T*>(block.p) + r * block.p_stride;
  const F factor = splat(block.factor), shift = splat(-(block.largest[r] * block.factor));
  F sum = {}, other = {};
  for_scores(block.scores + r * block.scores_stride, block.keys, [&](int64_t s, F x, F next) {
    x = exp2_as(fma(x, factor, shift), T{});
    next = exp2_as(fma(next, factor, shift), T{});
    sum += x;
    other += next;
    store_pair(p + s, x, next);
  });
  block.sum[r] += sum_lanes(sum + other);
}

// All rows at one, then at the other: what one row waits for hides behind the rest.
template <class T>
void softmax_block(const SoftmaxBlock& block) {
  for (int64_t r = 0; r < block.rows; ++r) find_largest(block, r);
  for (int64_t r = 0; r < block.rows; ++r) softmax_row<T>(block, r);
}

// to = out / sum for rows of d elements.
template <class T>
void normalize_rows(const float* out, int64_t out_stride, const float* sum, int64_t rows, int64_t d, T* to,
                    int64_t to_stride) {
  for (int64_t r = 0; r < rows; ++r) {
    const float scale = 1 / sum[r];
    for_row(d, [&](auto get, auto put) { put(to + r * to_stride, get(out + r * out_stride) * scale); });
  }
}

// Keys s0 ... s0 + kKeys of a head and their values, as panels.
template <class T>
void pack_keys(const AttentionJob& job, int64_t head, int64_t s0, void* panels) {
  const AttentionPanels<T> at(job.d);
  const int64_t d = job.d, keys = min(kKeys, job.S - s0);
  const T* k = static_cast<const T*>(job.k) + s0 * job.k_stride + head * d;
  const T* v = static_cast<const T*>(job.v) + s0 * job.v_stride + head * d;
  auto* to = static_cast<uint32_t*>(panels) + at.block(s0);
  prefetch_rows(k, job.k_stride, keys, d);
  prefetch_rows(v, job.v_stride, keys, d);
  for (int64_t s = 0; s < keys; s += kPanelColumns)
    pack_panel(k + s * job.k_stride, job.k_stride, min(kPanelColumns, keys - s), d, to + s * at.d_units,
               keys - s > kLanes ? kPanelColumns : kLanes);
  pack_values(v, job.v_stride, keys, d, to + at.keys(keys));
}

// c (rows, columns) = a times panels that end with one of a single vector where that is enough, or += with
// `add`.
template <class T>
inline void multiply_panels(int64_t rows, const T* a, int64_t a_stride, const uint32_t* panels, int64_t count,
                            int64_t columns, float* c, int64_t c_stride, bool add) {
  for (int64_t j = 0; j < columns; j += kPanelColumns) {
    const auto multiply = columns - j > kLanes ? multiply_rows<T, kPanelVectors> : multiply_rows<T, 1>;
    multiply(rows, a, a_stride, panels + j * count, count, c + j, c_stride, add);
  }
}

template <class T>
void attention(const AttentionJob& job, int64_t head, int64_t begin, int64_t end, const void* panels,
               float* scratch) {
  const AttentionPanels<T> in(job.d);
  const AttentionScratch<T> at(job.d);
  const int64_t d = job.d, columns = in.value_columns, queries_count = end - begin;
  const float factor = 1.44269504f / __builtin_sqrtf(static_cast<float>(d));
  const T* q = static_cast<const T*>(job.q) + begin * job.q_stride + head * d;
  T* result = static_cast<T*>(job.out) + begin * job.out_stride + head * d;

  float *scores = scratch + at.scores, *out = scratch + at.out;
  float *largest = scratch + at.largest, *sum = scratch + at.sum;
  T* queries = reinterpret_cast<T*>(scratch + at.queries);
  T* p = reinterpret_cast<T*>(scratch + at.probabilities);

  prefetch_rows(q, job.q_stride, queries_count, d);
  for (int64_t i = 0; i < queries_count; ++i) largest[i] = -__builtin_inff(), sum[i] = 0;

  for (int64_t s0 = 0; s0 < job.S; s0 += kKeys) {
    const int64_t keys = min(kKeys, job.S - s0);
    const uint32_t* key_panels = static_cast<const uint32_t*>(panels) + in.block(s0);
    const uint32_t* value_panels = key_panels + in.keys(keys);
    for_blocks<T>(0, queries_count, [&](int64_t t, int64_t rows) {
      const T* x = q + t * job.q_stride;
      int64_t x_stride = job.q_stride;
      if (d % kPerUnit<T>) {
        copy_queries(x, x_stride, rows, d, queries);
        x = queries;
        x_stride = in.d_units * kPerUnit<T>;
      }
      multiply_panels(rows, x, x_stride, key_panels, in.d_units, keys, scores, kKeys, false);
      softmax_block<T>({.scores = scores,
                        .scores_stride = kKeys,
                        .rows = rows,
                        .keys = keys,
                        .factor = factor,
                        .p = p,
                        .p_stride = kKeys,
                        .largest = largest + t,
                        .sum = sum + t,
                        .out = out + t * columns,
                        .out_stride = columns,
                        .out_columns = columns});
      multiply_panels(rows, p, kKeys, value_panels, units<T>(keys), columns, out + t * columns, columns,
                      s0 > 0);
    });
  }

  normalize_rows(out, columns, sum, queries_count, d, result, job.out_stride);
}

}  // namespace tstitch::cpu::TSTITCH_ISA
