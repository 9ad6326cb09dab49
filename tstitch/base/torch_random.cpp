#include "tstitch/base/torch_random.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>
#include <utility>

#include "tstitch/base/philox.h"

namespace tstitch {
namespace {

// ---- The functions of the vectorised transform: those of the Cephes library (S. Moshier, single/logf.c and
// single/sinf.c), without a branch per element. A product that is added to something is fused with that sum,
// as the compiler of PyTorch's binaries does; where both summands are products, the first one.

// c[0] x^(N-1) + ... + c[N-1]
template <size_t N>
float polynomial(const float (&c)[N], float x) {
  float y = c[0];
  for (size_t i = 1; i < N; ++i) y = std::fma(y, x, c[i]);
  return y;
}

// For 0 < x <= 1, not denormal.
float cephes_log(float x) {
  constexpr float kCoefficients[] = {7.0376836292e-2f,  -1.1514610310e-1f, 1.1676998740e-1f,
                                     -1.2420140846e-1f, 1.4249322787e-1f,  -1.6668057665e-1f,
                                     2.0000714765e-1f,  -2.4999993993e-1f, 3.3333331174e-1f};
  constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;

  // ---- x = m 2^e, m in [sqrt(1/2), sqrt(2)).
  int e = 0;
  float m = std::frexp(x, &e);
  if (m < std::numbers::sqrt2_v<float> / 2) {
    m += m;
    --e;
  }
  const float r = m - 1, exponent = static_cast<float>(e);

  // ---- log(1 + r) = r - r^2 / 2 + r^3 P(r)
  const float square = r * r;
  float y = std::fma(polynomial(kCoefficients, r) * r, square, exponent * kLn2Low);
  y = std::fma(square, -0.5f, y);
  return std::fma(exponent, kLn2High, r + y);
}

// {sin x, cos x} for 0 <= x < 8192.
std::pair<float, float> cephes_sincos(float x) {
  // ---- The nearest even multiple of pi/4, subtracted in three parts.
  const int octant = (static_cast<int>(x * (4 / std::numbers::pi_v<float>)) + 1) & ~1;
  for (const float part : {0.78515625f, 2.4187564849853515625e-4f, 3.77489497744594108e-8f})
    x = std::fma(static_cast<float>(-octant), part, x);

  // ---- Both functions on [-pi/4, pi/4].
  const float square = x * x;
  const float s = polynomial({-1.9515295891e-4f, 8.3321608736e-3f, -1.6666654611e-1f}, square) * square;
  const float c =
      polynomial({2.443315711809948e-5f, -1.388731625493765e-3f, 4.166664568298827e-2f}, square) * square;
  float sine = std::fma(s, x, x);
  float cosine = std::fma(c, square, square * -0.5f) + 1;

  // ---- Back to the quadrant.
  if (octant & 2) std::swap(sine, cosine);
  return {octant & 4 ? -sine : sine, (octant + 2) & 4 ? -cosine : cosine};
}

}  // namespace

double TorchCpuGenerator::uniform_double() {
  const uint64_t high = engine_(), low = engine_();
  return static_cast<double>((high << 32 | low) & ((uint64_t{1} << 53) - 1)) * 0x1p-53;
}

float TorchCpuGenerator::uniform_float() { return static_cast<float>(engine_() & 0xffffffu) * 0x1p-24f; }

float TorchCpuGenerator::next_normal() {
  if (second_) return static_cast<float>(*std::exchange(second_, std::nullopt));
  const double u1 = uniform_double(), u2 = uniform_double();
  const double radius = std::sqrt(-2 * std::log1p(-u2)), angle = 2 * std::numbers::pi * u1;
  second_ = radius * std::sin(angle);
  return static_cast<float>(radius * std::cos(angle));
}

// Of 16 uniform numbers the first eight become radii, the others angles.
void TorchCpuGenerator::fill_16(std::span<float, 16> out) {
  for (size_t i = 0; i < 8; ++i) {
    const float radius = std::sqrt(-2 * cephes_log(1 - out[i]));
    const auto [sine, cosine] = cephes_sincos(2 * std::numbers::pi_v<float> * out[i + 8]);
    out[i] = radius * cosine + 0.0f;  // the mean, which makes +0 of -0
    out[i + 8] = radius * sine + 0.0f;
  }
}

void TorchCpuGenerator::randn(std::span<float> out) {
  if (out.size() < 16) {
    for (float& x : out) x = next_normal();
    return;
  }
  const auto uniform = [this] { return uniform_float(); };
  std::ranges::generate(out, uniform);
  for (size_t begin = 0; begin + 16 <= out.size(); begin += 16) fill_16(out.subspan(begin).first<16>());
  if (out.size() % 16 == 0) return;
  // A rest is not filled up: the last 16 numbers, most of them done, are drawn again.
  const auto last = out.last<16>();
  std::ranges::generate(last, uniform);
  fill_16(last);
}

// cuRAND (curand_normal.h, _curand_box_muller), with the products fused as CUDA's compiler does.
void torch_cuda_randn(uint64_t seed, uint32_t call, std::span<float> out) {
  constexpr float kUnit = 0x1p-32f, kAngle = 0x1p-32f * 2 * std::numbers::pi_v<float>;
  for (size_t i = 0; i < out.size(); ++i) {
    const PhiloxBlock block = philox({call, 0, static_cast<uint32_t>(i), 0}, seed);
    const float u = std::fma(static_cast<float>(block[0]), kUnit, kUnit / 2);
    const float angle = std::fma(static_cast<float>(block[1]), kAngle, kAngle / 2);
    out[i] = static_cast<float>(std::sqrt(-2 * std::log(double{u})) * std::sin(double{angle}));
  }
}

}  // namespace tstitch
