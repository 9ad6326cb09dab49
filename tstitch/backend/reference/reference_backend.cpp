#include "tstitch/backend/reference/reference_backend.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>
#include <vector>

#include "tstitch/base/error.h"

namespace tstitch {
namespace {

// Element (row, column) of f32 or bf16 tensors.
float get(const Tensor& x, int64_t row, int64_t column) {
  const int64_t i = row * x.row_stride() + column;
  return x.dtype() == DType::f32 ? x.data<float>()[i] : to_float(x.data<bfloat16>()[i]);
}

void set(Tensor& x, int64_t row, int64_t column, double value) {
  const int64_t i = row * x.row_stride() + column;
  const auto rounded = static_cast<float>(value);
  if (x.dtype() == DType::f32)
    x.data<float>()[i] = rounded;
  else
    x.data<bfloat16>()[i] = to_bfloat16(rounded);
}

float rounded(float x, DType dtype) { return dtype == DType::bf16 ? to_float(to_bfloat16(x)) : x; }

double apply(Activation act, double x) {
  switch (act) {
    case Activation::none:
      return x;
    case Activation::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    case Activation::gelu:
      return 0.5 * x * (1 + std::erf(x / std::numbers::sqrt2));
    case Activation::quick_gelu:
      return x / (1 + std::exp(-1.702 * x));
    case Activation::silu:
      return x / (1 + std::exp(-x));
    case Activation::relu:
      return std::max(x, 0.0);
  }
  return x;
}

// What stands for x in a product of 8-bit numbers (tensor/int8.h).
struct Quantized {
  Tensor numbers;             // (..., K) i32: q - zero
  std::vector<float> scales;  // of each row
};

// Row r of x, (..., K) f32, in the range that range_of(r) gives.
template <class F>
Quantized quantize_rows(const Tensor& x, const Tensor& factors, const F& range_of_row) {
  Quantized result = {.numbers = Tensor(x.shape(), DType::i32), .scales = {}};
  for (int64_t row = 0; row < x.rows(); ++row) {
    const Uint8Range range = range_of_row(row);
    result.scales.push_back(range.scale);
    for (int64_t k = 0; k < x.columns(); ++k) {
      const float value = factors ? get(x, row, k) * get(factors, 0, k) : get(x, row, k);
      result.numbers.data<int32_t>()[row * x.columns() + k] = quantized(value, range) - range.zero;
    }
  }
  return result;
}

// Each row in a range of its own.
Quantized quantize_rows(const Tensor& x, const Tensor& factors) {
  return quantize_rows(x, factors, [&](int64_t row) {
    float low = 0, high = 0;
    for (int64_t k = 0; k < x.columns(); ++k) {
      const float value = factors ? get(x, row, k) * get(factors, 0, k) : get(x, row, k);
      if (!std::isfinite(value)) return range_of(NAN, NAN);
      low = std::min(low, value);
      high = std::max(high, value);
    }
    return range_of(low, high);
  });
}

class ReferenceLinear final : public PackedLinear {
 public:
  ReferenceLinear(Tensor w, Tensor b) : w_(std::move(w)), b_(std::move(b)) {}
  ReferenceLinear(Int8Weight w, Tensor b) : w_(w.values), b_(std::move(b)), int8_(std::move(w)) {}
  int64_t inputs() const override { return w_.extent(1); }
  int64_t outputs() const override { return w_.extent(0); }
  int64_t bytes() const override {
    return w_.elements() * size_of(w_.dtype()) + (b_ ? b_.elements() * 4 : 0);
  }

  // f(row, m, x W^T + b) for all outputs; x is rounded to the type `compute`, where numbers of 8 bits do not
  // take its place.
  template <class F>
  void for_each(const Tensor& x, DType compute, const F& f) const {
    if (int8_.values) {
      const Quantized quantized = quantize_rows(x, int8_.factors);
      for (int64_t row = 0; row < x.rows(); ++row)
        for (int64_t m = 0; m < outputs(); ++m) f(row, m, product(quantized, row, m));
      return;
    }
    for (int64_t row = 0; row < x.rows(); ++row)
      for (int64_t m = 0; m < outputs(); ++m) {
        double sum = b_ ? get(b_, 0, m) : 0;
        for (int64_t k = 0; k < inputs(); ++k)
          sum += double{rounded(get(x, row, k), compute)} * get(w_, m, k);
        f(row, m, sum);
      }
  }

