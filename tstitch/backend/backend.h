// The contract between tensors and devices: every operation with its formula and its shapes.
//
// N batch, T tokens, D width, H heads, d = D / H, C channels; K inputs and M outputs of a linear map.
// A "row" is the innermost dimension. "(..., K)" stands for any leading dimensions. Activations are
// channels-last. The compute type is f32 or bf16 (`compute_dtype()`); every operation accumulates in f32.
//
// Tensors that go in and out lie in `memory()`, but for those said to be on the host. Only upload and
// download cross between the two; numbers and indices come from the host with the call.
//
// Shapes are checked above, in ops/: an implementation may trust them. The order of every summation
// depends only on the shape of one row (never on batch, threads or neighbours), so that an image
// depends on its seed and not on its company.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "tstitch/base/function_ref.h"
#include "tstitch/tensor/int8.h"
#include "tstitch/tensor/tensor.h"

namespace tstitch {

enum class Activation : uint8_t {
  none,
  gelu_tanh,   // 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
  gelu,        // 0.5 x (1 + erf(x / sqrt(2)))
  quick_gelu,  // x / (1 + exp(-1.702 x))
  silu,        // x / (1 + exp(-x))
  relu,        // max(x, 0)
};

// The least and the largest number that act(x) is for an x between these; act: none, silu, relu, gelu_tanh.
struct Bounds {
  float low, high;
};
Bounds activation_bounds(Activation act, Bounds x);

// The range of all that a convolution reads of a picture: of act(x scale + shift) factors, of each channel
// between `low` and `high`. norm: (2, channels), scales and shifts, or null; factors: null for ones.
Uint8Range picture_range(std::span<const float> low, std::span<const float> high, const float* norm,
                         Activation act, const float* factors);

// A weight matrix W (M, K) and its bias b (M) in the layout its backend computes with.
class PackedLinear {
 public:
  virtual ~PackedLinear() = default;
  virtual int64_t inputs() const = 0;   // K
  virtual int64_t outputs() const = 0;  // M
  virtual int64_t bytes() const = 0;    // held in memory
};

// A length along each side of a picture; of one number: the same along both.
struct Extent2d {
  constexpr Extent2d(int64_t both) : height(both), width(both) {}
  constexpr Extent2d(int64_t height_, int64_t width_) : height(height_), width(width_) {}
  constexpr bool operator==(const Extent2d&) const = default;

  int64_t height, width;
};

// The kernels W (M, C, kh, kw) of a convolution and its bias b (M) in the layout its backend computes with.
class PackedConv2d {
 public:
  virtual ~PackedConv2d() = default;
  virtual int64_t inputs() const = 0;   // C
  virtual int64_t outputs() const = 0;  // M
  virtual Extent2d kernel() const = 0;  // kh, kw
  virtual int64_t bytes() const = 0;    // held in memory
};

// How a convolution walks over its input x (N, H, W, C), and what it reads there: x itself, or the normalised
// and activated x, which so never exists as a whole; each pixel once or as 2 x 2 pixels; zeros around.
struct Conv2dPath {
  int64_t stride = 1;
  Extent2d pad_before = 0, pad_after = 0;  // zeros above and to the left, below and to the right
  bool upsample = false;                   // nearest, by 2
  Extent2d cut = 0;                        // last rows and columns of that which are not there, 0 or 1 each
  const Tensor* norm = nullptr;            // (N, 2, C): reads act(x norm[n, 0] + norm[n, 1])
  Activation act = Activation::none;
  const Tensor* image_bias = nullptr;  // (N, M) f32: added to the bias for image n
  int64_t begin = 0, end = -1;         // the rows of the output wanted; end -1: to the last

