#include "tstitch/backend/cuda/cuda_backend.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "tstitch/backend/cuda/instances.h"
#include "tstitch/backend/cuda/launch.h"
#include "tstitch/base/error.h"

namespace tstitch {
namespace {

using namespace cuda;

constexpr int64_t kRowAlignment = 16;  // bytes, of what is multiplied: what the fast algorithms ask for
constexpr int kRowLanes = 256;         // of a block that sums over a row; narrow rows take one warp

int lanes_for(int64_t columns) { return columns <= 4 * kWarp ? kWarp : kRowLanes; }

float narrow(double x) { return static_cast<float>(x); }

class CudaLinear final : public PackedLinear {
 public:
  CudaLinear(Tensor w, Tensor bias, Tensor rounded_bias)
      : w_(std::move(w)), bias_(std::move(bias)), rounded_bias_(std::move(rounded_bias)) {}
  int64_t inputs() const override { return w_.extent(1); }
  int64_t outputs() const override { return w_.extent(0); }
  int64_t bytes() const override {
    const auto of = [](const Tensor& x) { return x ? x.rows() * x.row_stride() * size_of(x.dtype()) : 0; };
    return of(w_) + of(bias_) + of(rounded_bias_);
  }

  const Tensor& w() const { return w_; }  // (M, K) of the compute type
  const Tensor& bias(DType dtype) const { return dtype == DType::f32 ? bias_ : rounded_bias_; }

 private:
  Tensor w_, bias_, rounded_bias_;
};

class CudaConv2d final : public PackedConv2d {
 public:
  CudaConv2d(Tensor w, Tensor bias) : w_(std::move(w)), bias_(std::move(bias)) {}
  int64_t inputs() const override { return w_.extent(3); }
  int64_t outputs() const override { return w_.extent(0); }
  Extent2d kernel() const override { return {w_.extent(1), w_.extent(2)}; }
  int64_t bytes() const override {
    return w_.elements() * size_of(w_.dtype()) + (bias_ ? bias_.elements() * 4 : 0);
  }

  const Tensor& w() const { return w_; }        // (M, kh, kw, C) of the compute type
  const Tensor& bias() const { return bias_; }  // (M) f32