 private:
  // In f32, as backend.h says.
  float product(const Quantized& x, int64_t row, int64_t m) const {
    int32_t sum = 0;
    for (int64_t k = 0; k < inputs(); ++k)
      sum += x.numbers.data<int32_t>()[row * inputs() + k] * w_.data<int8_t>()[m * inputs() + k];
    const float value = static_cast<float>(sum) * (x.scales[row] * get(int8_.scales, 0, m));
    return b_ ? value + get(b_, 0, m) : value;
  }

  Tensor w_, b_;
  Int8Weight int8_;
};

class ReferenceConv2d final : public PackedConv2d {
 public:
  ReferenceConv2d(Tensor w, Tensor b) : w_(std::move(w)), b_(std::move(b)) {}
  ReferenceConv2d(Int8Weight w, Tensor b) : w_(w.values), b_(std::move(b)), int8_(std::move(w)) {}
  int64_t inputs() const override { return w_.extent(1); }
  int64_t outputs() const override { return w_.extent(0); }
  Extent2d kernel() const override { return {w_.extent(2), w_.extent(3)}; }
  int64_t bytes() const override {
    return w_.elements() * size_of(w_.dtype()) + (b_ ? b_.elements() * 4 : 0);
  }

  // f(row, m, value) for all outputs of the rows wanted, of `shape`; what is read is rounded to the type
  // `compute`, where numbers of 8 bits do not take its place.
  template <class F>
  void for_each(const Tensor& x, const Conv2dPath& path, const Shape& shape, DType compute,
                const F& f) const {
    const int64_t H = shape[1], W = shape[2];
    const Tensor read = what_is_read(x, path);
    const Quantized quantized = int8_.values ? quantize(read, x, path) : Quantized{};
    for (int64_t row = 0; row < shape[0] * H * W; ++row)
      for (int64_t m = 0; m < outputs(); ++m) {
        const int64_t n = row / (H * W), y = path.begin + row / W % H, column = row % W;
        const float bias = (b_ ? get(b_, 0, m) : 0) + (path.image_bias ? get(*path.image_bias, n, m) : 0);
        if (int8_.values) {
          int32_t sum = 0;
          for_taps(x, path, n, y, column, [&](int64_t pixel, int64_t c, int64_t i, int64_t j) {
            sum += quantized.numbers.data<int32_t>()[pixel * inputs() + c] * weight(m, c, i, j);
          });
          const int64_t first = n * x.extent(1) * x.extent(2);  // pixel of the picture
          const int64_t pixel = path.is_pointwise(kernel()) ? first + y * W + column : first;
          const float scale = quantized.scales[static_cast<size_t>(pixel)];
          f(row, m, double{static_cast<float>(sum) * (scale * get(int8_.scales, 0, m)) + bias});
        } else {
          double sum = b_ ? get(b_, 0, m) : 0;
          if (path.image_bias) sum += get(*path.image_bias, n, m);
          for_taps(x, path, n, y, column, [&](int64_t pixel, int64_t c, int64_t i, int64_t j) {
            sum += double{rounded(get(read, pixel, c), compute)} *
                   get(w_, (m * inputs() + c) * kernel().height + i, j);
          });
          f(row, m, sum);
        }
      }
  }

 private:
  int32_t weight(int64_t m, int64_t c, int64_t i, int64_t j) const {
    return w_.data<int8_t>()[((m * inputs() + c) * kernel().height + i) * kernel().width + j];
  }

  // f(pixel of x, channel, row and column of the kernel) for all of the input under the kernel.
  template <class F>
  void for_taps(const Tensor& x, const Conv2dPath& path, int64_t n, int64_t y, int64_t column,
                const F& f) const {
    const int64_t H = x.extent(1), W = x.extent(2), twice = path.upsample ? 2 : 1;
    const Extent2d extent = path.read({H, W});
    for (int64_t i = 0; i < kernel().height; ++i)
      for (int64_t j = 0; j < kernel().width; ++j) {
        const int64_t row = y * path.stride + i - path.pad_before.height,
                      pixel = column * path.stride + j - path.pad_before.width;
        if (row < 0 || row >= extent.height || pixel < 0 || pixel >= extent.width) continue;
        for (int64_t c = 0; c < inputs(); ++c) f((n * H + row / twice) * W + pixel / twice, c, i, j);
      }
  }

