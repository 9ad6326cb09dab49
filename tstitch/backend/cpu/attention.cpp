#include "tstitch/backend/cpu/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace tstitch::cpu {
namespace {

constexpr int64_t kKeyBlock = 512;

int64_t round_up(int64_t x, int64_t unit) { return (x + unit - 1) / unit * unit; }

// One head of one image: rows of d elements `stride` apart.
template <class T>
struct Rows {
  const T* first;
  int64_t stride;
  const T* operator[](int64_t i) const { return first + i * stride; }
};

// Scratch of one thread, laid out in one tensor so that it comes from the cache.
template <class T>
struct Scratch {
  static constexpr int64_t kGroup = sizeof(T) == 2 ? 2 : 1;  // elements of K that lie together in a panel

  Scratch(const Kernels& kernels, int64_t keys, int64_t d)
      : padded_d(round_up(d, kGroup)),
        value_width(round_up(d, kernels.panel)),
        padded_keys(round_up(keys, kernels.panel)),
        q({kernels.most_rows, padded_d}, DTypeOf<T>::value),
        k({padded_keys, padded_d}, DTypeOf<T>::value),
        v({padded_keys, value_width}, DTypeOf<T>::value),
        p({kernels.most_rows, kKeyBlock}, DTypeOf<T>::value),
        scores({kernels.most_rows, kKeyBlock}, DType::f32),
        partial({kernels.most_rows, value_width}, DType::f32),
        sum({kernels.most_rows, value_width}, DType::f32) {}

  int64_t padded_d, value_width, padded_keys;
  Tensor q, k, v, p, scores, partial, sum;
};

// k^T: a panel of keys after the other, [keys / panel][d / group][panel][group].
template <class T>
void pack_keys(const Rows<T>& k, int64_t S, int64_t d, int64_t panel, Scratch<T>& s) {
  constexpr int64_t G = Scratch<T>::kGroup;
  T* out = s.k.template data<T>();
  std::memset(out, 0, static_cast<size_t>(s.padded_keys * s.padded_d) * sizeof(T));
  for (int64_t key = 0; key < S; ++key) {
    T* target = out + key / panel * panel * s.padded_d + key % panel * G;
    const T* row = k[key];
    for (int64_t j = 0; j < d; ++j) target[j / G * panel * G + j % G] = row[j];
  }
}

// v, key block by key block: [blocks][d / panel][keys of the block / group][panel][group].
template <class T>
void pack_values(const Rows<T>& v, int64_t S, int64_t d, int64_t panel, Scratch<T>& s) {
  constexpr int64_t G = Scratch<T>::kGroup;
  T* out = s.v.template data<T>();
  std::memset(out, 0, static_cast<size_t>(s.padded_keys * s.value_width) * sizeof(T));
  for (int64_t key = 0; key < S; ++key) {
    const int64_t block = key / kKeyBlock * kKeyBlock, in_block = key - block;
    const int64_t block_keys = std::min(kKeyBlock, s.padded_keys - block);
    T* target = out + block * s.value_width + in_block / G * panel * G + in_block % G;
    const T* row = v[key];
    for (int64_t j = 0; j < d; ++j) target[j / panel * block_keys * panel + j % panel * G] = row[j];
  }
}

void product(const Kernels& kernels, int64_t rows, int64_t columns, int64_t K, const float* a, int64_t stride,
             const float* panel, float* out, int64_t out_stride) {
  kernels.product_f32(rows, columns, K, a, stride, panel, {}, out, out_stride);
}

void product(const Kernels& kernels, int64_t rows, int64_t columns, int64_t K, const bfloat16* a, int64_t stride,
             const bfloat16* panel, float* out, int64_t out_stride) {
  kernels.product_bf16(rows, columns, K, reinterpret_cast<const uint16_t*>(a), stride,
                       reinterpret_cast<const uint16_t*>(panel), {}, out, out_stride);
}

// Rows first .. first + rows - 1 of the queries of one head.
template <class T>
void query_block(const Kernels& kernels, const Rows<T>& q, int64_t first, int64_t rows, int64_t S, int64_t d, Scratch<T>& s,
                 T* out, int64_t out_stride) {
  constexpr bool kBf16 = sizeof(T) == 2;
  const int64_t panel = kernels.panel;
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(d)));
  T* queries = s.q.template data<T>();
  std::memset(queries, 0, static_cast<size_t>(rows * s.padded_d) * sizeof(T));
  for (int64_t i = 0; i < rows; ++i) std::memcpy(queries + i * s.padded_d, q[first + i], static_cast<size_t>(d) * sizeof(T));

  float largest[32], total[32];
  std::fill_n(largest, rows, -3.4e38f);
  std::fill_n(total, rows, 0.0f);
  float* sum = s.sum.template data<float>();
  std::memset(sum, 0, static_cast<size_t>(rows * s.value_width) * sizeof(float));
  float *scores = s.scores.template data<float>(), *partial = s.partial.template data<float>();
  T* p = s.p.template data<T>();

  for (int64_t block = 0; block < S; block += kKeyBlock) {
    const int64_t keys = std::min(kKeyBlock, S - block), padded = std::min(kKeyBlock, s.padded_keys - block);
    for (int64_t key = 0; key < padded; key += panel)
      product(kernels, rows, panel, s.padded_d, queries, s.padded_d,
              s.k.template data<T>() + (block + key) * s.padded_d, scores + key, kKeyBlock);
    float corrections[32];
    for (int64_t i = 0; i < rows; ++i)
      corrections[i] = kernels.softmax_block(keys, padded, scores + i * kKeyBlock, scale, &largest[i], &total[i],
                                             p + i * kKeyBlock, kBf16);
    for (int64_t j = 0; j < s.value_width; j += panel)
      product(kernels, rows, panel, padded, p, kKeyBlock,
              s.v.template data<T>() + block * s.value_width + j * padded, partial + j, s.value_width);
    for (int64_t i = 0; i < rows; ++i)
      kernels.scale_add(d, corrections[i], sum + i * s.value_width, partial + i * s.value_width);
  }
  for (int64_t i = 0; i < rows; ++i)
    kernels.scale_store(d, 1 / total[i], sum + i * s.value_width, out + (first + i) * out_stride, kBf16);
}

