#include "tstitch/backend/cpu/cpu_backend.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "tstitch/backend/cpu/amx_linear.h"
#include "tstitch/backend/cpu/attention.h"
#include "tstitch/backend/cpu/conv2d.h"
#include "tstitch/backend/cpu/map_elements.h"
#include "tstitch/backend/cpu/panel_linear.h"
#include "tstitch/backend/cpu/parallel.h"
#include "tstitch/backend/mean_rows.h"
#include "tstitch/base/error.h"

namespace tstitch {
namespace {

using cpu::divide_up;
using cpu::map_elements;
using cpu::parallel_for;
using cpu::parallel_ranges;

constexpr int64_t kCacheLine = 64;
constexpr int64_t kGrain = 16384;  // elements below which a second thread costs more than it brings

float* row_of(Tensor& x, int64_t row) { return x.data<float>() + row * x.row_stride(); }
const float* row_of(const Tensor& x, int64_t row) { return x.data<float>() + row * x.row_stride(); }

std::byte* raw_row(Tensor& x, int64_t row) { return x.bytes() + row * x.row_stride() * size_of(x.dtype()); }
const std::byte* raw_row(const Tensor& x, int64_t row) {
  return x.bytes() + row * x.row_stride() * size_of(x.dtype());
}

}  // namespace

CpuBackend::CpuBackend(DType compute_dtype, int threads, const cpu::Isa& isa, bool int8)
    : compute_dtype_(compute_dtype), threads_(threads), int8_(int8), isa_(isa), kernels_(*isa.kernels) {}

std::string CpuBackend::description() const {
  return concat("cpu: ", isa_.name, ", ", threads_, threads_ == 1 ? " thread, " : " threads, ",
                int8_ ? "int8 in " : "", name_of(compute_dtype_));
}

std::string CpuBackend::arithmetic() const {
  return concat("cpu: ", isa_.name, ", ", int8_ ? "int8 in " : "", name_of(compute_dtype_));
}

Tensor CpuBackend::upload(const Tensor& host) { return repeat(host, 1); }
Tensor CpuBackend::download(const Tensor& x) { return repeat(x, 1); }

// ---- linear maps

std::unique_ptr<PackedLinear> CpuBackend::pack_linear(const Tensor& weight, const Tensor& b) {
  const Tensor w = weight.dtype() == compute_dtype_ ? weight : cast(weight, compute_dtype_);
  const cpu::Multiplier multiplier = isa_.multiplier;
  if (multiplier == cpu::Multiplier::vectors || compute_dtype_ == DType::f32)
    return std::make_unique<cpu::PanelLinear>(kernels_, threads_, w, b);
  return cpu::make_amx_linear(multiplier == cpu::Multiplier::amx_emulated, kernels_, threads_, w, b);
}

std::unique_ptr<PackedLinear> CpuBackend::pack_int8_linear(const Int8Weight& w, const Tensor& b) {
  if (isa_.multiplier == cpu::Multiplier::vectors)
    return std::make_unique<cpu::PanelLinear>(kernels_, threads_, w.values, b, w);
  return cpu::make_amx_linear(isa_.multiplier == cpu::Multiplier::amx_emulated, kernels_, threads_, w.values,
                              b, w);
}

Tensor CpuBackend::operand(const Tensor& x, int64_t row_multiple) const {
  const int64_t K = x.columns(), padded = divide_up(K, row_multiple) * row_multiple,
                size = size_of(compute_dtype_);
  // Rows whole pages apart fall into the same few lines of the L1 cache and push each other out: a product of
  // 4096 bf16 inputs ran at 60 % of the peak, with rows one line further apart at 90 % (Zen 4, November
  // 2026).
  const bool rows_collide = x.rows() > 1 && x.row_stride() * size % 4096 == 0;
  if (x.dtype() == compute_dtype_ && K == padded && !rows_collide) return x;
  const int64_t apart = padded * size % 4096 == 0 ? kCacheLine / size : 0;
  const Tensor wide({x.rows(), padded + apart}, compute_dtype_);
  Tensor out = wide.slice_columns(0, padded);
  parallel_ranges(threads_, x.rows(), divide_up(kGrain, K), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      std::byte* to = raw_row(out, row);
      if (x.dtype() == compute_dtype_)
        std::memcpy(to, raw_row(x, row), static_cast<size_t>(K * size));
      else if (compute_dtype_ == DType::bf16)
        kernels_.to_bf16(row_of(x, row), to, K);
      else
        kernels_.to_f32(raw_row(x, row), reinterpret_cast<float*>(to), K);
      std::memset(to + K * size, 0, static_cast<size_t>((padded - K) * size));
    }
  });
  return out;
}

