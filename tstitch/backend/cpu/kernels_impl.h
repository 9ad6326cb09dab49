// The source of the kernels. Included by one file per instruction set, which defines TSTITCH_ISA, the namespace, and
// TSTITCH_WIDTH, the floats of a vector. GCC and Clang vector extensions: the compiler picks the instructions.
#include <stdint.h>
#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#include "tstitch/backend/cpu/kernels.h"

namespace tstitch::cpu::TSTITCH_ISA {
namespace {

constexpr int W = TSTITCH_WIDTH;                 // floats per vector
constexpr int NR = 2 * W;                        // columns of a panel
constexpr int MR = W == 16 ? 14 : W == 8 ? 6 : 4;  // rows of a block: 2 MR sums, 2 weights and 1 input in registers

typedef float Vf __attribute__((vector_size(W * 4)));
typedef int32_t Vi __attribute__((vector_size(W * 4)));
typedef uint32_t Vu __attribute__((vector_size(W * 4)));
typedef uint16_t Vh __attribute__((vector_size(W * 2)));
typedef float VfAny __attribute__((vector_size(W * 4), aligned(4), may_alias));     // at any address
typedef uint32_t VuAny __attribute__((vector_size(W * 4), aligned(2), may_alias));
typedef uint16_t VhAny __attribute__((vector_size(W * 2), aligned(2), may_alias));
typedef uint32_t UintAny __attribute__((aligned(2), may_alias));

inline Vf load(const float* p) { return *reinterpret_cast<const VfAny*>(p); }
inline void store(float* p, Vf x) { *reinterpret_cast<VfAny*>(p) = x; }
inline Vf splat(float x) { return x - Vf{}; }

inline Vf widen(Vh x) { return reinterpret_cast<Vf>(__builtin_convertvector(x, Vu) << 16); }

// Round to nearest even; NaN stays NaN.
inline Vh narrow(Vf x) {
#if defined(__AVX512BF16__)
  return reinterpret_cast<Vh>(_mm512_cvtneps_pbh(reinterpret_cast<__m512>(x)));
#else
  const Vu bits = reinterpret_cast<Vu>(x);
  const Vu rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const Vu is_nan = reinterpret_cast<Vu>(x != x);
  return __builtin_convertvector((rounded & ~is_nan) | (0x7fc0u & is_nan), Vh);
#endif
}

inline void store_half(uint16_t* p, Vf x) { *reinterpret_cast<VhAny*>(p) = narrow(x); }
inline Vf load_half(const uint16_t* p) { return widen(*reinterpret_cast<const VhAny*>(p)); }

inline float add_up(Vf x) {
  float sum = 0;
  for (int i = 0; i < W; ++i) sum += x[i];
  return sum;
}

inline Vf select(Vi mask, Vf yes, Vf no) {
  return reinterpret_cast<Vf>((mask & reinterpret_cast<Vi>(yes)) | (~mask & reinterpret_cast<Vi>(no)));
}
inline Vf at_most(Vf x, float limit) { return select(x < splat(limit), x, splat(limit)); }
inline Vf at_least(Vf x, float limit) { return select(x > splat(limit), x, splat(limit)); }

// exp(x) = 2^n 2^f, n = round(x / ln 2), |f| <= 1/2; the polynomial is the Taylor series of 2^f to degree 7: relative
// error below 2e-7.
inline Vf exponential(Vf x) {
  const Vf scaled = at_least(at_most(x, 88.0f), -87.0f) * 1.44269504f;
  const Vf magic = splat(12582912.0f);  // 1.5 2^23: adding it rounds to an integer
  const Vf n = (scaled + magic) - magic;
  // f in two parts, so that its absolute error stays below half a unit of 2^f.
  const Vf clamped = at_least(at_most(x, 88.0f), -87.0f);
  const Vf r = (clamped - n * 0.693145752f) - n * 1.42860677e-6f;  // x - n ln 2
  Vf y = splat(1.0f / 5040);
  y = y * r + 1.0f / 720;
  y = y * r + 1.0f / 120;
  y = y * r + 1.0f / 24;
  y = y * r + 1.0f / 6;
  y = y * r + 0.5f;
  y = y * r + 1.0f;
  y = y * r + 1.0f;
  const Vi exponent = (__builtin_convertvector(n, Vi) + 127) << 23;
  return y * reinterpret_cast<Vf>(exponent);
}

inline Vf silu_of(Vf x) { return x / (1.0f + exponential(-x)); }
// 0.5 x (1 + tanh(u)) = x / (1 + exp(-2 u)), u = sqrt(2 / pi) (x + 0.044715 x^3)
inline Vf gelu_of(Vf x) { return x / (1.0f + exponential(x * (-1.595769122f - 0.0713548163f * (x * x)))); }

inline Vf finish(Vf x, int64_t column, const Epilogue& e) {
  if (e.bias) x += load(e.bias + column);
  if (e.kind == Epilogue::Kind::gelu_tanh) return gelu_of(x);
  if (e.kind == Epilogue::Kind::silu) return silu_of(x);
  return x;
}

// Stores R x NR sums through the epilogue.
template <int R>
inline void store_block(const Vf (&sums)[R][2], int64_t columns, const Epilogue& e, void* out, int64_t out_stride) {
  for (int i = 0; i < R; ++i) {
    Vf x[2] = {finish(sums[i][0], 0, e), finish(sums[i][1], W, e)};
    if (columns == NR) {
      if (e.store_bf16) {
        uint16_t* row = static_cast<uint16_t*>(out) + i * out_stride;
        store_half(row, x[0]);
        store_half(row + W, x[1]);
      } else {
        float* row = static_cast<float*>(out) + i * out_stride;
        if (e.kind == Epilogue::Kind::add_gated) {
          x[0] = load(row) + load(e.gate) * x[0];
          x[1] = load(row + W) + load(e.gate + W) * x[1];
        }
        store(row, x[0]);
        store(row + W, x[1]);
      }
      continue;
    }
    for (int64_t j = 0; j < columns; ++j) {
      const float value = x[j / W][j % W];
      if (e.store_bf16) {
        static_cast<uint16_t*>(out)[i * out_stride + j] = narrow(splat(value))[0];
      } else {
        float& target = static_cast<float*>(out)[i * out_stride + j];
        target = e.kind == Epilogue::Kind::add_gated ? target + e.gate[j] * value : value;
      }
    }
  }
}

template <int R>
void block_f32(int64_t columns, int64_t K, const float* a, int64_t a_stride, const float* panel, const Epilogue& e,
               void* out, int64_t out_stride) {
  Vf sums[R][2] = {};
  for (int64_t k = 0; k < K; ++k) {
    const Vf w0 = load(panel + k * NR), w1 = load(panel + k * NR + W);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      const Vf x = splat(a[i * a_stride + k]);
      sums[i][0] += x * w0;
      sums[i][1] += x * w1;
    }
  }
  store_block<R>(sums, columns, e, out, out_stride);
}

#if defined(__AVX512BF16__)
inline Vf dot_pairs(Vf sum, uint32_t x, Vu w) {
  return reinterpret_cast<Vf>(_mm512_dpbf16_ps(reinterpret_cast<__m512>(sum), (__m512bh)_mm512_set1_epi32((int)x),
                                               (__m512bh)w));
}
#endif

template <int R>
void block_bf16(int64_t columns, int64_t K, const uint16_t* a, int64_t a_stride, const uint16_t* panel,
                const Epilogue& e, void* out, int64_t out_stride) {
  Vf sums[R][2] = {};
  for (int64_t k = 0; k < K; k += 2) {
    const Vu w0 = *reinterpret_cast<const VuAny*>(panel + k * NR);
    const Vu w1 = *reinterpret_cast<const VuAny*>(panel + k * NR + 2 * W);
#if defined(__AVX512BF16__)
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      const uint32_t x = *reinterpret_cast<const UintAny*>(a + i * a_stride + k);
      sums[i][0] = dot_pairs(sums[i][0], x, w0);
      sums[i][1] = dot_pairs(sums[i][1], x, w1);
    }
#else
    // A pair is widened in its register: the even element is the low half, the odd one the high half.
    const Vf even0 = reinterpret_cast<Vf>(w0 << 16), odd0 = reinterpret_cast<Vf>(w0 & 0xffff0000u);
    const Vf even1 = reinterpret_cast<Vf>(w1 << 16), odd1 = reinterpret_cast<Vf>(w1 & 0xffff0000u);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      const uint32_t x = *reinterpret_cast<const UintAny*>(a + i * a_stride + k);
      const Vf even = reinterpret_cast<Vf>((x - Vu{}) << 16), odd = reinterpret_cast<Vf>((x - Vu{}) & 0xffff0000u);
      sums[i][0] += even * even0;
      sums[i][1] += even * even1;
      sums[i][0] += odd * odd0;
      sums[i][1] += odd * odd1;
    }
#endif
  }
  store_block<R>(sums, columns, e, out, out_stride);
}