  // Extent of what is read of an input of this extent, without the zeros around; of the whole output; and the
  // rows wanted of it.
  Extent2d read(Extent2d input) const {
    return upsample ? Extent2d(2 * input.height - cut.height, 2 * input.width - cut.width) : input;
  }
  Extent2d output(Extent2d input, Extent2d kernel) const {
    const auto along = [&](int64_t extent, int64_t before, int64_t after, int64_t taps) {
      const int64_t padded = extent + before + after;
      return padded < taps ? 0 : (padded - taps) / stride + 1;
    };
    const auto [height, width] = read(input);
    return {along(height, pad_before.height, pad_after.height, kernel.height),
            along(width, pad_before.width, pad_after.width, kernel.width)};
  }
  int64_t rows(Extent2d input, Extent2d kernel) const {
    return (end < 0 ? output(input, kernel).height : end) - begin;
  }
  // Whether every pixel of the output is made of the one in its place alone.
  bool is_pointwise(Extent2d kernel) const {
    return kernel == Extent2d(1) && stride == 1 && !upsample && pad_before == Extent2d(0) &&
           pad_after == Extent2d(0);
  }
};

// What a pool makes of each square window of its input, and where the windows lie.
struct PoolPath {
  enum class Of : uint8_t { max, mean } of = Of::max;
  int64_t window = 1, stride = 1;
  int64_t pad = 0;  // how far windows reach beyond each side; only pixels of the picture count

  int64_t output(int64_t extent) const { return (extent + 2 * pad - window) / stride + 1; }
};

// One term of Backend::combine.
struct Term {
  double factor;
  const Tensor* x;
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::string description() const = 0;  // e.g. "cpu: avx512_bf16, 2 threads, bf16"
  // The part of the description that determines the bits of its results, e.g. "cpu: avx512_bf16, bf16".
  virtual std::string arithmetic() const { return description(); }
  virtual DType compute_dtype() const = 0;  // f32 or bf16
  // Whether the products that make up a network's body are to be of 8-bit numbers (nn/weights.h).
  virtual bool int8() const { return false; }
  virtual Memory& memory() = 0;

  // work(x), f32. It asks for the same operations every time it comes with an x of that shape, as the
  // evaluations of a network do, and keeps no tensor but what it returns: a device may record it once and
  // then replay it. Not within other such work.
  virtual Tensor repeated(const Tensor& x, FunctionRef<Tensor(const Tensor&)> work) { return work(x); }

  // ---- border between host and device
  // A copy of a contiguous host tensor, made when it returns; and a contiguous one on the host of a tensor
  // whose rows may be strided.
  virtual Tensor upload(const Tensor& host) = 0;
  virtual Tensor download(const Tensor& x) = 0;

  // W: (M, K) f32 or bf16 on the host, b: (M) f32 or empty. Done once, at load.
  virtual std::unique_ptr<PackedLinear> pack_linear(const Tensor& w, const Tensor& b) = 0;

  // The same of an 8-bit weight, b: (M) f32 on the host or empty; of backends of which int8() is true.
  //
  // x W^T is then float(sum_k (q_k - zero) values[m, k]) (scale scales[m]) with one range for each row of
  // x factors (range_of its least and its largest number), the sum exact and the two products in f32. A
  // convolution that is pointwise (Conv2dPath) has one for each pixel, any other one for each picture: from
  // what its channels can become at the most after norm and activation (activation_bounds), wherever its
  // strips lie. A row or picture with a number that is not finite becomes NaN.
  virtual std::unique_ptr<PackedLinear> pack_int8_linear(const Int8Weight& w, const Tensor& b);
  virtual std::unique_ptr<PackedConv2d> pack_int8_conv2d(const Int8Weight& w, const Tensor& b);

  // ---- linear maps
  // act(x W^T + b). x: (..., K) f32 or bf16. Returns (..., M) of type `out`.
  virtual Tensor linear(const Tensor& x, const PackedLinear& w, Activation act, DType out) = 0;

  // residual + gate * (x W^T + b), in place. residual: (N, T, M) f32, gate: (N, M) f32, x: (N, T, K).
  virtual void add_gated_linear(Tensor& residual, const Tensor& gate, const Tensor& x,
                                const PackedLinear& w) = 0;

  // sum + x W^T + b, in place. sum: (..., M) f32 or bf16, x: (..., K) f32 or bf16.
  virtual void add_linear(Tensor& sum, const Tensor& x, const PackedLinear& w) = 0;

  // ---- convolutions
  // W: (M, C, kh, kw) f32 or bf16 on the host, b: (M) f32 or empty. Done once, at load.
  virtual std::unique_ptr<PackedConv2d> pack_conv2d(const Tensor& w, const Tensor& b) = 0;