void CpuBackend::run_linear(cpu::LinearJob job, const Tensor& x, const PackedLinear& w) const {
  if (x.elements() == 0) return;
  const auto& linear = dynamic_cast<const cpu::Linear&>(w);
  if (linear.operand() == cpu::Operand::int8) {
    const auto rows = cpu::quantize_rows(kernels_, threads_, x, linear.factors(), linear.row_multiple());
    rows.complete(job, kernels_.operand_bytes(cpu::Operand::int8));
    return linear.run(job, x.rows(), threads_);
  }
  const Tensor a = operand(x, linear.row_multiple());
  job.x = a.bytes();
  job.x_stride = a.row_stride();
  linear.run(job, a.rows(), threads_);
}

Tensor CpuBackend::linear(const Tensor& x, const PackedLinear& w, Activation act, DType out) {
  Tensor y(x.shape().with(-1, w.outputs()), out);
  cpu::LinearJob job;
  job.epilogue = cpu::epilogue_of(act);
  job.out = y.bytes();
  job.out_stride = y.row_stride();
  job.out_bf16 = out == DType::bf16;
  run_linear(job, x, w);
  return y;
}

void CpuBackend::add_gated_linear(Tensor& residual, const Tensor& gate, const Tensor& x,
                                  const PackedLinear& w) {
  cpu::LinearJob job;
  job.epilogue = cpu::Epilogue::add_gated;
  job.out = residual.bytes();
  job.out_stride = residual.row_stride();
  job.gate = gate.data<float>();
  job.gate_stride = gate.row_stride();
  job.rows_per_gate = residual.extent(1);
  run_linear(job, x, w);
}

void CpuBackend::add_linear(Tensor& sum, const Tensor& x, const PackedLinear& w) {
  cpu::LinearJob job;
  job.epilogue = cpu::Epilogue::add;
  job.out = sum.bytes();
  job.out_stride = sum.row_stride();
  job.out_bf16 = sum.dtype() == DType::bf16;
  run_linear(job, x, w);
}

// ---- convolutions

std::unique_ptr<PackedConv2d> CpuBackend::pack_conv2d(const Tensor& w, const Tensor& b) {
  return cpu::make_conv2d(isa_, threads_, w.dtype() == compute_dtype_ ? w : cast(w, compute_dtype_), b);
}

std::unique_ptr<PackedConv2d> CpuBackend::pack_int8_conv2d(const Int8Weight& w, const Tensor& b) {
  return cpu::make_conv2d(isa_, threads_, w.values, b, w);
}

void CpuBackend::conv2d(Tensor& out, const Tensor& x, const PackedConv2d& w, const Conv2dPath& path,
                        Activation act) {
  dynamic_cast<const cpu::Conv2d&>(w).run(out, x, path, cpu::epilogue_of(act), threads_);
}

void CpuBackend::add_conv2d(Tensor& sum, const Tensor& x, const PackedConv2d& w, const Conv2dPath& path,
                            Activation act) {
  dynamic_cast<const cpu::Conv2d&>(w).run(
      sum, x, path, act == Activation::relu ? cpu::Epilogue::add_relu : cpu::Epilogue::add, threads_);
}

