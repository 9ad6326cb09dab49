// One vector register of f32 and the few operations the kernels need, for the processor this file is compiled
// for. Everything here is inside the namespace of that processor, and no standard header with inline
// functions is included: a copy of such a function compiled for AVX-512 could be the one the linker keeps for
// everybody.
//
// A "unit" is 32 bits along the summed dimension: one f32, two bf16, or as many of 8-bit numbers as their x
// needs (kernels.h). Operands of matrix products are arrays of units, so that one layout and one kernel serve
// all types.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace tstitch::cpu::TSTITCH_ISA {

#if defined(__AVX512F__)
constexpr int64_t kLanes = 16;
#elif defined(__AVX2__)
constexpr int64_t kLanes = 8;
#else
constexpr int64_t kLanes = 4;
#endif

using F = float __attribute__((vector_size(4 * kLanes)));
using U = uint32_t __attribute__((vector_size(4 * kLanes)));
using I = int32_t __attribute__((vector_size(4 * kLanes)));
using Halves = uint16_t __attribute__((vector_size(2 * kLanes)));

using f32 = float;
struct bf16 {
  uint16_t bits;
};

// An x of int8 products. Two products of bytes need more than the 16 bits that vpmaddubsw sums them in, so
// without VNNI they are products of 16 bits (vpmaddwd); SSE2 emulates VNNI's.
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__) || !defined(__AVX2__)
struct q8 {
  uint8_t value;
};
constexpr bool kBesideZero = true;
#else
struct q8 {
  int16_t value;  // less the zero
};
constexpr bool kBesideZero = false;
#endif

template <class T>
constexpr int64_t kPerUnit = 4 / static_cast<int64_t>(sizeof(T));

template <class T>
inline int64_t units(int64_t elements) {
  return (elements + kPerUnit<T> - 1) / kPerUnit<T>;
}

constexpr int64_t round_up(int64_t x, int64_t multiple) { return (x + multiple - 1) / multiple * multiple; }
inline int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }

template <class To, class From>
inline To bit_cast(From x) {
  static_assert(sizeof(To) == sizeof(From));
  To y;
  __builtin_memcpy(&y, &x, sizeof y);
  return y;
}

inline F splat(float x) { return F{} + x; }
inline U splat(uint32_t x) { return U{} + x; }

#if defined(__AVX512F__)
inline F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
// b when one is NaN. (g++ 12 warns of the undefined operand inside the forms without mask.)
inline F max(F a, F b) { return _mm512_maskz_max_ps(0xffff, a, b); }
inline F min(F a, F b) { return _mm512_maskz_min_ps(0xffff, a, b); }
#elif defined(__AVX2__)
inline F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
inline F max(F a, F b) { return _mm256_max_ps(a, b); }
inline F min(F a, F b) { return _mm256_min_ps(a, b); }
#else
inline F fma(F a, F b, F c) { return a * b + c; }
inline F max(F a, F b) { return _mm_max_ps(a, b); }
inline F min(F a, F b) { return _mm_min_ps(a, b); }
#endif

template <class V>
inline V load_raw(const void* p) {
  V x;
  __builtin_memcpy(&x, p, sizeof x);
  return x;
}

// Vector i of a panel, as units.
template <class T>
inline U load_units(const void* panel, int64_t i) {
  const auto* bytes = static_cast<const char*>(panel);
  if constexpr (sizeof(T) == 2 && !kBesideZero)
    if constexpr (__is_same(T, q8)) {
      using Bytes = int8_t __attribute__((vector_size(2 * kLanes)));
      using Words = int16_t __attribute__((vector_size(4 * kLanes)));
      return bit_cast<U>(
          __builtin_convertvector(load_raw<Bytes>(bytes + i * static_cast<int64_t>(sizeof(Bytes))), Words));
    }
  return load_raw<U>(bytes + i * static_cast<int64_t>(sizeof(U)));
}

inline F load(const f32* p) { return load_raw<F>(p); }
inline F load(const bf16* p) { return bit_cast<F>(__builtin_convertvector(load_raw<Halves>(p), U) << 16); }

inline void store(f32* p, F x) { __builtin_memcpy(p, &x, sizeof x); }
// Rounds to nearest, ties to even; NaN stays NaN.
inline void store(bf16* p, F x) {
#if defined(__AVX512BF16__)
  const auto rounded = _mm512_cvtneps_pbh(x);
#else
  const U bits = bit_cast<U>(x);
  const U is_nan = bit_cast<U>(x != x);
  const U upper = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const Halves rounded = __builtin_convertvector((upper & ~is_nan) | (0x7fc0u & is_nan), Halves);
#endif
  __builtin_memcpy(p, &rounded, sizeof rounded);
}