  // act(x scale + shift) or act(x), f32.
  Tensor what_is_read(const Tensor& x, const Conv2dPath& path) const {
    Tensor read(x.shape(), DType::f32);
    for (int64_t row = 0; row < x.rows(); ++row)
      for (int64_t c = 0; c < inputs(); ++c) {
        double value = get(x, row, c);
        const int64_t n = row / (x.extent(1) * x.extent(2));
        if (path.norm) value = value * get(*path.norm, 2 * n, c) + get(*path.norm, 2 * n + 1, c);
        set(read, row, c, apply(path.act, value));
      }
    return read;
  }

  // Each pixel or each picture in a range of its own.
  Quantized quantize(const Tensor& read, const Tensor& x, const Conv2dPath& path) const {
    if (path.is_pointwise(kernel())) return quantize_rows(read, int8_.factors);
    const int64_t pixels = x.extent(1) * x.extent(2), C = inputs();
    std::vector<Uint8Range> ranges;
    for (int64_t n = 0; n < x.extent(0); ++n) {
      std::vector<float> low(static_cast<size_t>(C)), high(static_cast<size_t>(C));
      for (int64_t c = 0; c < C; ++c) {
        low[c] = high[c] = get(x, n * pixels, c);
        for (int64_t pixel = n * pixels; pixel < (n + 1) * pixels; ++pixel) {
          const float value = get(x, pixel, c);
          low[c] = std::isfinite(value) ? std::min(low[c], value) : NAN;
          high[c] = std::max(high[c], value);
          if (low[c] != low[c]) break;
        }
      }
      ranges.push_back(picture_range(low, high, path.norm ? path.norm->data<float>() + n * 2 * C : nullptr,
                                     path.act, int8_.factors ? int8_.factors.data<float>() : nullptr));
    }
    return quantize_rows(read, int8_.factors,
                         [&](int64_t row) { return ranges[static_cast<size_t>(row / pixels)]; });
  }