void CpuBackend::pool(Tensor& out, const Tensor& x, const PoolPath& path) {
  const int64_t H = x.extent(1), W = x.extent(2), H_out = out.extent(1), W_out = out.extent(2);
  // The pixels of a window that are inside: first, and how many.
  const auto inside = [&](int64_t i, int64_t extent) {
    const int64_t begin = i * path.stride - path.pad;
    return std::pair(std::max<int64_t>(begin, 0),
                     std::min(begin + path.window, extent) - std::max<int64_t>(begin, 0));
  };
  parallel_ranges(threads_, out.rows(), divide_up(kGrain, out.columns() * path.window * path.window),
                  [&](int64_t begin, int64_t end) {
                    for (int64_t row = begin; row < end; ++row) {
                      const auto [top, rows] = inside(row / W_out % H_out, H);
                      const auto [left, columns] = inside(row % W_out, W);
                      kernels_.pool({.bf16 = x.dtype() == DType::bf16,
                                     .mean = path.of == PoolPath::Of::mean,
                                     .x = raw_row(x, (row / (H_out * W_out) * H + top) * W + left),
                                     .row_stride = W * x.row_stride(),
                                     .pixel_stride = x.row_stride(),
                                     .rows = rows,
                                     .columns = columns,
                                     .channels = out.columns(),
                                     .to = raw_row(out, row)});
                    }
                  });
}

// ---- group norm

Tensor CpuBackend::group_moments(const Tensor& x, int64_t groups) {
  const int64_t H = x.extent(1), W = x.extent(2), C = x.extent(3);
  Tensor moments({x.extent(0), H, groups, 2}, DType::f32);
  parallel_ranges(threads_, x.extent(0) * H, divide_up(kGrain, W * C), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      kernels_.group_moments(x.dtype() == DType::bf16, raw_row(x, row * W), x.row_stride(), W, C, groups,
                             moments.data<float>() + row * groups * 2);
  });
  return moments;
}

Tensor CpuBackend::group_norm_scale_shift(std::span<const Tensor> moments, const Tensor& gamma,
                                          const Tensor& beta, double eps) {
  const int64_t N = moments[0].extent(0), groups = moments[0].extent(2);
  const int64_t C = gamma.elements(), width = C / groups;
  Tensor norm({N, 2, C}, DType::f32);
  for (int64_t n = 0; n < N; ++n)
    for (int64_t g = 0; g < groups; ++g) {
      double rows = 0, mean = 0, variance = 0;
      const auto for_rows = [&](const auto& f) {
        for (const Tensor& strip : moments)
          for (int64_t y = 0; y < strip.extent(1); ++y) {
            const float* m = strip.data<float>() + ((n * strip.extent(1) + y) * groups + g) * 2;
            f(double{m[0]}, double{m[1]});
          }
      };
      // All rows have the same weight: the variance is the mean of theirs and the variance of their means.
      for_rows([&](double m, double) { mean += m, rows += 1; });
      mean /= rows;
      for_rows([&](double m, double v) { variance += v + (m - mean) * (m - mean); });
      const double factor = 1 / std::sqrt(variance / rows + eps);
      for (int64_t c = g * width; c < (g + 1) * width; ++c) {
        const double scale = gamma.data<float>()[c] * factor;
        norm.data<float>()[n * 2 * C + c] = static_cast<float>(scale);
        norm.data<float>()[(n * 2 + 1) * C + c] = static_cast<float>(beta.data<float>()[c] - mean * scale);
      }
    }
  return norm;
}

Tensor CpuBackend::scale_shift(const Tensor& x, const Tensor& norm, Activation act) {
  const int64_t C = x.columns(), pixels = x.extent(1) * x.extent(2);
  Tensor out(x.shape(), compute_dtype_);
  for (int64_t n = 0; n < x.extent(0); ++n)
    parallel_ranges(threads_, pixels, divide_up(kGrain, C), [&](int64_t begin, int64_t end) {
      kernels_.pixels({.x = raw_row(x, n * pixels + begin),
                       .x_bf16 = x.dtype() == DType::bf16,
                       .x_stride = x.row_stride(),
                       .channels = C,
                       .padded = C,
                       .scale = norm.data<float>() + n * 2 * C,
                       .shift = norm.data<float>() + (n * 2 + 1) * C,
                       .act = cpu::epilogue_of(act),
                       .to = raw_row(out, n * pixels + begin),
                       .to_type = cpu::operand_of(compute_dtype_),
                       .to_stride = C},
                      end - begin);
    });
  return out;
}