// x and the vector after it.
inline void store_pair(f32* p, F x, F next) {
  store(p, x);
  store(p + kLanes, next);
}
inline void store_pair(bf16* p, F x, F next) {
#if defined(__AVX512BF16__)
  const auto rounded = _mm512_cvtne2ps_pbh(next, x);
  __builtin_memcpy(p, &rounded, sizeof rounded);
#else
  store(p, x);
  store(p + kLanes, next);
#endif
}

// The first `count` < kLanes elements; the others are read as 0 and not written.
template <class T>
inline F load_some(const T* p, int64_t count) {
  T all[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) all[i] = p[i];
  return load(all);
}
template <class T, class V>
inline void store_some(T* p, V x, int64_t count) {
  T all[kLanes];
  store(all, x);
  for (int64_t i = 0; i < count; ++i) p[i] = all[i];
}

// f(lane offset, load, store) over a row: whole vectors, then the tail.
template <class Body>
inline void for_row(int64_t columns, const Body& body) {
  int64_t j = 0;
  for (; j + kLanes <= columns; j += kLanes)
    body([j](const auto* p) { return load(p + j); }, [j](auto* p, auto x) { store(p + j, x); });
  if (j == columns) return;
  const int64_t rest = columns - j;
  body([=](const auto* p) { return load_some(p + j, rest); },
       [=](auto* p, auto x) { store_some(p + j, x, rest); });
}

// Over the lanes, halving: lane i with lane i + n / 2.
template <int64_t n>
struct Lanes {
  using type __attribute__((vector_size(4 * n))) = float;
};
template <int64_t n = kLanes, class Fold>
inline float fold_lanes(const typename Lanes<n>::type& x, const Fold& fold) {
  if constexpr (n == 1) {
    return x[0];
  } else {
    typename Lanes<n / 2>::type half[2];
    __builtin_memcpy(half, &x, sizeof half);
    return fold_lanes<n / 2>(fold(half[0], half[1]), fold);
  }
}
inline float sum_lanes(F x) {
  return fold_lanes(x, [](auto a, auto b) { return a + b; });
}
inline float max_lanes(F x) {
  return fold_lanes(x, [](auto a, auto b) { return a > b ? a : b; });
}

// sum + a b over the elements of a unit: a fixed order, the even element first.
inline F multiply_add(F sum, U a, U b, f32) { return fma(bit_cast<F>(a), bit_cast<F>(b), sum); }
inline F multiply_add(F sum, U a, U b, bf16) {
#if defined(__AVX512BF16__)
  return _mm512_dpbf16_ps(sum, bit_cast<__m512bh>(a), bit_cast<__m512bh>(b));
#else
  sum = fma(bit_cast<F>(a << 16), bit_cast<F>(b << 16), sum);
  return fma(bit_cast<F>(a & 0xffff0000u), bit_cast<F>(b & 0xffff0000u), sum);
#endif
}

// The same of 8-bit numbers: a holds x, b weights (load_units). The one place that knows the instruction.
inline I multiply_add(I sum, U a, U b, q8) {
#if defined(__AVX512VNNI__)
  return bit_cast<I>(_mm512_dpbusd_epi32(bit_cast<__m512i>(sum), bit_cast<__m512i>(a), bit_cast<__m512i>(b)));
#elif defined(__AVXVNNI__)
  return bit_cast<I>(
      _mm256_dpbusd_avx_epi32(bit_cast<__m256i>(sum), bit_cast<__m256i>(a), bit_cast<__m256i>(b)));
#elif defined(__AVX512F__)
  return sum + bit_cast<I>(_mm512_madd_epi16(bit_cast<__m512i>(a), bit_cast<__m512i>(b)));
#elif defined(__AVX2__)
  // In place: g++ 12 would copy every sum, which costs a sixth of the time.
  const __m256i products = _mm256_madd_epi16(bit_cast<__m256i>(a), bit_cast<__m256i>(b));
  asm("vpaddd %1, %0, %0" : "+x"(sum) : "x"(products));
  return sum;
#else
  const auto x = bit_cast<__m128i>(a), w = bit_cast<__m128i>(b), zero = _mm_setzero_si128();
  const auto sign = _mm_cmpgt_epi8(zero, w);
  const __m128i low = _mm_madd_epi16(_mm_unpacklo_epi8(x, zero), _mm_unpacklo_epi8(w, sign));
  const __m128i high = _mm_madd_epi16(_mm_unpackhi_epi8(x, zero), _mm_unpackhi_epi8(w, sign));
  // Sums of pairs: of units 0 and 1, of units 2 and 3.
  const auto even = _mm_shuffle_ps(bit_cast<__m128>(low), bit_cast<__m128>(high), 0x88);
  const auto odd = _mm_shuffle_ps(bit_cast<__m128>(low), bit_cast<__m128>(high), 0xdd);
  return sum + bit_cast<I>(even) + bit_cast<I>(odd);
#endif
}