using BlockF32 = void (*)(int64_t, int64_t, const float*, int64_t, const float*, const Epilogue&, void*, int64_t);
using BlockBf16 = void (*)(int64_t, int64_t, const uint16_t*, int64_t, const uint16_t*, const Epilogue&, void*, int64_t);

#if TSTITCH_WIDTH == 16
constexpr BlockF32 kBlocksF32[MR] = {block_f32<1>, block_f32<2>,  block_f32<3>,  block_f32<4>,  block_f32<5>,
                                     block_f32<6>, block_f32<7>,  block_f32<8>,  block_f32<9>,  block_f32<10>,
                                     block_f32<11>, block_f32<12>, block_f32<13>, block_f32<14>};
constexpr BlockBf16 kBlocksBf16[MR] = {block_bf16<1>, block_bf16<2>,  block_bf16<3>,  block_bf16<4>,  block_bf16<5>,
                                       block_bf16<6>, block_bf16<7>,  block_bf16<8>,  block_bf16<9>,  block_bf16<10>,
                                       block_bf16<11>, block_bf16<12>, block_bf16<13>, block_bf16<14>};
#elif TSTITCH_WIDTH == 8
constexpr BlockF32 kBlocksF32[MR] = {block_f32<1>, block_f32<2>, block_f32<3>, block_f32<4>, block_f32<5>, block_f32<6>};
constexpr BlockBf16 kBlocksBf16[MR] = {block_bf16<1>, block_bf16<2>, block_bf16<3>,
                                       block_bf16<4>, block_bf16<5>, block_bf16<6>};