// ---- attention

Tensor CpuBackend::attend(const Tensor& q, int64_t heads, Attend* way,
                          FunctionRef<cpu::AttentionJob(int64_t n)> keys_of) const {
  Tensor out(q.shape(), compute_dtype_);
  const int64_t T = q.extent(1), d = q.extent(2) / heads;
  way(isa_, threads_, q.extent(0), heads, T, [&](int64_t n) {
    cpu::AttentionJob job = keys_of(n);
    job.bf16 = compute_dtype_ == DType::bf16;
    job.q = raw_row(q, n * T);
    job.q_stride = q.row_stride();
    job.out = raw_row(out, n * T);
    job.out_stride = out.row_stride();
    job.d = d;
    return job;
  });
  return out;
}

Tensor CpuBackend::self_attend(const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads,
                               Attend* way) const {
  const int64_t S = k.extent(1);
  return attend(q, heads, way, [&](int64_t n) {
    return cpu::AttentionJob{.k = raw_row(k, n * S),
                             .v = raw_row(v, n * S),
                             .k_stride = k.row_stride(),
                             .v_stride = v.row_stride(),
                             .S = S};
  });
}

Tensor CpuBackend::attention(const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads) {
  return self_attend(q, k, v, heads, cpu::attend);
}

Tensor CpuBackend::causal_attention(const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads) {
  return self_attend(q, k, v, heads, cpu::attend_causally);
}

Tensor CpuBackend::cross_attention(const Tensor& q, std::span<const Tensor* const> keys_values,
                                   int64_t heads) {
  return attend(q, heads, cpu::attend, [&](int64_t n) {
    const Tensor& kv = *keys_values[static_cast<size_t>(n)];
    return cpu::AttentionJob{.k = kv.bytes(),
                             .v = kv.bytes() + q.extent(2) * size_of(compute_dtype_),
                             .k_stride = kv.row_stride(),
                             .v_stride = kv.row_stride(),
                             .S = kv.rows()};
  });
}

// ---- rows

Tensor CpuBackend::modulated_norm(const Tensor& x, const Tensor& shift, const Tensor& scale, double eps) {
  const int64_t T = x.extent(1), D = x.extent(2);
  Tensor out(x.shape(), compute_dtype_);
  parallel_ranges(threads_, x.rows(), divide_up(kGrain, D), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end;) {
      const int64_t n = row / T, rows = std::min(end, (n + 1) * T) - row;  // rows of one image
      kernels_.modulated_norm({.x = row_of(x, row),
                               .x_stride = x.row_stride(),
                               .columns = D,
                               .shift = row_of(shift, n),
                               .scale = row_of(scale, n),
                               .eps = static_cast<float>(eps),
                               .out = raw_row(out, row),
                               .out_stride = out.row_stride(),
                               .out_bf16 = compute_dtype_ == DType::bf16},
                              rows);
      row += rows;
    }
  });
  return out;
}

Tensor CpuBackend::layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps) {
  const int64_t D = x.columns();
  Tensor out(x.shape(), compute_dtype_);
  parallel_ranges(threads_, x.rows(), divide_up(kGrain, D), [&](int64_t begin, int64_t end) {
    kernels_.modulated_norm({.x = row_of(x, begin),
                             .x_stride = x.row_stride(),
                             .columns = D,
                             .shift = beta.data<float>(),
                             .scale = gamma.data<float>(),
                             .scale_offset = 0,
                             .eps = static_cast<float>(eps),
                             .out = raw_row(out, begin),
                             .out_stride = out.row_stride(),
                             .out_bf16 = compute_dtype_ == DType::bf16},
                            end - begin);
  });
  return out;
}