 private:
  Tensor w_, bias_;
};

}  // namespace

CudaBackend::CudaBackend(std::unique_ptr<Device> device, DType compute_dtype)
    : device_(std::make_unique<Recorder>(std::move(device))),
      compute_dtype_(compute_dtype),
      memory_(*device_),
      repeating_memory_(*device_) {}

std::string CudaBackend::description() const {
  return concat("cuda:", device_->number(), ": ", device_->name(), ", ", name_of(compute_dtype_));
}

Rows CudaBackend::rows_of(const Tensor& x) const {
  check_internal(x.place() == memory_.place(), "a tensor ", x.shape(), " of place ", x.place().device,
                 " is handed to device ", memory_.place().device);
  return {reinterpret_cast<void*>(x.device_address()), x.row_stride(), x.dtype()};
}

Matrix CudaBackend::matrix_of(const Tensor& x) const {
  return {static_cast<DeviceAddress>(reinterpret_cast<uintptr_t>(rows_of(x).at)), x.dtype(), x.rows(),
          x.columns(), x.row_stride()};
}

template <class T>
Tensor CudaBackend::arguments(std::span<const T> values) {
  Tensor bytes = make({static_cast<int64_t>(values.size_bytes())}, DType::u8);
  device_->upload(bytes.device_address(), values.data(), values.size_bytes());
  return bytes;
}

Tensor CudaBackend::parts_of(std::span<const Tensor> parts) {
  std::vector<Part> table;
  int64_t end = 0;
  for (const Tensor& part : parts) table.push_back({rows_of(part), end += part.rows()});
  return arguments(std::span<const Part>(table));
}

template <class Kernel>
void CudaBackend::launch(const Tensor& out, const Kernel& kernel) {
  cuda::launch(*device_, out.elements(), kernel);
}

void CudaBackend::copy(const Tensor& out, const Tensor& x, int64_t period) {
  launch(out, Copy{rows_of(x), rows_of(out), out.columns(), period});
}

Tensor CudaBackend::in_compute_type(const Tensor& x) {
  return x.dtype() == compute_dtype_ ? x : cast(x, compute_dtype_);
}

Tensor CudaBackend::aligned_rows(const Tensor& x) {
  const Matrix m = matrix_of(x);
  const uint64_t bits = static_cast<uint64_t>(m.at) | static_cast<uint64_t>(m.stride * size_of(m.dtype));
  if (m.dtype == compute_dtype_ && bits % kRowAlignment == 0) return x;
  const int64_t of = kRowAlignment / size_of(compute_dtype_), stride = (m.columns + of - 1) / of * of;
  const Tensor rows = make({m.rows, stride}, compute_dtype_).slice_columns(0, m.columns);
  copy(rows, x, std::max<int64_t>(m.rows, 1));
  return rows;
}

Tensor CudaBackend::repeated(const Tensor& x, FunctionRef<Tensor(const Tensor&)> work) {
  const Recorder::Turn turn = device_->take_turn();
  check_internal(repeating_ != std::this_thread::get_id(), "[repeated] within other such work");
  repeating_ = std::this_thread::get_id();
  try {
    const Tensor input = repeat(x, 1);  // where it always is
    Tensor y;
    device_->begin();
    try {
      y = work(input);
    } catch (...) {
      device_->abandon();
      throw;
    }
    device_->end();
    repeating_ = std::thread::id();
    return repeat(y, 1);
  } catch (...) {
    repeating_ = std::thread::id();
    throw;
  }
}

Tensor CudaBackend::make(const Shape& shape, DType dtype) {
  return Tensor(shape, dtype, repeating_ == std::this_thread::get_id() ? repeating_memory_ : memory_);
}

Tensor CudaBackend::upload(const Tensor& host) {
  check_internal(host.is_contiguous(), "[upload] strided rows");
  Tensor x = make(host.shape(), host.dtype());
  if (host.elements())
    device_->upload(x.device_address(), host.bytes(),
                    static_cast<size_t>(host.elements() * size_of(host.dtype())));
  return x;
}

Tensor CudaBackend::download(const Tensor& x) {
  const Matrix from = matrix_of(x);
  Tensor host(x.shape(), x.dtype());
  const auto bytes = [&](int64_t elements) { return static_cast<size_t>(elements * size_of(x.dtype())); };
  if (x.elements())
    device_->download(host.bytes(), from.at, bytes(x.columns()), bytes(x.row_stride()),
                      static_cast<size_t>(x.rows()));
  return host;
}

// ---- linear maps

std::unique_ptr<PackedLinear> CudaBackend::pack_linear(const Tensor& w, const Tensor& b) {
  const Tensor bias = b ? upload(b) : Tensor();
  return std::make_unique<CudaLinear>(aligned_rows(upload(w)), bias, b ? cast(bias, DType::bf16) : Tensor());
}

// cuBLASLt writes bf16 from bf16 only; and it adds to what it writes.
void CudaBackend::multiply(const Tensor& x, const PackedLinear& w, Tensor& y, bool gelu_tanh,
                           bool accumulate) {
  if (y.elements() == 0) return;
  if (compute_dtype_ == DType::f32 && y.dtype() == DType::bf16) {
    Tensor wide = accumulate ? cast(y, DType::f32) : make(y.shape(), DType::f32);
    multiply(x, w, wide, gelu_tanh, accumulate);
    return copy(y, wide, y.rows());
  }
  const auto& packed = dynamic_cast<const CudaLinear&>(w);
  const Tensor input = aligned_rows(x), bias = packed.bias(y.dtype());
  device_->multiply({.x = matrix_of(input),
                     .w = matrix_of(packed.w()),
                     .y = matrix_of(y),
                     .bias = bias ? bias.device_address() : DeviceAddress{},
                     .gelu_tanh = gelu_tanh,
                     .accumulate = accumulate});
}

// What the library does not activate is computed in f32, activated, and only then rounded.
Tensor CudaBackend::linear(const Tensor& x, const PackedLinear& w, Activation act, DType out) {
  const Shape shape = x.shape().with(-1, w.outputs());
  const bool fused = act == Activation::none ||
                     (act == Activation::gelu_tanh && out == DType::bf16 && compute_dtype_ == DType::bf16);
  Tensor y = make(shape, fused ? out : DType::f32);
  multiply(x, w, y, fused && act == Activation::gelu_tanh, false);
  if (fused) return y;
  Tensor activated = out == DType::f32 ? y : make(shape, out);
  launch(activated, Activate{rows_of(y), rows_of(activated), y.columns(), act});
  return activated;
}

void CudaBackend::add_gated_linear(Tensor& residual, const Tensor& gate, const Tensor& x,
                                   const PackedLinear& w) {
  Tensor y = make(residual.shape(), compute_dtype_);
  multiply(x, w, y, false, false);
  launch(residual, AddGated{rows_of(residual), rows_of(gate), rows_of(y), y.columns(), residual.extent(1)});
}

void CudaBackend::add_linear(Tensor& sum, const Tensor& x, const PackedLinear& w) {
  multiply(x, w, sum, false, true);
}

// ---- convolutions

std::unique_ptr<PackedConv2d> CudaBackend::pack_conv2d(const Tensor& w, const Tensor& b) {
  const int64_t M = w.extent(0), C = w.extent(1), kh = w.extent(2), kw = w.extent(3);
  const Tensor last = to_channels_last(w.dtype() == DType::f32 ? upload(w) : cast(upload(w), DType::f32));
  return std::make_unique<CudaConv2d>(in_compute_type(last).reshape({M, kh, kw, C}),
                                      b ? upload(b) : Tensor());
}

// The strip that `path` asks for, with bias, into y, which is dense and of the compute type.
void CudaBackend::convolve(Tensor& y, const Tensor& x, const PackedConv2d& w, const Conv2dPath& path) {
  const auto& packed = dynamic_cast<const CudaConv2d&>(w);
  const int64_t N = x.extent(0), H = x.extent(1), W = x.extent(2), C = x.extent(3);
  const int64_t repeats = path.upsample ? 2 : 1, rows = y.extent(1), kh = w.kernel().height;
  // Rows of the (enlarged) input that the strip reads, from `first` on; above and below them are zeros.
  const int64_t above = path.begin * path.stride - path.pad_before.height,
                below = above + (rows - 1) * path.stride + kh;
  const int64_t first = std::max<int64_t>(above, 0), last = std::min(below, path.read({H, W}).height),
                width = path.read({H, W}).width;
  check_internal(first < last, "[conv2d] a strip that reads only padding");

  Tensor input = x, norm;
  int64_t image = H * W * C, begin = first;
  if (path.norm || path.act != Activation::none || path.upsample || x.dtype() != compute_dtype_ ||
      !x.is_contiguous()) {
    input = make({N, last - first, width, C}, compute_dtype_);
    launch(input, ConvolutionInput{.x = rows_of(x),
                                   .norm = path.norm ? rows_of(*path.norm) : Rows{},
                                   .out = rows_of(input),
                                   .H = H,
                                   .W = W,
                                   .C = C,
                                   .first = first,
                                   .height = last - first,
                                   .width = width,
                                   .repeats = repeats,
                                   .act = path.act});
    image = (last - first) * width * C;
    begin = 0;
  }

  Tensor bias = packed.bias();
  if (path.image_bias) {
    const Tensor both = make({N, w.outputs()}, DType::f32);
    launch(both, ImageBias{bias ? static_cast<const float*>(rows_of(bias).at) : nullptr,
                           rows_of(*path.image_bias), rows_of(both), w.outputs()});
    bias = both;
  }

  const auto offset = static_cast<uintptr_t>(begin * width * C * size_of(compute_dtype_));
  device_->convolve({.x = static_cast<DeviceAddress>(static_cast<uintptr_t>(input.device_address()) + offset),
                     .w = packed.w().device_address(),
                     .y = y.device_address(),
                     .bias = bias ? bias.device_address() : DeviceAddress{},
                     .bias_per_image = path.image_bias != nullptr,
                     .x_type = compute_dtype_,
                     .y_type = compute_dtype_,
                     .N = N,
                     .H = last - first,
                     .W = width,
                     .C = C,
                     .M = w.outputs(),
                     .kh = kh,
                     .kw = w.kernel().width,
                     .x_image = image,
                     .stride = path.stride,
                     .top = first - above,
                     .left = path.pad_before.width,
                     .bottom = below - last,
                     .right = path.pad_after.width});
}

void CudaBackend::convolve_into(Tensor& out, const Tensor& x, const PackedConv2d& w, const Conv2dPath& path,
                                Activation act, bool accumulate) {
  if (out.elements() == 0) return;
  const bool as_it_is =
      !accumulate && act == Activation::none && out.dtype() == compute_dtype_ && out.is_contiguous();
  Tensor y = as_it_is ? out : make(out.shape(), compute_dtype_);
  convolve(y, x, w, path);
  if (as_it_is) return;
  launch(out, ConvolutionOutput{rows_of(y), rows_of(out), out.columns(), accumulate, act});
}

void CudaBackend::conv2d(Tensor& out, const Tensor& x, const PackedConv2d& w, const Conv2dPath& path,
                         Activation act) {
  convolve_into(out, x, w, path, act, false);
}

void CudaBackend::add_conv2d(Tensor& sum, const Tensor& x, const PackedConv2d& w, const Conv2dPath& path,
                             Activation act) {
  convolve_into(sum, x, w, path, act, true);
}

void CudaBackend::pool(Tensor& out, const Tensor& x, const PoolPath& path) {
  launch(out, Pool{.x = rows_of(x),
                   .out = rows_of(out),
                   .H = x.extent(1),
                   .W = x.extent(2),
                   .C = x.extent(3),
                   .H_out = out.extent(1),
                   .W_out = out.extent(2),
                   .window = path.window,
                   .stride = path.stride,
                   .pad = path.pad,
                   .mean = path.of == PoolPath::Of::mean});
}

// ---- group norm

Tensor CudaBackend::group_moments(const Tensor& x, int64_t groups) {
  Tensor moments = make({x.extent(0), x.extent(1), groups, 2}, DType::f32);
  const int64_t W = x.extent(2), C = x.extent(3);
  const int lanes = lanes_for(W * C / groups);
  launch_blocks(*device_, moments.rows(), lanes, lanes / kWarp,
                GroupMoments{rows_of(x), static_cast<float*>(rows_of(moments).at), W, C, groups});
  return moments;
}

Tensor CudaBackend::group_norm_scale_shift(std::span<const Tensor> moments, const Tensor& gamma,
                                           const Tensor& beta, double eps) {
  const int64_t N = moments[0].extent(0), groups = moments[0].extent(2), C = gamma.elements();
  std::vector<Part> strips;
  int64_t height = 0;
  for (const Tensor& strip : moments) strips.push_back({rows_of(strip), height += strip.extent(1)});
  const Tensor table = arguments(std::span<const Part>(strips));
  Tensor norm = make({N, 2, C}, DType::f32);
  const int lanes = lanes_for(height);
  launch_blocks(*device_, N * groups, lanes, lanes / kWarp,
                GroupScaleShift{.strips = static_cast<const Part*>(rows_of(table).at),
                                .gamma = static_cast<const float*>(rows_of(gamma).at),
                                .beta = static_cast<const float*>(rows_of(beta).at),
                                .out = static_cast<float*>(rows_of(norm).at),
                                .C = C,
                                .groups = groups,
                                .height = height,
                                .eps = narrow(eps)});
  return norm;
}

Tensor CudaBackend::scale_shift(const Tensor& x, const Tensor& norm, Activation act) {
  Tensor out = make(x.shape(), compute_dtype_);
  const int64_t H = x.extent(1), W = x.extent(2), C = x.extent(3);
  launch(out, ConvolutionInput{.x = rows_of(x),
                               .norm = rows_of(norm),
                               .out = rows_of(out),
                               .H = H,
                               .W = W,
                               .C = C,
                               .first = 0,
                               .height = H,
                               .width = W,
                               .repeats = 1,
                               .act = act});
  return out;
}

// ---- attention

// q, out: (N, T, D); k, v: (N, S, D), or (S, D) for all images.
bool CudaBackend::attend(const Tensor& out, const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads,
                         bool kv_shared) {
  if (compute_dtype_ != DType::bf16 || !q.elements()) return false;
  const cuda::Attention attention = {.q = matrix_of(q).at,
                                     .k = matrix_of(k).at,
                                     .v = matrix_of(v).at,
                                     .out = matrix_of(out).at,
                                     .q_stride = q.row_stride(),
                                     .k_stride = k.row_stride(),
                                     .v_stride = v.row_stride(),
                                     .N = q.extent(0),
                                     .T = q.extent(1),
                                     .S = kv_shared ? k.extent(0) : k.extent(1),
                                     .heads = heads,
                                     .d = q.extent(2) / heads,
                                     .kv_shared = kv_shared};
  if (!device_->attends(attention)) return false;
  device_->attend(attention);
  return true;
}

Tensor CudaBackend::attention(const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads) {
  Tensor out = make(q.shape(), compute_dtype_);
  if (!attend(out, q, k, v, heads, false)) tiled_attention(out, q, images_of(k, v), heads, false);
  return out;
}

// Images side by side that see the same keys are attended together, any other by itself. Who does it, and
// with what engine, depends on T, d, the strides and the addresses of an image and on its keys, never on
// those beside it, so that company changes no bit: what the library attends in a batch it would also attend
// alone, and the kernel does the rest. Other keys of the same length are not stacked: that would be a copy of
// them in every layer to save a launch.
Tensor CudaBackend::cross_attention(const Tensor& q, std::span<const Tensor* const> keys_values,
                                    int64_t heads) {
  const int64_t N = q.extent(0), D = q.extent(2);
  Tensor out = make(q.shape(), compute_dtype_);
  std::vector<KeysValues> tiled;
  for (int64_t n = 0, end = 0; n < N; n = end) {
    const Tensor& kv = *keys_values[static_cast<size_t>(n)];
    while (end < N && keys_values[static_cast<size_t>(end)] == &kv) ++end;
    const Tensor k = kv.slice_columns(0, D), v = kv.slice_columns(D, 2 * D);
    if (attend(out.slice(n, end), q.slice(n, end), k, v, heads, true)) continue;
    for (int64_t image = n; image < end; ++image)
      tiled.push_back({image, rows_of(k), rows_of(v), kv.extent(0)});
  }
  tiled_attention(out, q, tiled, heads, false);
  return out;
}

Tensor CudaBackend::causal_attention(const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads) {
  Tensor out = make(q.shape(), compute_dtype_);
  tiled_attention(out, q, images_of(k, v), heads, true);
  return out;
}

std::vector<KeysValues> CudaBackend::images_of(const Tensor& k, const Tensor& v) const {
  std::vector<KeysValues> images;
  for (int64_t n = 0; n < k.extent(0); ++n)
    images.push_back({n, rows_of(k.slice(n, n + 1)), rows_of(v.slice(n, n + 1)), k.extent(1)});
  return images;
}

void CudaBackend::tiled_attention(const Tensor& out, const Tensor& q, std::span<const KeysValues> images,
                                  int64_t heads, bool causal) {
  if (images.empty()) return;
  const int64_t T = q.extent(1), d = q.extent(2) / heads;
  const Tensor table = arguments(std::span<const KeysValues>(images));
  const auto run = [&]<class Kernel>(const Kernel* of) {
    constexpr int64_t kTile = Kernel::kTile;
    static_cast<void>(of);
    const int64_t tiles = (T + kTile - 1) / kTile;
    launch_blocks(*device_, std::ssize(images) * heads * tiles, Kernel::kWarps * kWarp,
                  static_cast<int>(Kernel::scratch(d)),
                  Kernel{.q = rows_of(q),
                         .out = rows_of(out),
                         .images = static_cast<const KeysValues*>(rows_of(table).at),
                         .T = T,
                         .heads = heads,
                         .d = d,
                         .tiles = tiles,
                         .causal = causal,
                         .scale = narrow(1 / std::sqrt(static_cast<double>(d)))});
  };
  if (d <= TiledAttention<2>::kMostColumns)
    run(static_cast<const TiledAttention<2>*>(nullptr));
  else if (d <= TiledAttention<4>::kMostColumns)
    run(static_cast<const TiledAttention<4>*>(nullptr));
  else if (d <= TiledAttention<8>::kMostColumns)
    run(static_cast<const TiledAttention<8>*>(nullptr));
  else {
    check(d <= TiledAttention<16>::kMostColumns, ErrorKind::device, "heads of ", d,
          " channels: the attention of this device takes up to ", TiledAttention<16>::kMostColumns);
    run(static_cast<const TiledAttention<16>*>(nullptr));
  }
}

// ---- rows

Tensor CudaBackend::row_norm(const Tensor& x, const Tensor& scale, const Tensor& shift, int64_t T,
                             double unit, double eps) {
  Tensor out = make(x.shape(), compute_dtype_);
  const int lanes = lanes_for(x.columns());
  launch_blocks(*device_, x.rows(), lanes, lanes / kWarp,
                RowNorm{.x = rows_of(x),
                        .scale = rows_of(scale),
                        .shift = rows_of(shift),
                        .out = rows_of(out),
                        .T = T,
                        .D = x.columns(),
                        .unit = narrow(unit),
                        .eps = narrow(eps)});
  return out;
}

Tensor CudaBackend::modulated_norm(const Tensor& x, const Tensor& shift, const Tensor& scale, double eps) {
  return row_norm(x, scale, shift, x.extent(1), 1, eps);
}

Tensor CudaBackend::layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps) {
  return row_norm(x, gamma, beta, std::max<int64_t>(x.rows(), 1), 0, eps);
}