  // out = act(sum_{i, j, c} W[m, c, i, j] input[n, y stride + i, x stride + j, c] + b[m]), `input` as `path`
  // says. x: (N, H, W, C) f32 or bf16, out: (N, rows wanted, W', M) f32 or bf16.
  virtual void conv2d(Tensor& out, const Tensor& x, const PackedConv2d& w, const Conv2dPath& path,
                      Activation act) = 0;

  // act(sum + the same), in place. sum: (N, rows wanted, W', M) f32 or bf16; act: none or relu.
  virtual void add_conv2d(Tensor& sum, const Tensor& x, const PackedConv2d& w, const Conv2dPath& path,
                          Activation act) = 0;

  // The largest or the mean of each channel over each window. x: (N, H, W, C) f32 or bf16, out: (N, H', W',
  // C) of the same type.
  virtual void pool(Tensor& out, const Tensor& x, const PoolPath& path) = 0;

  // ---- group norm: three parts, so that a picture can go through it in strips of rows
  // Mean and variance of each of `groups` groups of neighbouring channels over each row of pixels. x: (N, H,
  // W, C) f32 or bf16. Returns (N, H, groups, 2) f32.
  virtual Tensor group_moments(const Tensor& x, int64_t groups) = 0;

  // The group norm of the picture whose strips have these moments, in order, as x scale + shift: scale =
  // gamma / sqrt(variance + eps), shift = beta - mean scale. gamma and beta: (C) f32. Returns (N, 2, C) f32.
  virtual Tensor group_norm_scale_shift(std::span<const Tensor> moments, const Tensor& gamma,
                                        const Tensor& beta, double eps) = 0;

  // act(x norm[n, 0] + norm[n, 1]). x: (N, H, W, C) f32 or bf16, norm: (N, 2, C) f32. Returns (N, H, W, C)
  // of the compute type.
  virtual Tensor scale_shift(const Tensor& x, const Tensor& norm, Activation act) = 0;

  // ---- attention
  // softmax(q k^T / sqrt(d)) v for each head. q: (N, T, D), k and v: (N, S, D), rows may be strided; head h
  // owns columns h d .. (h + 1) d. Never stores the (T, S) scores of a head at once. Returns (N, T, D).
  virtual Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads) = 0;

  // The same with keys and values of its own for every n: N tensors [k | v] (S_n, 2 D), S_n >= 1; rows may be
  // strided, and the same tensor may stand for several n.
  virtual Tensor cross_attention(const Tensor& q, std::span<const Tensor* const> keys_values,
                                 int64_t heads) = 0;

  // The same where row t sees the keys 0 ... t only; S = T.
  virtual Tensor causal_attention(const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads) = 0;

  // ---- rows
  // layer_norm(x) (1 + scale) + shift with layer_norm over the row, no affine weights. x: (N, T, D) f32,
  // shift and scale: (N, D) f32. Returns (N, T, D) of the compute type.
  virtual Tensor modulated_norm(const Tensor& x, const Tensor& shift, const Tensor& scale, double eps) = 0;