Tensor CpuBackend::geglu(const Tensor& x) {
  const int64_t D = x.columns() / 2;
  Tensor out(x.shape().with(-1, D), compute_dtype_);
  parallel_ranges(threads_, x.rows(), divide_up(kGrain, D), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      kernels_.geglu(x.dtype() == DType::bf16, raw_row(x, row), compute_dtype_ == DType::bf16,
                     raw_row(out, row), D);
  });
  return out;
}

void CpuBackend::add_rows(Tensor& x, const Tensor& y) {
  const int64_t D = x.columns();
  parallel_ranges(threads_, x.rows(), divide_up(kGrain, D), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      float* to = row_of(x, row);
      const float* from = row_of(y, row % y.rows());
      for (int64_t j = 0; j < D; ++j) to[j] += from[j];
    }
  });
}

Tensor CpuBackend::mean_rows(const Tensor& x, std::span<const int64_t> ends, std::span<const int64_t> rows) {
  Tensor out({std::ssize(ends), x.columns()}, x.dtype());
  parallel_ranges(threads_, out.rows(), divide_up(kGrain, x.columns()), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto first = static_cast<size_t>(i > 0 ? ends[static_cast<size_t>(i - 1)] : 0),
                 last = static_cast<size_t>(ends[static_cast<size_t>(i)]);
      mean_of_rows(x, rows.subspan(first, last - first), out, i);
    }
  });
  return out;
}

Tensor CpuBackend::gather(const Tensor& table, std::span<const int64_t> indices) {
  Tensor out({static_cast<int64_t>(indices.size()), table.columns()}, DType::f32);
  for (size_t i = 0; i < indices.size(); ++i)
    std::copy_n(row_of(table, indices[i]), table.columns(), row_of(out, static_cast<int64_t>(i)));
  return out;
}

void CpuBackend::scatter(Tensor& table, std::span<const int64_t> indices, const Tensor& rows) {
  for (size_t i = 0; i < indices.size(); ++i)
    std::copy_n(row_of(rows, static_cast<int64_t>(i)), table.columns(), row_of(table, indices[i]));
}

Tensor CpuBackend::nearest_rows(const Tensor& x, const Tensor& table) {
  Tensor out(x.shape(), DType::f32);
  parallel_for(threads_, x.rows(), [&](int64_t row, int) {
    const float* from = row_of(x, row);
    const float* nearest = nullptr;
    float least = std::numeric_limits<float>::infinity();
    for (int64_t entry = 0; entry < table.rows(); ++entry) {
      const float* candidate = row_of(table, entry);
      float sum = 0;
      for (int64_t j = 0; j < x.columns(); ++j) sum += (from[j] - candidate[j]) * (from[j] - candidate[j]);
      if (nearest == nullptr || sum < least) {
        least = sum;
        nearest = candidate;
      }
    }
    std::copy_n(nearest, x.columns(), row_of(out, row));
  });
  return out;
}

Tensor CpuBackend::timestep_embedding(std::span<const double> t, int64_t width) {
  const int64_t half = width / 2;
  Tensor out({static_cast<int64_t>(t.size()), width}, DType::f32);
  for (int64_t row = 0; row < out.rows(); ++row)
    for (int64_t i = 0; i < half; ++i) {
      const auto exponent =
          static_cast<float>(-std::log(10000.0)) * static_cast<float>(i) / static_cast<float>(half);
      const float angle = static_cast<float>(t[static_cast<size_t>(row)]) * std::exp(exponent);
      row_of(out, row)[i] = std::cos(angle);
      row_of(out, row)[half + i] = std::sin(angle);
    }
  return out;
}

// ---- elementwise

