// Attention of one head for a range of queries, with the online softmax of Milakov and Gimelshein
// (arXiv 1805.02867, Algorithm 3): keys arrive in blocks, and what was summed so far is rescaled whenever the
// largest score grows. Only block_rows x kKeys scores exist at a time.
#pragma once

#include "tstitch/backend/cpu/isa/gemm.inl"

namespace tstitch::cpu::TSTITCH_ISA {

constexpr int64_t kKeys = 256;     // a block of keys: its K and V panels stay in the L2 cache
constexpr int64_t kQueries = 256;  // most queries of a range

// Where the pieces of the scratch memory lie, in units of 4 bytes; each begins on a cache line.
template <class T>
struct AttentionScratch {
  int64_t value_columns;  // d up to whole vectors
  int64_t keys = 0, values, queries, scores, probabilities, out, largest, sum, end;

  explicit AttentionScratch(int64_t d) {
    constexpr int64_t rows = kBlockRows<T>;
    value_columns = round_up(d, kLanes);
    values = keys + round_up(kKeys, kPanelColumns) * units<T>(d);
    queries = values + units<T>(kKeys) * value_columns;
    scores = queries + round_up(rows * units<T>(d), 16);
    probabilities = scores + rows * kKeys;
    out = probabilities + rows * units<T>(kKeys);
    largest = out + kQueries * value_columns;
    sum = largest + kQueries;
    end = sum + kQueries;
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

// p = 2^(factor (score - largest)) for one row of scores; `largest` and `sum` are updated. Returns what
// earlier sums must be multiplied by.
template <class T>
inline float softmax_row(float* scores, int64_t keys, float factor, T* p, float& largest, float& sum) {
  for (int64_t s = keys; s < round_up(keys, kLanes); ++s) scores[s] = -__builtin_inff();
  F largest_lanes = load(scores);
  for (int64_t s = kLanes; s < keys; s += kLanes) largest_lanes = max(largest_lanes, load(scores + s));
  const float new_largest = max_lanes(largest_lanes);
  const float m = new_largest > largest ? new_largest : largest;

  F sum_lanes_of_p = {};
  for (int64_t s = 0; s < keys; s += kLanes) {
    const F e = exp2((load(scores + s) - m) * factor);
    sum_lanes_of_p += e;
    store(p + s, e);
  }
  const float rescale = exp2(splat((largest - m) * factor))[0];
  sum = sum * rescale + sum_lanes(sum_lanes_of_p);
  largest = m;
  return rescale;
}

// SoftmaxBlock (kernels.h), with the probabilities of type T.
template <class T>
void softmax_block(const SoftmaxBlock& block) {
  for (int64_t r = 0; r < block.rows; ++r) {
    const float rescale =
        softmax_row(block.scores + r * block.scores_stride, block.keys, block.factor,
                    static_cast<T*>(block.p) + r * block.p_stride, block.largest[r], block.sum[r]);
    float* out = block.out + r * block.out_stride;
    for (int64_t j = 0; j < block.out_columns; ++j) out[j] *= rescale;
  }
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

template <class T>
void attention(const AttentionJob& job, int64_t head, int64_t begin, int64_t end, float* scratch) {
  const AttentionScratch<T> at(job.d);
  const int64_t d = job.d, d_units = units<T>(d);
  const float factor = 1.44269504f / __builtin_sqrtf(static_cast<float>(d));
  const T* q = static_cast<const T*>(job.q) + head * d;
  const T* k = static_cast<const T*>(job.k) + head * d;
  const T* v = static_cast<const T*>(job.v) + head * d;
  T* result = static_cast<T*>(job.out) + head * d;

  float *scores = scratch + at.scores, *out = scratch + at.out;
  float *largest = scratch + at.largest, *sum = scratch + at.sum;
  auto* key_panels = reinterpret_cast<uint32_t*>(scratch + at.keys);
  auto* value_panels = reinterpret_cast<uint32_t*>(scratch + at.values);
  T* queries = reinterpret_cast<T*>(scratch + at.queries);
  T* p = reinterpret_cast<T*>(scratch + at.probabilities);

  prefetch_rows(q + begin * job.q_stride, job.q_stride, end - begin, d);
  for (int64_t i = 0; i < (end - begin) * at.value_columns; ++i) out[i] = 0;
  for (int64_t i = 0; i < end - begin; ++i) largest[i] = -__builtin_inff(), sum[i] = 0;

  for (int64_t s0 = 0; s0 < job.S; s0 += kKeys) {
    const int64_t keys = min(kKeys, job.S - s0);
    prefetch_rows(k + s0 * job.k_stride, job.k_stride, keys, d);
    prefetch_rows(v + s0 * job.v_stride, job.v_stride, keys, d);
    for (int64_t s = 0; s < keys; s += kPanelColumns)
      pack_panel(k + (s0 + s) * job.k_stride, job.k_stride, min(kPanelColumns, keys - s), d,
                 key_panels + s * d_units);
    pack_values(v + s0 * job.v_stride, job.v_stride, keys, d, value_panels);

    for (int64_t t = begin; t < end; t += kBlockRows<T>) {
      const int64_t rows = min(kBlockRows<T>, end - t);
      const T* x = q + t * job.q_stride;
      int64_t x_stride = job.q_stride;
      if (d % kPerUnit<T>) {
        copy_queries(x, x_stride, rows, d, queries);
        x = queries;
        x_stride = d_units * kPerUnit<T>;
      }
      for (int64_t s = 0; s < keys; s += kPanelColumns)
        multiply_rows<T, kPanelVectors>(rows, x, x_stride,
                                        reinterpret_cast<const U*>(key_panels + s * d_units), d_units,
                                        scores + s, kKeys, false);

      float* block = out + (t - begin) * at.value_columns;
      softmax_block<T>({.scores = scores,
                        .scores_stride = kKeys,
                        .rows = rows,
                        .keys = keys,
                        .factor = factor,
                        .p = p,
                        .p_stride = kKeys,
                        .largest = largest + t - begin,
                        .sum = sum + t - begin,
                        .out = block,
                        .out_stride = at.value_columns,
                        .out_columns = at.value_columns});

      for (int64_t j = 0; j < at.value_columns; j += kPanelColumns) {
        const U* panel = reinterpret_cast<const U*>(value_panels + j * units<T>(keys));
        const auto add = [&](auto multiply) {
          multiply(rows, p, kKeys, panel, units<T>(keys), block + j, at.value_columns, true);
        };
        if (at.value_columns - j >= kPanelColumns)
          add(multiply_rows<T, kPanelVectors>);
        else
          add(multiply_rows<T, 1>);
      }
    }
  }

  normalize_rows(out, at.value_columns, sum, end - begin, d, result + begin * job.out_stride, job.out_stride);
}

}  // namespace tstitch::cpu::TSTITCH_ISA