  Tensor w_, b_;
  Int8Weight int8_;
};

// f(row, column) for every element of a new tensor.
template <class F>
Tensor generate(const Shape& shape, DType dtype, const F& f) {
  Tensor out(shape, dtype);
  for (int64_t row = 0; row < out.rows(); ++row)
    for (int64_t column = 0; column < out.columns(); ++column) set(out, row, column, f(row, column));
  return out;
}

}  // namespace

std::string ReferenceBackend::description() const {
  return concat("reference: plain loops, ", int8_ ? "int8 in " : "", name_of(compute_dtype_));
}

Tensor ReferenceBackend::upload(const Tensor& host) { return repeat(host, 1); }
Tensor ReferenceBackend::download(const Tensor& x) { return repeat(x, 1); }

std::unique_ptr<PackedLinear> ReferenceBackend::pack_linear(const Tensor& w, const Tensor& b) {
  return std::make_unique<ReferenceLinear>(cast(w, compute_dtype_), b ? cast(b, DType::f32) : Tensor());
}

std::unique_ptr<PackedLinear> ReferenceBackend::pack_int8_linear(const Int8Weight& w, const Tensor& b) {
  return std::make_unique<ReferenceLinear>(w, b ? cast(b, DType::f32) : Tensor());
}

Tensor ReferenceBackend::linear(const Tensor& x, const PackedLinear& w, Activation act, DType out) {
  Tensor y(x.shape().with(-1, w.outputs()), out);
  dynamic_cast<const ReferenceLinear&>(w).for_each(
      x, compute_dtype_, [&](int64_t row, int64_t m, double value) { set(y, row, m, apply(act, value)); });
  return y;
}

void ReferenceBackend::add_gated_linear(Tensor& residual, const Tensor& gate, const Tensor& x,
                                        const PackedLinear& w) {
  const int64_t T = x.extent(1);
  dynamic_cast<const ReferenceLinear&>(w).for_each(
      x, compute_dtype_, [&](int64_t row, int64_t m, double value) {
        set(residual, row, m, get(residual, row, m) + get(gate, row / T, m) * value);
      });
}

void ReferenceBackend::add_linear(Tensor& sum, const Tensor& x, const PackedLinear& w) {
  dynamic_cast<const ReferenceLinear&>(w).for_each(
      x, compute_dtype_,
      [&](int64_t row, int64_t m, double value) { set(sum, row, m, get(sum, row, m) + value); });
}

std::unique_ptr<PackedConv2d> ReferenceBackend::pack_conv2d(const Tensor& w, const Tensor& b) {
  return std::make_unique<ReferenceConv2d>(cast(w, compute_dtype_), b ? cast(b, DType::f32) : Tensor());
}

std::unique_ptr<PackedConv2d> ReferenceBackend::pack_int8_conv2d(const Int8Weight& w, const Tensor& b) {
  return std::make_unique<ReferenceConv2d>(w, b ? cast(b, DType::f32) : Tensor());
}

void ReferenceBackend::conv2d(Tensor& out, const Tensor& x, const PackedConv2d& w, const Conv2dPath& path,
                              Activation act) {
  dynamic_cast<const ReferenceConv2d&>(w).for_each(
      x, path, out.shape(), compute_dtype_,
      [&](int64_t row, int64_t m, double value) { set(out, row, m, apply(act, value)); });
}

void ReferenceBackend::add_conv2d(Tensor& sum, const Tensor& x, const PackedConv2d& w, const Conv2dPath& path,
                                  Activation act) {
  dynamic_cast<const ReferenceConv2d&>(w).for_each(
      x, path, sum.shape(), compute_dtype_,
      [&](int64_t row, int64_t m, double value) { set(sum, row, m, apply(act, get(sum, row, m) + value)); });
}

void ReferenceBackend::pool(Tensor& out, const Tensor& x, const PoolPath& path) {
  const int64_t H = x.extent(1), W = x.extent(2), H_out = out.extent(1), W_out = out.extent(2);
  for (int64_t row = 0; row < out.rows(); ++row)
    for (int64_t c = 0; c < out.columns(); ++c) {
      const int64_t n = row / (H_out * W_out), top = row / W_out % H_out * path.stride - path.pad,
                    left = row % W_out * path.stride - path.pad;
      double largest = -std::numeric_limits<double>::infinity(), sum = 0;
      int64_t count = 0;
      for (int64_t i = std::max<int64_t>(top, 0); i < std::min(top + path.window, H); ++i)
        for (int64_t j = std::max<int64_t>(left, 0); j < std::min(left + path.window, W); ++j, ++count) {
          const double value = get(x, (n * H + i) * W + j, c);
          largest = std::max(largest, value);
          sum += value;
        }
      set(out, row, c, path.of == PoolPath::Of::max ? largest : sum / static_cast<double>(count));
    }
}

Tensor ReferenceBackend::group_moments(const Tensor& x, int64_t groups) {
  const int64_t W = x.extent(2), width = x.extent(3) / groups;
  Tensor moments({x.extent(0), x.extent(1), groups, 2}, DType::f32);
  for (int64_t row = 0; row < moments.rows(); ++row) {
    const int64_t first = row / groups * W, g = row % groups;
    double mean = 0, variance = 0;
    for (int64_t pixel = first; pixel < first + W; ++pixel)
      for (int64_t c = g * width; c < (g + 1) * width; ++c) mean += get(x, pixel, c);
    mean /= static_cast<double>(W * width);
    for (int64_t pixel = first; pixel < first + W; ++pixel)
      for (int64_t c = g * width; c < (g + 1) * width; ++c)
        variance += (get(x, pixel, c) - mean) * (get(x, pixel, c) - mean);
    set(moments, row, 0, mean);
    set(moments, row, 1, variance / static_cast<double>(W * width));
  }
  return moments;
}

Tensor ReferenceBackend::group_norm_scale_shift(std::span<const Tensor> moments, const Tensor& gamma,
                                                const Tensor& beta, double eps) {
  const int64_t N = moments[0].extent(0), groups = moments[0].extent(2), C = gamma.elements();
  Tensor norm({N, 2, C}, DType::f32);
  for (int64_t n = 0; n < N; ++n)
    for (int64_t c = 0; c < C; ++c) {
      const int64_t g = c / (C / groups);
      double rows = 0, sum = 0, squares = 0;  // over rows that all have the same weight
      for (const Tensor& strip : moments)
        for (int64_t y = 0; y < strip.extent(1); ++y) {
          const int64_t row = (n * strip.extent(1) + y) * groups + g;
          const double mean = get(strip, row, 0);
          rows += 1;
          sum += mean;
          squares += mean * mean + get(strip, row, 1);
        }
      const double mean = sum / rows;
      const double scale = get(gamma, 0, c) / std::sqrt(squares / rows - mean * mean + eps);
      set(norm, 2 * n, c, scale);
      set(norm, 2 * n + 1, c, get(beta, 0, c) - mean * scale);
    }
  return norm;
}

Tensor ReferenceBackend::scale_shift(const Tensor& x, const Tensor& norm, Activation act) {
  const int64_t pixels = x.extent(1) * x.extent(2);
  return generate(x.shape(), compute_dtype_, [&](int64_t row, int64_t c) {
    const int64_t n = row / pixels;
    return apply(act, double{get(x, row, c)} * get(norm, 2 * n, c) + get(norm, 2 * n + 1, c));
  });
}

Tensor ReferenceBackend::attention(const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads) {
  return attention_to(q, k, v, heads, [&](int64_t) { return k.extent(1); });
}

Tensor ReferenceBackend::cross_attention(const Tensor& q, std::span<const Tensor* const> keys_values,
                                         int64_t heads) {
  const int64_t D = q.extent(2);
  std::vector<Tensor> images;
  for (int64_t n = 0; n < q.extent(0); ++n) {
    const Tensor& kv = *keys_values[static_cast<size_t>(n)];
    const Tensor image = kv.reshape({1, kv.extent(0), 2 * D});
    images.push_back(
        attention(q.slice(n, n + 1), image.slice_columns(0, D), image.slice_columns(D, 2 * D), heads));
  }
  return stack(images);
}

Tensor ReferenceBackend::causal_attention(const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads) {
  return attention_to(q, k, v, heads, [](int64_t t) { return t + 1; });
}

Tensor ReferenceBackend::attention_to(const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads,
                                      FunctionRef<int64_t(int64_t)> keys_of) {
  const int64_t N = q.extent(0), T = q.extent(1), S = k.extent(1), D = q.extent(2), d = D / heads;
  const double scale = 1 / std::sqrt(static_cast<double>(d));
  Tensor out(q.shape(), compute_dtype_);
  for (int64_t n = 0; n < N; ++n)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t t = 0; t < T; ++t) {
        const int64_t keys = keys_of(t);
        std::vector<double> p(static_cast<size_t>(keys));  // one row of scores, then of probabilities
        for (int64_t s = 0; s < keys; ++s) {
          p[s] = 0;
          for (int64_t j = h * d; j < (h + 1) * d; ++j)
            p[s] += double{get(q, n * T + t, j)} * get(k, n * S + s, j);
        }
        const double largest = *std::ranges::max_element(p);
        double sum = 0;
        for (double& score : p) sum += score = std::exp((score - largest) * scale);
        for (int64_t j = h * d; j < (h + 1) * d; ++j) {
          double value = 0;
          for (int64_t s = 0; s < keys; ++s) value += p[s] / sum * get(v, n * S + s, j);
          set(out, n * T + t, j, value);
        }
      }
  return out;
}