Tensor CpuBackend::silu(const Tensor& x) {
  Tensor out(x.shape(), DType::f32);
  parallel_ranges(threads_, x.rows(), divide_up(kGrain, std::max<int64_t>(x.columns(), 1)),
                  [&](int64_t begin, int64_t end) {
                    for (int64_t row = begin; row < end; ++row)
                      kernels_.silu(row_of(x, row), row_of(out, row), x.columns());
                  });
  return out;
}

Tensor CpuBackend::clamp(const Tensor& x, double low, double high) {
  Tensor out(x.shape(), DType::f32);
  const auto least = static_cast<float>(low), most = static_cast<float>(high);
  map_elements(
      threads_, kGrain, out, [=](float a) { return std::clamp(a, least, most); }, x);
  return out;
}

Tensor CpuBackend::soft_clamp(const Tensor& x, double limit) {
  Tensor out(x.shape(), DType::f32);
  const auto l = static_cast<float>(limit);
  map_elements(
      threads_, kGrain, out, [=](float a) { return l * std::tanh(a / l); }, x);
  return out;
}

Tensor CpuBackend::cast(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return repeat(x, 1);
  Tensor out(x.shape(), dtype);
  parallel_ranges(threads_, x.rows(), divide_up(kGrain, std::max<int64_t>(x.columns(), 1)),
                  [&](int64_t begin, int64_t end) {
                    for (int64_t row = begin; row < end; ++row) {
                      if (dtype == DType::bf16)
                        kernels_.to_bf16(row_of(x, row), raw_row(out, row), x.columns());
                      else
                        kernels_.to_f32(raw_row(x, row), row_of(out, row), x.columns());
                    }
                  });
  return out;
}

Tensor CpuBackend::combine(std::span<const Term> terms, double offset) {
  Tensor out(terms[0].x->shape(), DType::f32);
  const auto start = static_cast<float>(offset);
  const auto first = static_cast<float>(terms[0].factor);
  map_elements(
      threads_, kGrain, out, [=](float x) { return start + first * x; }, *terms[0].x);
  for (const Term& term : terms.subspan(1)) {
    const auto factor = static_cast<float>(term.factor);
    map_elements(
        threads_, kGrain, out, [=](float sum, float x) { return sum + factor * x; }, out, *term.x);
  }
  return out;
}

Tensor CpuBackend::add_noise(const Tensor& mean, const Tensor& log_variance, const Tensor& noise) {
  Tensor out(mean.shape(), DType::f32);
  map_elements(
      threads_, kGrain, out, [](float m, float log_v, float e) { return m + std::exp(0.5f * log_v) * e; },
      mean, log_variance, noise);
  return out;
}

Tensor CpuBackend::guide(const Tensor& c, const Tensor& u, double scale, int64_t channels) {
  Tensor out(c.shape(), DType::f32);
  const auto factor = static_cast<float>(scale);
  map_elements(
      threads_, kGrain, out, [=](float cond, float uncond) { return uncond + factor * (cond - uncond); }, c,
      u);
  if (channels < c.columns())
    for (int64_t row = 0; row < out.rows(); ++row)
      std::copy_n(row_of(c, row) + channels, c.columns() - channels, row_of(out, row) + channels);
  return out;
}

// ---- layout

Tensor CpuBackend::patchify(const Tensor& x, int64_t p) {
  const int64_t N = x.extent(0), H = x.extent(1), W = x.extent(2), C = x.extent(3);
  const int64_t h = H / p, w = W / p;
  Tensor patches({N, h * w, p * p * C}, DType::f32);
  for (int64_t token = 0; token < patches.rows(); ++token) {
    const int64_t n = token / (h * w), y = token / w % h * p, column = token % w * p;
    float* to = row_of(patches, token);
    for (int64_t i = 0; i < p; ++i)
      for (int64_t j = 0; j < p; ++j) to = std::copy_n(row_of(x, (n * H + y + i) * W + column + j), C, to);
  }
  return compute_dtype_ == DType::f32 ? patches : cast(patches, compute_dtype_);
}