#else
constexpr BlockF32 kBlocksF32[MR] = {block_f32<1>, block_f32<2>, block_f32<3>, block_f32<4>};
constexpr BlockBf16 kBlocksBf16[MR] = {block_bf16<1>, block_bf16<2>, block_bf16<3>, block_bf16<4>};
#endif

void product_f32(int64_t rows, int64_t columns, int64_t K, const float* a, int64_t a_stride, const float* panel,
                 const Epilogue& epilogue, void* out, int64_t out_stride) {
  kBlocksF32[rows - 1](columns, K, a, a_stride, panel, epilogue, out, out_stride);
}

void product_bf16(int64_t rows, int64_t columns, int64_t K, const uint16_t* a, int64_t a_stride, const uint16_t* panel,
                  const Epilogue& epilogue, void* out, int64_t out_stride) {
  kBlocksBf16[rows - 1](columns, K, a, a_stride, panel, epilogue, out, out_stride);
}

// f(i, width) over n elements: vectors, then the rest one by one through a padded vector.
template <class F>
inline void for_vectors(int64_t n, const F& f) {
  int64_t i = 0;
  for (; i + W <= n; i += W) f(i, W);
  if (i < n) f(i, static_cast<int>(n - i));
}

inline Vf load_part(const float* p, int width, float otherwise = 0) {
  if (width == W) return load(p);
  Vf x = splat(otherwise);
  for (int i = 0; i < width; ++i) x[i] = p[i];
  return x;
}

inline void store_part(float* p, Vf x, int width) {
  if (width == W) return store(p, x);
  for (int i = 0; i < width; ++i) p[i] = x[i];
}