Tensor CudaBackend::geglu(const Tensor& x) {
  Tensor out = make(x.shape().with(-1, x.columns() / 2), compute_dtype_);
  launch(out, Geglu{rows_of(x), rows_of(out), out.columns()});
  return out;
}

void CudaBackend::add_rows(Tensor& x, const Tensor& y) {
  launch(x, AddRows{rows_of(x), rows_of(y), x.columns(), y.rows()});
}

Tensor CudaBackend::gather(const Tensor& table, std::span<const int64_t> indices) {
  Tensor out = make({static_cast<int64_t>(indices.size()), table.columns()}, DType::f32);
  const Tensor rows = arguments(indices);
  launch(out,
         Gather{rows_of(table), static_cast<const int64_t*>(rows_of(rows).at), rows_of(out), out.columns()});
  return out;
}

void CudaBackend::scatter(Tensor& table, std::span<const int64_t> indices, const Tensor& rows) {
  const Tensor numbers = arguments(indices);
  launch(rows, Scatter{rows_of(table), static_cast<const int64_t*>(rows_of(numbers).at), rows_of(rows),
                       rows.columns()});
}

Tensor CudaBackend::nearest_rows(const Tensor& x, const Tensor& table) {
  check(table.rows() < 1 << 24, ErrorKind::device, "a table of ", table.rows(),
        " rows: this device searches fewer than 2^24");
  Tensor out = make(x.shape(), DType::f32);
  launch_blocks(*device_, x.rows(), kRowLanes, 2 * kRowLanes / kWarp,
                NearestRows{rows_of(x), rows_of(table), rows_of(out), x.columns(), table.rows()});
  return out;
}

