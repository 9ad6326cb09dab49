#include "tstitch/ops/ops.h"

#include <algorithm>
#include <utility>

#include "tstitch/base/error.h"

namespace tstitch {
namespace {

void expect_shape(const char* op, const char* name, const Tensor& x, const Shape& expected) {
  check_internal(x.shape() == expected, "[", op, "] ", name, " has the shape ", x.shape(), ", expected ",
                 expected);
}

void expect_rank(const char* op, const char* name, const Tensor& x, int rank) {
  check_internal(x.shape().rank() == rank, "[", op, "] ", name, " has the shape ", x.shape(), ", expected ",
                 rank, " dimensions");
}

void expect_type(const char* op, const char* name, const Tensor& x, DType dtype) {
  check_internal(x.dtype() == dtype, "[", op, "] ", name, " is ", name_of(x.dtype()), ", expected ",
                 name_of(dtype));
}

void expect_f32(const char* op, const char* name, const Tensor& x, const Shape& expected) {
  expect_type(op, name, x, DType::f32);
  expect_shape(op, name, x, expected);
}

void expect_compute_type(const char* op, const char* name, const Tensor& x) {
  check_internal(x.dtype() == DType::f32 || x.dtype() == DType::bf16, "[", op, "] ", name, " is ",
                 name_of(x.dtype()), ", expected f32 or bf16");
}

void expect_path(const char* op, const Tensor& x, const PackedConv2d& w, const Conv2dPath& path) {
  expect_rank(op, "x", x, 4);
  expect_compute_type(op, "x", x);
  check_internal(x.columns() == w.inputs(), "[", op, "] x has ", x.columns(), " channels but the weight has ",
                 w.inputs(), " inputs");
  const auto [kh, kw] = w.kernel();
  const auto [top, left] = path.pad_before;
  const auto [bottom, right] = path.pad_after;
  check_internal(
      path.stride > 0 && std::min({top, left, bottom, right}) >= 0 && top + bottom < kh && left + right < kw,
      "[", op, "] stride ", path.stride, " and padding ", top, ", ", bottom, " by ", left, ", ", right,
      " for a kernel of ", kh, " by ", kw);
  check_internal(!path.upsample || (path.stride == 1 && 2 * top + 1 == kh && 2 * left + 1 == kw &&
                                    path.pad_after == path.pad_before),
                 "[", op, "] upsampling is for convolutions that keep the size");
  const auto may_be_cut = [&](int64_t cut, int64_t padding) {
    return cut == 0 || (cut == 1 && path.upsample && padding > 0);
  };
  check_internal(may_be_cut(path.cut.height, bottom) && may_be_cut(path.cut.width, right), "[", op, "] ",
                 path.cut.height, " rows and ", path.cut.width, " columns of the upsampled input cut");
  if (path.norm) expect_f32(op, "norm", *path.norm, {x.extent(0), 2, w.inputs()});
  if (path.image_bias) expect_f32(op, "image_bias", *path.image_bias, {x.extent(0), w.outputs()});
  const Extent2d output = path.output({x.extent(1), x.extent(2)}, w.kernel());
  check_internal(output.height > 0 && output.width > 0, "[", op, "] a kernel of ", kh, " by ", kw, " on ",
                 x.shape());
  check_internal(
      0 <= path.begin && path.rows({x.extent(1), x.extent(2)}, w.kernel()) >= 0 && path.end <= output.height,
      "[", op, "] rows ", path.begin, "..", path.end, " of ", output.height);
}

Shape output_of(const Tensor& x, const PackedConv2d& w, const Conv2dPath& path) {
  const Extent2d input = {x.extent(1), x.extent(2)};
  return {x.extent(0), path.rows(input, w.kernel()), path.output(input, w.kernel()).width, w.outputs()};
}

Shape output_of(const Tensor& x, const PoolPath& path) {
  expect_rank("pool", "x", x, 4);
  expect_compute_type("pool", "x", x);
  check_internal(path.stride > 0 && 0 <= path.pad && path.pad < path.window &&
                     path.window <= std::min(x.extent(1), x.extent(2)) + 2 * path.pad,
                 "[pool] windows of ", path.window, ", stride ", path.stride, " and padding ", path.pad,
                 " on ", x.shape());
  return {x.extent(0), path.output(x.extent(1)), path.output(x.extent(2)), x.extent(3)};
}

void expect_attention(const char* op, const Backend& backend, const Tensor& q, const Tensor& k,
                      const Tensor& v, int64_t heads) {
  expect_rank(op, "q", q, 3);
  expect_rank(op, "k", k, 3);
  check_internal(heads > 0 && q.columns() % heads == 0, "[", op, "] ", q.columns(),
                 " columns do not divide into ", heads, " heads");
  expect_shape(op, "k", k, {q.extent(0), k.extent(1), q.extent(2)});
  expect_shape(op, "v", v, k.shape());
  for (const Tensor* x : {&q, &k, &v}) expect_type(op, "q, k or v", *x, backend.compute_dtype());
}

void expect_table(const char* op, const Tensor& table, std::span<const int64_t> indices) {
  expect_rank(op, "table", table, 2);
  expect_type(op, "table", table, DType::f32);
  for (const int64_t i : indices)
    check_internal(0 <= i && i < table.extent(0), "[", op, "] row ", i, " of a table of ", table.extent(0));
}

// The activations that convolutions know.
void expect_convolution_activation(const char* op, Activation act) {
  check_internal(act != Activation::gelu && act != Activation::quick_gelu, "[", op, "] activation ",
                 static_cast<int>(act));
}

}  // namespace

Tensor linear(Backend& backend, const Tensor& x, const PackedLinear& w, Activation act, DType out) {
  check_internal(x.columns() == w.inputs(), "[linear] x has ", x.columns(), " columns but the weight has ",
                 w.inputs(), " inputs");
  return backend.linear(x, w, act, out);
}

void add_gated_linear(Backend& backend, Tensor& residual, const Tensor& gate, const Tensor& x,
                      const PackedLinear& w) {
  constexpr char kOp[] = "add_gated_linear";
  expect_rank(kOp, "x", x, 3);
  check_internal(x.columns() == w.inputs(), "[add_gated_linear] x has ", x.columns(),
                 " columns but the weight has ", w.inputs(), " inputs");
  expect_f32(kOp, "residual", residual, {x.extent(0), x.extent(1), w.outputs()});
  expect_f32(kOp, "gate", gate, {x.extent(0), w.outputs()});
  backend.add_gated_linear(residual, gate, x, w);
}

void add_linear(Backend& backend, Tensor& sum, const Tensor& x, const PackedLinear& w) {
  check_internal(x.columns() == w.inputs(), "[add_linear] x has ", x.columns(),
                 " columns but the weight has ", w.inputs(), " inputs");
  expect_compute_type("add_linear", "sum", sum);
  expect_shape("add_linear", "sum", sum, x.shape().with(-1, w.outputs()));
  backend.add_linear(sum, x, w);
}

Tensor conv2d(Backend& backend, const Tensor& x, const PackedConv2d& w, const Conv2dPath& path,
              Activation act, DType out) {
  expect_path("conv2d", x, w, path);
  expect_convolution_activation("conv2d", act);
  Tensor y(output_of(x, w, path), out, backend.memory());
  backend.conv2d(y, x, w, path, act);
  return y;
}

void conv2d_into(Backend& backend, Tensor& out, const Tensor& x, const PackedConv2d& w,
                 const Conv2dPath& path, Activation act) {
  expect_path("conv2d", x, w, path);
  expect_convolution_activation("conv2d", act);
  expect_compute_type("conv2d", "out", out);
  expect_shape("conv2d", "out", out, output_of(x, w, path));
  backend.conv2d(out, x, w, path, act);
}

void add_conv2d(Backend& backend, Tensor& sum, const Tensor& x, const PackedConv2d& w, const Conv2dPath& path,
                Activation act) {
  expect_path("add_conv2d", x, w, path);
  check_internal(act == Activation::none || act == Activation::relu, "[add_conv2d] activation ",
                 static_cast<int>(act));
  expect_compute_type("add_conv2d", "sum", sum);
  expect_shape("add_conv2d", "sum", sum, output_of(x, w, path));
  backend.add_conv2d(sum, x, w, path, act);
}

Tensor pool(Backend& backend, const Tensor& x, const PoolPath& path) {
  Tensor y(output_of(x, path), x.dtype(), backend.memory());
  backend.pool(y, x, path);
  return y;
}

void pool_into(Backend& backend, Tensor& out, const Tensor& x, const PoolPath& path) {
  expect_type("pool", "out", out, x.dtype());
  expect_shape("pool", "out", out, output_of(x, path));
  backend.pool(out, x, path);
}

Tensor group_moments(Backend& backend, const Tensor& x, int64_t groups) {
  expect_rank("group_moments", "x", x, 4);
  expect_compute_type("group_moments", "x", x);
  check_internal(groups > 0 && x.columns() % groups == 0, "[group_moments] ", x.columns(),
                 " channels do not divide into ", groups, " groups");
  return backend.group_moments(x, groups);
}

Tensor group_norm_scale_shift(Backend& backend, std::span<const Tensor> moments, const Tensor& gamma,
                              const Tensor& beta, double eps) {
  constexpr char kOp[] = "group_norm_scale_shift";
  expect_rank(kOp, "gamma", gamma, 1);
  expect_type(kOp, "gamma", gamma, DType::f32);
  expect_f32(kOp, "beta", beta, gamma.shape());
  check_internal(!moments.empty(), "[group_norm_scale_shift] no moments");
  for (const Tensor& strip : moments) {
    expect_rank(kOp, "moments", strip, 4);
    expect_f32(kOp, "moments", strip, moments[0].shape().with(1, strip.extent(1)).with(3, 2));
    check_internal(strip.is_contiguous() && gamma.elements() % strip.extent(2) == 0,
                   "[group_norm_scale_shift] ", gamma.elements(), " channels and moments ", strip.shape());
  }
  return backend.group_norm_scale_shift(moments, gamma, beta, eps);
}

Tensor scale_shift(Backend& backend, const Tensor& x, const Tensor& norm, Activation act) {
  expect_rank("scale_shift", "x", x, 4);
  expect_compute_type("scale_shift", "x", x);
  expect_f32("scale_shift", "norm", norm, {x.extent(0), 2, x.extent(3)});
  return backend.scale_shift(x, norm, act);
}

Tensor clamp(Backend& backend, const Tensor& x, double low, double high) {
  expect_type("clamp", "x", x, DType::f32);
  check_internal(low <= high, "[clamp] to ", low, "..", high);
  return backend.clamp(x, low, high);
}

Tensor soft_clamp(Backend& backend, const Tensor& x, double limit) {
  expect_type("soft_clamp", "x", x, DType::f32);
  check_internal(limit > 0, "[soft_clamp] limit ", limit);
  return backend.soft_clamp(x, limit);
}

Tensor attention(Backend& backend, const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads) {
  expect_attention("attention", backend, q, k, v, heads);
  return backend.attention(q, k, v, heads);
}

Tensor cross_attention(Backend& backend, const Tensor& q, std::span<const Tensor* const> keys_values,
                       int64_t heads) {
  constexpr char kOp[] = "cross_attention";
  expect_rank(kOp, "q", q, 3);
  expect_type(kOp, "q", q, backend.compute_dtype());
  check_internal(heads > 0 && q.columns() % heads == 0, "[", kOp, "] ", q.columns(),
                 " columns do not divide into ", heads, " heads");
  check_internal(std::ssize(keys_values) == q.extent(0), "[", kOp, "] keys and values of ",
                 keys_values.size(), " for q ", q.shape());
  for (const Tensor* kv : keys_values) {
    expect_type(kOp, "keys_values", *kv, backend.compute_dtype());
    check_internal(kv->rows() > 0, "[", kOp, "] no keys");
    expect_shape(kOp, "keys_values", *kv, {kv->rows(), 2 * q.columns()});
  }
  return backend.cross_attention(q, keys_values, heads);
}

Tensor causal_attention(Backend& backend, const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads) {
  expect_attention("causal_attention", backend, q, k, v, heads);
  expect_shape("causal_attention", "k", k, q.shape());
  return backend.causal_attention(q, k, v, heads);
}

Tensor modulated_norm(Backend& backend, const Tensor& x, const Tensor& shift, const Tensor& scale,
                      double eps) {
  constexpr char kOp[] = "modulated_norm";
  expect_rank(kOp, "x", x, 3);
  expect_type(kOp, "x", x, DType::f32);
  expect_f32(kOp, "shift", shift, {x.extent(0), x.extent(2)});
  expect_f32(kOp, "scale", scale, {x.extent(0), x.extent(2)});
  return backend.modulated_norm(x, shift, scale, eps);
}

Tensor layer_norm(Backend& backend, const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps) {
  expect_type("layer_norm", "x", x, DType::f32);
  expect_f32("layer_norm", "gamma", gamma, {x.columns()});
  expect_f32("layer_norm", "beta", beta, {x.columns()});
  return backend.layer_norm(x, gamma, beta, eps);
}

Tensor geglu(Backend& backend, const Tensor& x) {
  expect_compute_type("geglu", "x", x);
  check_internal(x.columns() > 0 && x.columns() % 2 == 0, "[geglu] rows of ", x.columns(),
                 " are no two halves");
  return backend.geglu(x);
}

void add_rows(Backend& backend, Tensor& x, const Tensor& y) {
  expect_rank("add_rows", "x", x, 3);
  expect_type("add_rows", "x", x, DType::f32);
  expect_f32("add_rows", "y", y, {x.extent(1), x.extent(2)});
  backend.add_rows(x, y);
}

Tensor mean_rows(Backend& backend, const Tensor& x, std::span<const int64_t> ends,
                 std::span<const int64_t> rows) {
  check_internal(x.dtype() == DType::f32 || x.dtype() == DType::bf16, "[mean_rows] x of type ",
                 name_of(x.dtype()), ", expected f32 or bf16");
  int64_t before = 0;
  for (const int64_t end : ends)
    check_internal(std::exchange(before, end) < end, "[mean_rows] the mean of no rows");
  check_internal(before == std::ssize(rows), "[mean_rows] ", rows.size(), " rows, of which ", before,
                 " are named");
  for (const int64_t row : rows)
    check_internal(0 <= row && row < x.rows(), "[mean_rows] row ", row, " of ", x.rows());
  return backend.mean_rows(x, ends, rows);
}

Tensor gather(Backend& backend, const Tensor& table, std::span<const int64_t> indices) {
  expect_table("gather", table, indices);
  return backend.gather(table, indices);
}

void scatter(Backend& backend, Tensor& table, std::span<const int64_t> indices, const Tensor& rows) {
  expect_table("scatter", table, indices);
  expect_f32("scatter", "rows", rows, {std::ssize(indices), table.columns()});
  backend.scatter(table, indices, rows);
}

Tensor nearest_rows(Backend& backend, const Tensor& x, const Tensor& table) {
  expect_type("nearest_rows", "x", x, DType::f32);
  expect_type("nearest_rows", "table", table, DType::f32);
  expect_rank("nearest_rows", "table", table, 2);
  check_internal(table.extent(0) > 0 && table.columns() == x.columns(), "[nearest_rows] a table ",
                 table.shape(), " for rows of ", x.columns());
  return backend.nearest_rows(x, table);
}

Tensor timestep_embedding(Backend& backend, std::span<const double> t, int64_t width) {
  check_internal(width > 0 && width % 2 == 0, "[timestep_embedding] odd width ", width);
  return backend.timestep_embedding(t, width);
}

Tensor silu(Backend& backend, const Tensor& x) {
  expect_type("silu", "x", x, DType::f32);
  return backend.silu(x);
}

Tensor cast(Backend& backend, const Tensor& x, DType dtype) {
  return x.dtype() == dtype ? x : backend.cast(x, dtype);
}

Tensor combine(Backend& backend, std::initializer_list<Term> terms, double offset) {
  check_internal(terms.size() > 0 && terms.size() <= 8, "[combine] ", terms.size(), " terms");
  for (const Term& term : terms) expect_f32("combine", "a term", *term.x, terms.begin()->x->shape());
  return backend.combine({terms.begin(), terms.size()}, offset);
}

Tensor add_noise(Backend& backend, const Tensor& mean, const Tensor& log_variance, const Tensor& noise) {
  expect_type("add_noise", "mean", mean, DType::f32);
  expect_f32("add_noise", "log_variance", log_variance, mean.shape());
  expect_f32("add_noise", "noise", noise, mean.shape());
  return backend.add_noise(mean, log_variance, noise);
}

Tensor guide(Backend& backend, const Tensor& c, const Tensor& u, double scale, int64_t channels) {
  expect_type("guide", "c", c, DType::f32);
  expect_f32("guide", "u", u, c.shape());
  check_internal(0 <= channels && channels <= c.columns(), "[guide] ", channels, " of ", c.columns(),
                 " channels");
  return backend.guide(c, u, scale, channels);
}

Tensor patchify(Backend& backend, const Tensor& x, int64_t p) {
  expect_rank("patchify", "x", x, 4);
  expect_type("patchify", "x", x, DType::f32);
  check_internal(p > 0 && x.extent(1) % p == 0 && x.extent(2) % p == 0, "[patchify] patches of ", p, " in ",
                 x.shape());
  return backend.patchify(x, p);
}

Tensor unpatchify(Backend& backend, const Tensor& tokens, int64_t p, int64_t height, int64_t width) {
  expect_rank("unpatchify", "tokens", tokens, 3);
  expect_type("unpatchify", "tokens", tokens, DType::f32);
  check_internal(tokens.extent(1) * p * p == height * width && tokens.columns() % (p * p) == 0,
                 "[unpatchify] ", tokens.shape(), " to ", height, " x ", width, " with patches of ", p);
  return backend.unpatchify(tokens, p, height, width);
}

Tensor to_channels_last(Backend& backend, const Tensor& x) {
  expect_rank("to_channels_last", "x", x, 4);
  expect_type("to_channels_last", "x", x, DType::f32);
  return backend.to_channels_last(x);
}

Tensor to_channels_first(Backend& backend, const Tensor& x) {
  expect_rank("to_channels_first", "x", x, 4);
  expect_type("to_channels_first", "x", x, DType::f32);
  return backend.to_channels_first(x);
}

Tensor repeat(Backend& backend, const Tensor& x, int64_t times) {
  check_internal(times > 0, "[repeat] ", times, " times");
  return backend.repeat(x, times);
}

Tensor stack(Backend& backend, std::span<const Tensor> parts) {
  check_internal(!parts.empty() && parts[0].shape().rank() > 0, "[stack] nothing to stack");
  for (const Tensor& part : parts) {
    expect_type("stack", "a part", part, parts[0].dtype());
    expect_rank("stack", "a part", part, parts[0].shape().rank());
    expect_shape("stack", "a part", part, parts[0].shape().with(0, part.extent(0)));
  }
  return backend.stack(parts);
}

Tensor concat_columns(Backend& backend, const Tensor& a, const Tensor& b) {
  expect_compute_type("concat_columns", "a", a);
  expect_type("concat_columns", "b", b, a.dtype());
  expect_shape("concat_columns", "b", b, a.shape().with(-1, b.columns()));
  return backend.concat_columns(a, b);
}

}  // namespace tstitch