Tensor ReferenceBackend::modulated_norm(const Tensor& x, const Tensor& shift, const Tensor& scale,
                                        double eps) {
  const int64_t T = x.extent(1), D = x.extent(2);
  Tensor out(x.shape(), compute_dtype_);
  for (int64_t row = 0; row < x.rows(); ++row) {
    double mean = 0, variance = 0;
    for (int64_t j = 0; j < D; ++j) mean += get(x, row, j);
    mean /= static_cast<double>(D);
    for (int64_t j = 0; j < D; ++j) variance += (get(x, row, j) - mean) * (get(x, row, j) - mean);
    variance /= static_cast<double>(D);
    for (int64_t j = 0; j < D; ++j) {
      const double normalized = (get(x, row, j) - mean) / std::sqrt(variance + eps);
      set(out, row, j, normalized * (1.0 + get(scale, row / T, j)) + get(shift, row / T, j));
    }
  }
  return out;
}

Tensor ReferenceBackend::layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps) {
  const int64_t D = x.columns();
  Tensor out(x.shape(), compute_dtype_);
  for (int64_t row = 0; row < x.rows(); ++row) {
    double mean = 0, variance = 0;
    for (int64_t j = 0; j < D; ++j) mean += get(x, row, j);
    mean /= static_cast<double>(D);
    for (int64_t j = 0; j < D; ++j) variance += (get(x, row, j) - mean) * (get(x, row, j) - mean);
    variance /= static_cast<double>(D);
    for (int64_t j = 0; j < D; ++j)
      set(out, row, j,
          (get(x, row, j) - mean) / std::sqrt(variance + eps) * get(gamma, 0, j) + get(beta, 0, j));
  }
  return out;
}