Tensor CudaBackend::timestep_embedding(std::span<const double> t, int64_t width) {
  Tensor out = make({static_cast<int64_t>(t.size()), width}, DType::f32);
  const Tensor times = arguments(t);
  launch(out, TimestepEmbedding{static_cast<const double*>(rows_of(times).at), rows_of(out), width});
  return out;
}

// ---- elementwise

Tensor CudaBackend::silu(const Tensor& x) {
  Tensor out = make(x.shape(), DType::f32);
  launch(out, Activate{rows_of(x), rows_of(out), out.columns(), Activation::silu});
  return out;
}

Tensor CudaBackend::clamp(const Tensor& x, double low, double high) {
  Tensor out = make(x.shape(), DType::f32);
  launch(out, Clamp{rows_of(x), rows_of(out), out.columns(), narrow(low), narrow(high)});
  return out;
}

Tensor CudaBackend::soft_clamp(const Tensor& x, double limit) {
  Tensor out = make(x.shape(), DType::f32);
  launch(out, SoftClamp{rows_of(x), rows_of(out), out.columns(), narrow(limit)});
  return out;
}

Tensor CudaBackend::cast(const Tensor& x, DType dtype) {
  Tensor out = make(x.shape(), dtype);
  copy(out, x, std::max<int64_t>(x.rows(), 1));
  return out;
}