  // layer_norm(x) gamma + beta (Ba et al. 2016, arXiv 1607.06450). x: (..., D) f32, gamma and beta: (D) f32.
  // Returns (..., D) of the compute type.
  virtual Tensor layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps) = 0;

  // a gelu(g) for rows [a | g], gelu(g) = g (1 + erf(g / sqrt(2))) / 2 (GEGLU: Shazeer 2020, arXiv
  // 2002.05202). x: (..., 2 D) f32 or bf16. Returns (..., D) of the compute type.
  virtual Tensor geglu(const Tensor& x) = 0;

  // x + y with y: (T, D) f32 repeated for every n, in place. x: (N, T, D) f32.
  virtual void add_rows(Tensor& x, const Tensor& y) = 0;

  // Means of rows: of the row i of what is returned, those that `rows` names between ends[i - 1] (0 for the
  // first) and ends[i], summed in f32 in that order. x: (..., D) f32 or bf16, rows may be strided. Returns
  // (ends.size(), D) of the same type. Here by loops on the host.
  virtual Tensor mean_rows(const Tensor& x, std::span<const int64_t> ends, std::span<const int64_t> rows);

  // Rows `indices[i]` of the table (R, D) f32. Returns (indices.size(), D) f32.
  virtual Tensor gather(const Tensor& table, std::span<const int64_t> indices) = 0;

  // The inverse: row i of `rows`, (indices.size(), D) f32, becomes row `indices[i]` of the table (R, D) f32.
  virtual void scatter(Tensor& table, std::span<const int64_t> indices, const Tensor& rows) = 0;

  // The row of the table (R, C) f32 nearest to each row of x, (..., C) f32, by squared distance, the first of
  // equals. Returns (..., C) f32.
  virtual Tensor nearest_rows(const Tensor& x, const Tensor& table) = 0;

  // Sinusoidal embedding of timesteps: [cos(t f_i) | sin(t f_i)], f_i = 10000^(-i / (D/2)), i < D/2, in f32
  // as in the DiT reference. Returns (t.size(), D) f32.
  virtual Tensor timestep_embedding(std::span<const double> t, int64_t width) = 0;

  // ---- elementwise (any shape, f32 unless said)
  virtual Tensor silu(const Tensor& x) = 0;
  virtual Tensor clamp(const Tensor& x, double low, double high) = 0;
  virtual Tensor soft_clamp(const Tensor& x, double limit) = 0;  // limit tanh(x / limit)
  virtual Tensor cast(const Tensor& x, DType dtype) = 0;         // f32 <-> bf16

  // offset + sum_i factor_i x_i, each product and sum in f32 in the order given. Rows may be strided. At
  // most 8 terms.
  virtual Tensor combine(std::span<const Term> terms, double offset) = 0;

  // mean + exp(log_variance / 2) noise.
  virtual Tensor add_noise(const Tensor& mean, const Tensor& log_variance, const Tensor& noise) = 0;

  // Classifier-free guidance on the first `channels` columns of every row: u + scale (c - u); the others
  // are c. c and u: (..., C), rows may be strided.
  virtual Tensor guide(const Tensor& c, const Tensor& u, double scale, int64_t channels) = 0;

  // ---- layout
  // Patches of p x p pixels as rows in the order (p row, p column, channel): (N, H, W, C) f32 to
  // (N, H/p W/p, p p C) of the compute type, tokens row-major; and back, f32 to f32, to (N, h, w, C).
  virtual Tensor patchify(const Tensor& x, int64_t p) = 0;
  virtual Tensor unpatchify(const Tensor& tokens, int64_t p, int64_t height, int64_t width) = 0;

  // Channels-first to channels-last and back: (N, C, H, W) f32 <-> (N, H, W, C) f32.
  virtual Tensor to_channels_last(const Tensor& x) = 0;
  virtual Tensor to_channels_first(const Tensor& x) = 0;

  // x: (N, ...), repeated: (times N, ...).
  virtual Tensor repeat(const Tensor& x, int64_t times) = 0;

  // Tensors (N_i, ...) of one type one after the other: (sum of N_i, ...). Rows may be strided.
  virtual Tensor stack(std::span<const Tensor> parts) = 0;

  // Rows [a | b]. a: (..., A), b: (..., B), both f32 or both bf16. Returns (..., A + B) of the same type.
  virtual Tensor concat_columns(const Tensor& a, const Tensor& b) = 0;
};

struct BackendOptions {
  std::string device = "cpu";  // "cpu", "cuda" and "cuda:N", or "reference"
  // "f32", "bf16", "auto": bf16 where the device computes it natively, or "int8": as auto, but for the
  // products that make up a network's body.
  std::string dtype = "auto";
  int threads = 0;  // 0: all the processors of this process
};

inline constexpr int kMostThreads = 1024;

// The type of what lies between the products: what `auto` comes to on this machine. Throws Error{usage} as
// make_backend does; opens no device.
DType compute_dtype(const BackendOptions& options);
// Whether it is int8 that was asked for; else compute_dtype's name says all.
inline bool wants_int8(const BackendOptions& options) { return options.dtype == "int8"; }
// The type, no longer auto: "f32", "bf16" or "int8". Throws as compute_dtype.
std::string decided_dtype(const BackendOptions& options);

// Throws Error{usage} for an unknown device or type, naming the known ones, and Error{device} for a CUDA
// device that is not there or does not serve.
std::unique_ptr<Backend> make_backend(const BackendOptions& options);

}  // namespace tstitch