Tensor ReferenceBackend::geglu(const Tensor& x) {
  const int64_t D = x.columns() / 2;
  return generate(x.shape().with(-1, D), compute_dtype_, [&](int64_t row, int64_t j) {
    const double g = get(x, row, D + j);
    return get(x, row, j) * (0.5 * g * (1 + std::erf(g / std::numbers::sqrt2)));
  });
}

void ReferenceBackend::add_rows(Tensor& x, const Tensor& y) {
  for (int64_t row = 0; row < x.rows(); ++row)
    for (int64_t j = 0; j < x.columns(); ++j) set(x, row, j, get(x, row, j) + get(y, row % y.rows(), j));
}

Tensor ReferenceBackend::gather(const Tensor& table, std::span<const int64_t> indices) {
  return generate({static_cast<int64_t>(indices.size()), table.columns()}, DType::f32,
                  [&](int64_t row, int64_t j) { return get(table, indices[row], j); });
}

void ReferenceBackend::scatter(Tensor& table, std::span<const int64_t> indices, const Tensor& rows) {
  for (size_t i = 0; i < indices.size(); ++i)
    for (int64_t j = 0; j < table.columns(); ++j)
      set(table, indices[i], j, get(rows, static_cast<int64_t>(i), j));
}

Tensor ReferenceBackend::nearest_rows(const Tensor& x, const Tensor& table) {
  const auto distance = [&](int64_t row, int64_t entry) {
    float sum = 0;
    for (int64_t j = 0; j < x.columns(); ++j) {
      const float difference = get(x, row, j) - get(table, entry, j);
      sum += difference * difference;
    }
    return sum;
  };
  std::vector<int64_t> nearest(static_cast<size_t>(x.rows()), 0);
  for (int64_t row = 0; row < x.rows(); ++row)
    for (int64_t entry = 1; entry < table.rows(); ++entry)
      if (distance(row, entry) < distance(row, nearest[row])) nearest[row] = entry;
  return generate(x.shape(), DType::f32, [&](int64_t row, int64_t j) { return get(table, nearest[row], j); });
}

Tensor ReferenceBackend::timestep_embedding(std::span<const double> t, int64_t width) {
  const int64_t half = width / 2;
  return generate({static_cast<int64_t>(t.size()), width}, DType::f32, [&](int64_t row, int64_t j) {
    const auto exponent =
        static_cast<float>(-std::log(10000.0)) * static_cast<float>(j % half) / static_cast<float>(half);
    const float angle = static_cast<float>(t[row]) * std::exp(exponent);
    return j < half ? std::cos(angle) : std::sin(angle);
  });
}

Tensor ReferenceBackend::silu(const Tensor& x) {
  return generate(x.shape(), DType::f32,
                  [&](int64_t row, int64_t j) { return apply(Activation::silu, get(x, row, j)); });
}

Tensor ReferenceBackend::clamp(const Tensor& x, double low, double high) {
  return generate(x.shape(), DType::f32,
                  [&](int64_t row, int64_t j) { return std::clamp(double{get(x, row, j)}, low, high); });
}

Tensor ReferenceBackend::soft_clamp(const Tensor& x, double limit) {
  return generate(x.shape(), DType::f32,
                  [&](int64_t row, int64_t j) { return limit * std::tanh(get(x, row, j) / limit); });
}

Tensor ReferenceBackend::cast(const Tensor& x, DType dtype) {
  return generate(x.shape(), dtype, [&](int64_t row, int64_t j) { return get(x, row, j); });
}

Tensor ReferenceBackend::combine(std::span<const Term> terms, double offset) {
  return generate(terms[0].x->shape(), DType::f32, [&](int64_t row, int64_t j) {
    auto sum = static_cast<float>(offset);
    for (const Term& term : terms) sum += static_cast<float>(term.factor) * get(*term.x, row, j);
    return sum;
  });
}