Tensor CudaBackend::combine(std::span<const Term> terms, double offset) {
  Tensor out = make(terms[0].x->shape(), DType::f32);
  Combine kernel = {.terms = static_cast<int>(terms.size()),
                    .offset = narrow(offset),
                    .out = rows_of(out),
                    .columns = out.columns()};
  for (size_t i = 0; i < terms.size(); ++i) {
    kernel.x[i] = rows_of(*terms[i].x);
    kernel.factor[i] = narrow(terms[i].factor);
  }
  launch(out, kernel);
  return out;
}

Tensor CudaBackend::add_noise(const Tensor& mean, const Tensor& log_variance, const Tensor& noise) {
  Tensor out = make(mean.shape(), DType::f32);
  launch(out, AddNoise{rows_of(mean), rows_of(log_variance), rows_of(noise), rows_of(out), out.columns()});
  return out;
}

Tensor CudaBackend::guide(const Tensor& c, const Tensor& u, double scale, int64_t channels) {
  Tensor out = make(c.shape(), DType::f32);
  launch(out, Guide{rows_of(c), rows_of(u), rows_of(out), out.columns(), channels, narrow(scale)});
  return out;
}

// ---- layout

Tensor CudaBackend::patchify(const Tensor& x, int64_t p) {
  const int64_t N = x.extent(0), H = x.extent(1), W = x.extent(2), C = x.extent(3);
  Tensor out = make({N, H / p * (W / p), p * p * C}, compute_dtype_);
  launch(out, Patchify{rows_of(x), rows_of(out), H, W, C, p});
  return out;
}