Tensor CpuBackend::unpatchify(const Tensor& tokens, int64_t p, int64_t height, int64_t width) {
  const int64_t N = tokens.extent(0), C = tokens.columns() / (p * p);
  const int64_t h = height / p, w = width / p;
  Tensor out({N, height, width, C}, DType::f32);
  for (int64_t token = 0; token < tokens.rows(); ++token) {
    const int64_t n = token / (h * w), y = token / w % h * p, column = token % w * p;
    const float* from = row_of(tokens, token);
    for (int64_t i = 0; i < p; ++i, from += p * C)
      std::copy_n(from, p * C, row_of(out, (n * height + y + i) * width + column));
  }
  return out;
}

Tensor CpuBackend::to_channels_last(const Tensor& x) {
  const int64_t N = x.extent(0), C = x.extent(1), H = x.extent(2), W = x.extent(3);
  Tensor out({N, H, W, C}, DType::f32);
  for (int64_t row = 0; row < x.rows(); ++row) {
    const int64_t n = row / (C * H), c = row / H % C, y = row % H;
    const float* from = row_of(x, row);
    float* to = row_of(out, (n * H + y) * W) + c;
    for (int64_t i = 0; i < W; ++i) to[i * C] = from[i];
  }
  return out;
}

Tensor CpuBackend::to_channels_first(const Tensor& x) {
  const int64_t N = x.extent(0), H = x.extent(1), W = x.extent(2), C = x.extent(3);
  Tensor out({N, C, H, W}, DType::f32);
  for (int64_t row = 0; row < out.rows(); ++row) {
    const int64_t n = row / (C * H), c = row / H % C, y = row % H;
    for (int64_t i = 0; i < W; ++i) row_of(out, row)[i] = row_of(x, (n * H + y) * W + i)[c];
  }
  return out;
}

Tensor CpuBackend::repeat(const Tensor& x, int64_t times) {
  Tensor out(x.shape().rank() ? x.shape().with(0, times * x.extent(0)) : x.shape(), x.dtype());
  if (x.is_contiguous()) {
    const auto bytes = static_cast<size_t>(x.elements() * size_of(x.dtype()));
    for (int64_t i = 0; i < times; ++i)
      std::memcpy(out.bytes() + static_cast<size_t>(i) * bytes, x.bytes(), bytes);
    return out;
  }
  const int64_t row_bytes = x.columns() * size_of(x.dtype());
  const int64_t grain = divide_up(4 * kGrain, std::max<int64_t>(row_bytes, 1));
  parallel_ranges(threads_, out.rows(), grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      std::memcpy(raw_row(out, row), raw_row(x, row % x.rows()), static_cast<size_t>(row_bytes));
  });
  return out;
}

Tensor CpuBackend::stack(std::span<const Tensor> parts) {
  int64_t N = 0;
  for (const Tensor& part : parts) N += part.extent(0);
  Tensor out(parts[0].shape().with(0, N), parts[0].dtype());
  const auto row_bytes = static_cast<size_t>(out.columns() * size_of(out.dtype()));
  int64_t row = 0;
  for (const Tensor& part : parts) {
    if (part.is_contiguous())
      std::memcpy(raw_row(out, row), part.bytes(), static_cast<size_t>(part.rows()) * row_bytes);
    else
      for (int64_t i = 0; i < part.rows(); ++i)
        std::memcpy(raw_row(out, row + i), raw_row(part, i), row_bytes);
    row += part.rows();
  }
  return out;
}

Tensor CpuBackend::concat_columns(const Tensor& a, const Tensor& b) {
  const auto bytes = [](const Tensor& x) { return static_cast<size_t>(x.columns() * size_of(x.dtype())); };
  Tensor out(a.shape().with(-1, a.columns() + b.columns()), a.dtype());
  parallel_ranges(threads_, out.rows(), divide_up(kGrain, out.columns()), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      std::memcpy(raw_row(out, row), raw_row(a, row), bytes(a));
      std::memcpy(raw_row(out, row) + bytes(a), raw_row(b, row), bytes(b));
    }
  });
  return out;
}

}  // namespace tstitch