Tensor ReferenceBackend::add_noise(const Tensor& mean, const Tensor& log_variance, const Tensor& noise) {
  return generate(mean.shape(), DType::f32, [&](int64_t row, int64_t j) {
    return get(mean, row, j) + std::exp(0.5f * get(log_variance, row, j)) * get(noise, row, j);
  });
}

Tensor ReferenceBackend::guide(const Tensor& c, const Tensor& u, double scale, int64_t channels) {
  return generate(c.shape(), DType::f32, [&](int64_t row, int64_t j) {
    const float cond = get(c, row, j), uncond = get(u, row, j);
    return j < channels ? uncond + static_cast<float>(scale) * (cond - uncond) : cond;
  });
}

Tensor ReferenceBackend::patchify(const Tensor& x, int64_t p) {
  const int64_t N = x.extent(0), H = x.extent(1), W = x.extent(2), C = x.extent(3);
  const int64_t h = H / p, w = W / p;
  return generate({N, h * w, p * p * C}, compute_dtype_, [&](int64_t row, int64_t j) {
    const int64_t n = row / (h * w), patch = row % (h * w);
    const int64_t y = patch / w * p + j / (p * C), column = patch % w * p + j / C % p;
    return get(x, (n * H + y) * W + column, j % C);
  });
}

Tensor ReferenceBackend::unpatchify(const Tensor& tokens, int64_t p, int64_t height, int64_t width) {
  const int64_t N = tokens.extent(0), C = tokens.columns() / (p * p);
  return generate({N, height, width, C}, DType::f32, [&](int64_t row, int64_t channel) {
    const int64_t n = row / (height * width), y = row / width % height, x = row % width;
    const int64_t token = (n * (height / p) + y / p) * (width / p) + x / p;
    return get(tokens, token, ((y % p) * p + x % p) * C + channel);
  });
}

Tensor ReferenceBackend::to_channels_last(const Tensor& x) {
  const int64_t N = x.extent(0), C = x.extent(1), H = x.extent(2), W = x.extent(3);
  return generate({N, H, W, C}, DType::f32, [&](int64_t row, int64_t c) {
    const int64_t n = row / (H * W), y = row / W % H;
    return get(x, (n * C + c) * H + y, row % W);
  });
}

Tensor ReferenceBackend::to_channels_first(const Tensor& x) {
  const int64_t N = x.extent(0), H = x.extent(1), W = x.extent(2), C = x.extent(3);
  return generate({N, C, H, W}, DType::f32, [&](int64_t row, int64_t column) {
    const int64_t n = row / (C * H), c = row / H % C, y = row % H;
    return get(x, (n * H + y) * W + column, c);
  });
}

Tensor ReferenceBackend::repeat(const Tensor& x, int64_t times) {
  Tensor out(x.shape().rank() ? x.shape().with(0, times * x.extent(0)) : x.shape(), x.dtype());
  const auto row_bytes = static_cast<size_t>(x.columns() * size_of(x.dtype()));
  const auto stride_bytes = static_cast<size_t>(x.row_stride() * size_of(x.dtype()));
  for (int64_t row = 0; row < out.rows(); ++row)
    std::memcpy(out.bytes() + row * row_bytes, x.bytes() + (row % x.rows()) * stride_bytes, row_bytes);
  return out;
}

Tensor ReferenceBackend::stack(std::span<const Tensor> parts) {
  int64_t N = 0;
  for (const Tensor& part : parts) N += part.extent(0);
  Tensor out(parts[0].shape().with(0, N), parts[0].dtype());
  int64_t row = 0;
  for (const Tensor& part : parts)
    for (int64_t i = 0; i < part.rows(); ++i, ++row)
      for (int64_t j = 0; j < part.columns(); ++j) set(out, row, j, get(part, i, j));
  return out;
}

Tensor ReferenceBackend::concat_columns(const Tensor& a, const Tensor& b) {
  const int64_t A = a.columns();
  return generate(a.shape().with(-1, A + b.columns()), a.dtype(),
                  [&](int64_t row, int64_t j) { return j < A ? get(a, row, j) : get(b, row, j - A); });
}

}  // namespace tstitch