Tensor CudaBackend::unpatchify(const Tensor& tokens, int64_t p, int64_t height, int64_t width) {
  const int64_t C = tokens.columns() / (p * p);
  Tensor out = make({tokens.extent(0), height, width, C}, DType::f32);
  launch(out, Unpatchify{rows_of(tokens), rows_of(out), height, width, C, p});
  return out;
}

Tensor CudaBackend::to_channels_last(const Tensor& x) {
  const int64_t C = x.extent(1), H = x.extent(2), W = x.extent(3);
  Tensor out = make({x.extent(0), H, W, C}, DType::f32);
  launch(out, ToChannelsLast{rows_of(x), rows_of(out), H, W, C});
  return out;
}

Tensor CudaBackend::to_channels_first(const Tensor& x) {
  const int64_t H = x.extent(1), W = x.extent(2), C = x.extent(3);
  Tensor out = make({x.extent(0), C, H, W}, DType::f32);
  launch(out, ToChannelsFirst{rows_of(x), rows_of(out), H, W, C});
  return out;
}

Tensor CudaBackend::repeat(const Tensor& x, int64_t times) {
  Tensor out = make(x.shape().rank() ? x.shape().with(0, times * x.extent(0)) : x.shape(), x.dtype());
  copy(out, x, std::max<int64_t>(x.rows(), 1));
  return out;
}

Tensor CudaBackend::stack(std::span<const Tensor> parts) {
  int64_t N = 0;
  for (const Tensor& part : parts) N += part.extent(0);
  Tensor out = make(parts[0].shape().with(0, N), parts[0].dtype());
  const Tensor table = parts_of(parts);
  launch(out, Stack{static_cast<const Part*>(rows_of(table).at), rows_of(out), out.columns()});
  return out;
}

Tensor CudaBackend::concat_columns(const Tensor& a, const Tensor& b) {
  const int64_t A = a.columns();
  Tensor out = make(a.shape().with(-1, A + b.columns()), a.dtype());
  copy(out.slice_columns(0, A), a, std::max<int64_t>(a.rows(), 1));
  copy(out.slice_columns(A, A + b.columns()), b, std::max<int64_t>(b.rows(), 1));
  return out;
}

}  // namespace tstitch
