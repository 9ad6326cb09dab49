#include "tstitch/backend/cpu/cpu_backend.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "tstitch/backend/cpu/attention.h"
#include "tstitch/backend/cpu/packed_linear.h"
#include "tstitch/base/error.h"

namespace tstitch::cpu {
namespace {

const uint16_t* bits(const bfloat16* p) { return reinterpret_cast<const uint16_t*>(p); }
uint16_t* bits(bfloat16* p) { return reinterpret_cast<uint16_t*>(p); }

const float* row(const Tensor& x, int64_t i) { return x.data<float>() + i * x.row_stride(); }
float* row(Tensor& x, int64_t i) { return x.data<float>() + i * x.row_stride(); }

std::byte* element(Tensor& x, int64_t r, int64_t column) {
  return x.bytes() + (r * x.row_stride() + column) * size_of(x.dtype());
}

// Where starting the threads costs more than the work.
constexpr int64_t kSmallWork = 1 << 15;

// f(i) for 0 <= i < n, shared out when the elements are worth it.
template <class F>
void for_all(int threads, int64_t n, int64_t elements_each, const F& f) {
#pragma omp parallel for num_threads(threads) schedule(static) if (n * elements_each > kSmallWork)
  for (int64_t i = 0; i < n; ++i) f(i);
}

// The products of all rows of x with all panels of w. epilogue(first row, panel) -> Epilogue; rows of one epilogue are
// `rows_together`: a block of rows never crosses them.
template <class MakeEpilogue>
void multiply(const Kernels& kernels, int threads, const Tensor& x, const PanelLinear& w, Tensor& out, int64_t rows_together,
              const MakeEpilogue& epilogue) {
  const int64_t rows = out.rows(), R = kernels.most_rows, groups = rows / rows_together;
  // A task is one panel for a span of rows. A panel is read from memory once per span, so the spans are long: all the
  // rows, unless there are too few panels to keep the threads busy.
  const int64_t spans = w.panel_count() >= 4 * threads ? 1 : (4 * threads + w.panel_count() - 1) / w.panel_count();
  const int64_t blocks_each = (rows_together + R - 1) / R, blocks = groups * blocks_each;
  const int64_t span = (blocks + spans - 1) / spans;
  const bool bf16 = w.dtype() == DType::bf16;
#pragma omp parallel for num_threads(threads) schedule(dynamic) collapse(2) if (rows * w.outputs() * w.inputs() > kSmallWork * 16)
  for (int64_t panel = 0; panel < w.panel_count(); ++panel)
    for (int64_t first = 0; first < blocks; first += span)
      for (int64_t block = first; block < std::min(first + span, blocks); ++block) {
        const int64_t group = block / blocks_each, in_group = block % blocks_each * R;
        const int64_t r = group * rows_together + in_group, count = std::min(R, rows_together - in_group);
        const int64_t column = panel * kernels.panel, columns = std::min(kernels.panel, w.outputs() - column);
        const Epilogue e = epilogue(group, panel);
        if (bf16)
          kernels.product_bf16(count, columns, w.padded_inputs(), bits(x.data<bfloat16>()) + r * x.row_stride(),
                               x.row_stride(), reinterpret_cast<const uint16_t*>(w.panel(panel)), e, element(out, r, column),
                               out.row_stride());
        else
          kernels.product_f32(count, columns, w.padded_inputs(), row(x, r), x.row_stride(),
                              reinterpret_cast<const float*>(w.panel(panel)), e, element(out, r, column), out.row_stride());
      }
}

}  // namespace

CpuBackend::CpuBackend(const Kernels& kernels, DType compute_dtype, int threads)
    : kernels_(kernels), compute_dtype_(compute_dtype), threads_(threads) {}

std::string CpuBackend::description() const {
  return concat("cpu: ", kernels_.name, ", ", threads_, threads_ == 1 ? " thread, " : " threads, ", name_of(compute_dtype_));
}

Tensor CpuBackend::upload(const Tensor& host) { return repeat(host, 1); }
Tensor CpuBackend::download(const Tensor& x) { return repeat(x, 1); }

std::unique_ptr<PackedLinear> CpuBackend::pack_linear(const Tensor& w, const Tensor& b) {
  return std::make_unique<PanelLinear>(kernels_, cast(w, compute_dtype_), b);
}

Tensor CpuBackend::prepare_input(const Tensor& x, int64_t padded_K) {
  if (x.dtype() == compute_dtype_ && x.columns() == padded_K) return x;
  Tensor input({x.rows(), padded_K}, compute_dtype_);
  const int64_t K = x.columns();
  const auto element_bytes = static_cast<size_t>(size_of(compute_dtype_));
  for_all(threads_, x.rows(), K, [&](int64_t i) {
    std::byte* target = input.bytes() + i * padded_K * element_bytes;
    if (x.dtype() == compute_dtype_)
      std::memcpy(target, x.bytes() + i * x.row_stride() * element_bytes, K * element_bytes);
    else if (compute_dtype_ == DType::bf16)
      kernels_.to_bf16(K, row(x, i), reinterpret_cast<uint16_t*>(target));
    else
      kernels_.to_f32(K, bits(x.data<bfloat16>()) + i * x.row_stride(), reinterpret_cast<float*>(target));
    std::memset(target + K * element_bytes, 0, (padded_K - K) * element_bytes);
  });
  return input;
}

Tensor CpuBackend::linear(const Tensor& x, const PackedLinear& weights, Activation act, DType out_dtype) {
  const auto& w = dynamic_cast<const PanelLinear&>(weights);
  const Tensor input = prepare_input(x, w.padded_inputs());
  Tensor out(x.shape().with(-1, w.outputs()), out_dtype);
  const auto kind = act == Activation::gelu_tanh ? Epilogue::Kind::gelu_tanh
                    : act == Activation::silu    ? Epilogue::Kind::silu
                                                 : Epilogue::Kind::plain;
  multiply(kernels_, threads_, input, w, out, out.rows(), [&](int64_t, int64_t panel) {
    return Epilogue{.kind = kind, .store_bf16 = out_dtype == DType::bf16, .bias = w.bias(panel)};
  });
  return out;
}

void CpuBackend::add_gated_linear(Tensor& residual, const Tensor& gate, const Tensor& x, const PackedLinear& weights) {
  const auto& w = dynamic_cast<const PanelLinear&>(weights);
  const Tensor input = prepare_input(x, w.padded_inputs());
  multiply(kernels_, threads_, input, w, residual, x.extent(1), [&](int64_t n, int64_t panel) {
    return Epilogue{.kind = Epilogue::Kind::add_gated, .bias = w.bias(panel), .gate = row(gate, n) + panel * kernels_.panel};
  });
}

Tensor CpuBackend::attention(const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads) {
  Tensor out(q.shape(), compute_dtype_);
  cpu::attention(kernels_, threads_, q, k, v, heads, out);
  return out;
}

Tensor CpuBackend::modulated_norm(const Tensor& x, const Tensor& shift, const Tensor& scale, double eps) {
  const int64_t T = x.extent(1), D = x.extent(2);
  Tensor out(x.shape(), compute_dtype_);
  for_all(threads_, x.rows(), 4 * D, [&](int64_t i) {
    kernels_.modulated_norm(D, row(x, i), row(shift, i / T), row(scale, i / T), eps, element(out, i, 0),
                            compute_dtype_ == DType::bf16);
  });
  return out;
}

void CpuBackend::add_rows(Tensor& x, const Tensor& y) {
  const int64_t T = y.rows(), D = x.columns();
  for_all(threads_, x.rows(), D, [&](int64_t i) {
    float* target = row(x, i);
    const float* source = row(y, i % T);
    for (int64_t j = 0; j < D; ++j) target[j] += source[j];
  });
}

Tensor CpuBackend::gather(const Tensor& table, std::span<const int64_t> indices) {
  Tensor out({static_cast<int64_t>(indices.size()), table.columns()}, DType::f32);
  for (size_t i = 0; i < indices.size(); ++i) std::copy_n(row(table, indices[i]), table.columns(), row(out, static_cast<int64_t>(i)));
  return out;
}

Tensor CpuBackend::timestep_embedding(std::span<const double> t, int64_t width) {
  const int64_t half = width / 2;
  Tensor out({static_cast<int64_t>(t.size()), width}, DType::f32);
  for (int64_t i = 0; i < out.rows(); ++i)
    for (int64_t j = 0; j < half; ++j) {
      const float exponent = static_cast<float>(-std::log(10000.0)) * static_cast<float>(j) / static_cast<float>(half);
      const float angle = static_cast<float>(t[i]) * std::exp(exponent);
      row(out, i)[j] = std::cos(angle);
      row(out, i)[half + j] = std::sin(angle);
    }
  return out;
}

Tensor CpuBackend::silu(const Tensor& x) {
  Tensor out(x.shape(), DType::f32);
  for_all(threads_, x.rows(), 8 * x.columns(), [&](int64_t i) { kernels_.silu(x.columns(), row(x, i), row(out, i)); });
  return out;
}

Tensor CpuBackend::cast(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  Tensor out(x.shape(), dtype);
  for_all(threads_, x.rows(), x.columns(), [&](int64_t i) {
    if (dtype == DType::bf16)
      kernels_.to_bf16(x.columns(), row(x, i), bits(out.data<bfloat16>()) + i * out.row_stride());
    else
      kernels_.to_f32(x.columns(), bits(x.data<bfloat16>()) + i * x.row_stride(), row(out, i));
  });
  return out;
}

Tensor CpuBackend::combine(std::span<const Term> terms, double offset) {
  Tensor out(terms[0].x->shape(), DType::f32);
  const int64_t columns = out.columns();
  for_all(threads_, out.rows(), columns * static_cast<int64_t>(terms.size()), [&](int64_t i) {
    float* target = row(out, i);
    std::fill_n(target, columns, static_cast<float>(offset));
    for (const Term& term : terms) {
      const auto factor = static_cast<float>(term.factor);
      const float* x = row(*term.x, i);
      for (int64_t j = 0; j < columns; ++j) target[j] += factor * x[j];
    }
  });
  return out;
}

Tensor CpuBackend::add_noise(const Tensor& mean, const Tensor& log_variance, const Tensor& noise) {
  Tensor out(mean.shape(), DType::f32);
  const int64_t columns = out.columns();
  for_all(threads_, out.rows(), 8 * columns, [&](int64_t i) {
    float* target = row(out, i);
    kernels_.exp_half(columns, row(log_variance, i), target);
    for (int64_t j = 0; j < columns; ++j) target[j] = row(mean, i)[j] + target[j] * row(noise, i)[j];
  });
  return out;
}

Tensor CpuBackend::guide(const Tensor& c, const Tensor& u, double scale, int64_t channels) {
  Tensor out(c.shape(), DType::f32);
  const auto s = static_cast<float>(scale);
  for_all(threads_, out.rows(), out.columns(), [&](int64_t i) {
    const float *cond = row(c, i), *uncond = row(u, i);
    float* target = row(out, i);
    for (int64_t j = 0; j < out.columns(); ++j) target[j] = j < channels ? uncond[j] + s * (cond[j] - uncond[j]) : cond[j];
  });
  return out;
}

Tensor CpuBackend::patchify(const Tensor& x, int64_t p) {
  const int64_t N = x.extent(0), H = x.extent(1), W = x.extent(2), C = x.extent(3), h = H / p, w = W / p;
  Tensor out({N, h * w, p * p * C}, DType::f32);
  for_all(threads_, out.rows(), out.columns(), [&](int64_t i) {
    const int64_t n = i / (h * w), y = i / w % h * p, column = i % w * p;
    for (int64_t j = 0; j < p * p; ++j)
      std::copy_n(row(x, (n * H + y + j / p) * W + column + j % p), C, row(out, i) + j * C);
  });
  return cast(out, compute_dtype_);
}

Tensor CpuBackend::unpatchify(const Tensor& tokens, int64_t p, int64_t height, int64_t width) {
  const int64_t N = tokens.extent(0), C = tokens.columns() / (p * p), h = height / p, w = width / p;
  Tensor out({N, height, width, C}, DType::f32);
  for_all(threads_, tokens.rows(), tokens.columns(), [&](int64_t i) {
    const int64_t n = i / (h * w), y = i / w % h * p, column = i % w * p;
    for (int64_t j = 0; j < p * p; ++j)
      std::copy_n(row(tokens, i) + j * C, C, row(out, (n * height + y + j / p) * width + column + j % p));
  });
  return out;
}

Tensor CpuBackend::to_channels_last(const Tensor& x) {
  const int64_t N = x.extent(0), C = x.extent(1), H = x.extent(2), W = x.extent(3);
  Tensor out({N, H, W, C}, DType::f32);
  for_all(threads_, N * H, W * C, [&](int64_t i) {
    for (int64_t c = 0; c < C; ++c) {
      const float* source = row(x, (i / H * C + c) * H + i % H);
      for (int64_t j = 0; j < W; ++j) row(out, i * W + j)[c] = source[j];
    }
  });
  return out;
}

Tensor CpuBackend::to_channels_first(const Tensor& x) {
  const int64_t N = x.extent(0), H = x.extent(1), W = x.extent(2), C = x.extent(3);
  Tensor out({N, C, H, W}, DType::f32);
  for_all(threads_, N * H, W * C, [&](int64_t i) {
    for (int64_t c = 0; c < C; ++c) {
      float* target = row(out, (i / H * C + c) * H + i % H);
      for (int64_t j = 0; j < W; ++j) target[j] = row(x, i * W + j)[c];
    }
  });
  return out;
}

Tensor CpuBackend::repeat(const Tensor& x, int64_t times) {
  Tensor out(x.shape().rank() ? x.shape().with(0, times * x.extent(0)) : x.shape(), x.dtype());
  const auto row_bytes = static_cast<size_t>(x.columns() * size_of(x.dtype()));
  for_all(threads_, out.rows(), x.columns(), [&](int64_t i) {
    std::memcpy(element(out, i, 0), x.bytes() + i % x.rows() * x.row_stride() * size_of(x.dtype()), row_bytes);
  });
  return out;
}

}  // namespace tstitch::cpu