inline void store_part(uint16_t* p, Vf x, int width) {
  if (width == W) return store_half(p, x);
  const Vh half = narrow(x);
  for (int i = 0; i < width; ++i) p[i] = half[i];
}

inline void store_part(void* out, int64_t i, Vf x, int width, bool bf16) {
  if (bf16)
    store_part(static_cast<uint16_t*>(out) + i, x, width);
  else
    store_part(static_cast<float*>(out) + i, x, width);
}

void modulated_norm(int64_t D, const float* x, const float* shift, const float* scale, double eps, void* out,
                    bool store_bf16) {
  Vf sum = {};
  for_vectors(D, [&](int64_t i, int width) { sum += load_part(x + i, width); });
  const float mean = add_up(sum) / static_cast<float>(D);
  Vf squares = {};
  for_vectors(D, [&](int64_t i, int width) {
    const Vf d = load_part(x + i, width, mean) - mean;
    squares += d * d;
  });
  const float variance = add_up(squares) / static_cast<float>(D);
  const float inverse = 1.0f / __builtin_sqrtf(variance + static_cast<float>(eps));
  for_vectors(D, [&](int64_t i, int width) {
    const Vf normalized = (load_part(x + i, width) - mean) * inverse;
    store_part(out, i, normalized * (1.0f + load_part(scale + i, width)) + load_part(shift + i, width), width, store_bf16);
  });
}

float softmax_block(int64_t count, int64_t padded, const float* scores, float scale, float* largest, float* sum, void* p,
                    bool store_bf16) {
  constexpr float kLowest = -3.4e38f;
  Vf most = splat(kLowest);
  for_vectors(count, [&](int64_t i, int width) {
    const Vf s = load_part(scores + i, width, kLowest);
    most = select(s > most, s, most);
  });
  float now = *largest;
  for (int i = 0; i < W; ++i) now = most[i] > now ? most[i] : now;

  Vf total = {};
  for_vectors(count, [&](int64_t i, int width) {
    Vf e = exponential((load_part(scores + i, width, kLowest) - now) * scale);
    if (width < W)
      for (int j = width; j < W; ++j) e[j] = 0;
    total += e;
    store_part(p, i, e, width, store_bf16);
  });
  for (int64_t i = count; i < padded; ++i) {
    if (store_bf16)
      static_cast<uint16_t*>(p)[i] = 0;
    else
      static_cast<float*>(p)[i] = 0;
  }
  const float correction = exponential(splat((*largest - now) * scale))[0];
  *largest = now;
  *sum = *sum * correction + add_up(total);
  return correction;
}

void scale_add(int64_t n, float factor, float* y, const float* x) {
  for_vectors(n, [&](int64_t i, int width) {
    store_part(y + i, load_part(y + i, width) * factor + load_part(x + i, width), width);
  });
}

void scale_store(int64_t n, float factor, const float* x, void* out, bool store_bf16) {
  for_vectors(n, [&](int64_t i, int width) { store_part(out, i, load_part(x + i, width) * factor, width, store_bf16); });
}

void silu(int64_t n, const float* x, float* out) {
  for_vectors(n, [&](int64_t i, int width) { store_part(out + i, silu_of(load_part(x + i, width)), width); });
}

void exp_half(int64_t n, const float* x, float* out) {
  for_vectors(n, [&](int64_t i, int width) { store_part(out + i, exponential(0.5f * load_part(x + i, width)), width); });
}

void to_bf16(int64_t n, const float* x, uint16_t* out) {
  for_vectors(n, [&](int64_t i, int width) { store_part(out + i, load_part(x + i, width), width); });
}

void to_f32(int64_t n, const uint16_t* x, float* out) {
  int64_t i = 0;
  for (; i + W <= n; i += W) store(out + i, load_half(x + i));
  for (; i < n; ++i) {
    Vh one = {};
    one[0] = x[i];
    out[i] = widen(one)[0];
  }
}

constexpr Kernels kKernels = {TSTITCH_ISA_NAME, NR, MR, product_f32, product_bf16, modulated_norm, softmax_block,
                              scale_add, scale_store, silu, exp_half, to_bf16, to_f32};

}  // namespace
}  // namespace tstitch::cpu::TSTITCH_ISA