// The nearest whole numbers, ties to even.
inline I round_to_int(F x) {
#if defined(__AVX512F__)
  return bit_cast<I>(_mm512_maskz_cvtps_epi32(0xffff, x));
#elif defined(__AVX2__)
  return bit_cast<I>(_mm256_cvtps_epi32(x));
#else
  return bit_cast<I>(_mm_cvtps_epi32(x));
#endif
}
inline F to_float(I x) { return __builtin_convertvector(x, F); }

// What an x stands for in int8 products: a multiple of a step, and a zero.
struct Quantizer {
  float inverse;
  int32_t zero;

  I operator()(F x) const {
    I q = round_to_int(x * inverse) + zero;
    q = q < 0 ? I{} : q;
    q = q > 255 ? I{} + 255 : q;
    return kBesideZero ? q : q - zero;
  }
};
inline void store(q8* p, I x) {
  using Narrow = decltype(q8::value) __attribute__((vector_size(sizeof(q8) * kLanes)));
  const auto narrow = __builtin_convertvector(x, Narrow);
  __builtin_memcpy(p, &narrow, sizeof narrow);
}

// 2^f for |f| <= 1/2 by its series in f ln 2 economised on that interval (minimax, degree 6); relative error
// below 2e-7.
inline F exp2_near_0(F f) {
  F p = splat(1.5403530393e-4f);
  p = fma(p, f, splat(1.3333558146e-3f));
  p = fma(p, f, splat(9.6181291076e-3f));
  p = fma(p, f, splat(5.5504108665e-2f));
  p = fma(p, f, splat(2.4022650696e-1f));
  p = fma(p, f, splat(6.9314718056e-1f));
  return fma(p, f, splat(1.f));
}

// 2^x for x clamped to -125 ... 127. x = n + f with n whole and |f| <= 1/2; n is added to the exponent. NaN
// stays NaN.
inline F exp2(F x) {
  const F magic = splat(12582912.f);  // 1.5 * 2^23: adding it leaves round(x) in the low bits
  x = min(splat(127.f), max(splat(-125.f), x));
  const F shifted = x + magic;
  const F p = exp2_near_0(x - (shifted - magic));
  return bit_cast<F>(bit_cast<U>(p) + (bit_cast<U>(shifted) << 23));
}

// 2^x for x <= 0 as weights of type T have it. Those of bf16 may be wrong by 8e-5, a fiftieth of what their
// rounding adds: of the cubic of least relative error on 0 ... 1.
#if defined(__AVX512F__)
inline F exp2_as(F x, f32) {
  const F f = _mm512_maskz_reduce_ps(0xffff, x, _MM_FROUND_TO_NEAREST_INT);
  return _mm512_maskz_scalef_ps(0xffff, exp2_near_0(f), x - f);
}
inline F exp2_as(F x, bf16) {
  const F f = _mm512_maskz_reduce_ps(0xffff, x, _MM_FROUND_TO_NEG_INF);
  F p = splat(7.8024521e-2f);
  p = fma(p, f, splat(2.2606716e-1f));
  p = fma(p, f, splat(6.9583354e-1f));
  p = fma(p, f, splat(9.9992522e-1f));
  return _mm512_maskz_scalef_ps(0xffff, p, x);
}
#else
template <class T>
inline F exp2_as(F x, T) {
  return exp2(x);
}
#endif

// x / (1 + exp(-x))
inline F silu(F x) { return x / (1.f + exp2(x * -1.44269504f)); }

// x / (1 + exp(-1.702 x))
inline F quick_gelu(F x) { return x / (1.f + exp2(x * (-1.702f * 1.44269504f))); }

inline F relu(F x) { return max(F{}, x); }  // NaN stays NaN

// x (1 + erf(x / sqrt(2))) / 2 = max(x, 0) - |x| q, q = erfc(|x| / sqrt(2)) / 2 by Abramowitz & Stegun 7.1.26
// with the half in its coefficients: absolute error below 2e-7 |x|, and no cancellation below zero.
inline F gelu_erf(F x) {
  const F size = bit_cast<F>(bit_cast<U>(x) & 0x7fffffffu);
  const F t = 1.f / fma(size, splat(0.3275911f * 0.70710678f), splat(1.f));
  F q = splat(0.5f * 1.061405429f);
  q = fma(q, t, splat(0.5f * -1.453152027f));
  q = fma(q, t, splat(0.5f * 1.421413741f));
  q = fma(q, t, splat(0.5f * -0.284496736f));
  q = fma(q, t, splat(0.5f * 0.254829592f));
  return relu(x) - size * (q * t * exp2(x * x * -0.72134752f));
}

// 0.5 x (1 + tanh(y)) = x / (1 + exp(-2 y)), y = sqrt(2/pi) (x + 0.044715 x^3); log2(e) folded in.
inline F gelu_tanh(F x) { return x / (1.f + exp2(x * fma(x * x, splat(-0.10294324f), splat(-2.30220820f)))); }

}  // namespace tstitch::cpu::TSTITCH_ISA