template <class T>
void attention_of(const Kernels& kernels, int threads, const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads,
                  Tensor& out) {
  const int64_t N = q.extent(0), Tq = q.extent(1), S = k.extent(1), d = q.extent(2) / heads, R = kernels.most_rows;
  // Few heads: their queries are shared out too, and each share packs the keys again.
  const int64_t blocks = (Tq + R - 1) / R;
  const int64_t shares = N * heads >= 4 * threads ? 1 : std::min<int64_t>(blocks, (4 * threads + N * heads - 1) / (N * heads));
#pragma omp parallel num_threads(threads)
  {
    Scratch<T> scratch(kernels, S, d);
#pragma omp for schedule(dynamic)
    for (int64_t task = 0; task < N * heads * shares; ++task) {
      const int64_t n = task / (heads * shares), h = task / shares % heads, share = task % shares;
      const Rows<T> queries{q.data<T>() + n * Tq * q.row_stride() + h * d, q.row_stride()};
      const Rows<T> keys{k.data<T>() + n * S * k.row_stride() + h * d, k.row_stride()};
      const Rows<T> values{v.data<T>() + n * S * v.row_stride() + h * d, v.row_stride()};
      pack_keys(keys, S, d, kernels.panel, scratch);
      pack_values(values, S, d, kernels.panel, scratch);
      T* target = out.data<T>() + n * Tq * out.row_stride() + h * d;
      for (int64_t block = blocks * share / shares; block < blocks * (share + 1) / shares; ++block)
        query_block(kernels, queries, block * R, std::min(R, Tq - block * R), S, d, scratch, target, out.row_stride());
    }
  }
}

}  // namespace

void attention(const Kernels& kernels, int threads, const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads,
               Tensor& out) {
  if (q.dtype() == DType::bf16)
    attention_of<bfloat16>(kernels, threads, q, k, v, heads, out);
  else
    attention_of<float>(kernels, threads, q, k, v, heads, out);
}

}  // namespace tstitch::cpu
