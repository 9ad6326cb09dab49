// Free functions over tensors: they check shapes and types once, name the fusion, and call the backend.
// Formulas and shapes stand in backend/backend.h. A wrong shape is a bug of the caller: Error{internal}
// with the operation, what was found and what was expected.
#pragma once

#include <array>
#include <initializer_list>
#include <span>

#include "tstitch/backend/backend.h"
#include "tstitch/tensor/tensor.h"

namespace tstitch {

Tensor linear(Backend& backend, const Tensor& x, const PackedLinear& w, Activation act, DType out);
void add_gated_linear(Backend& backend, Tensor& residual, const Tensor& gate, const Tensor& x,
                      const PackedLinear& w);
void add_linear(Backend& backend, Tensor& sum, const Tensor& x, const PackedLinear& w);
Tensor conv2d(Backend& backend, const Tensor& x, const PackedConv2d& w, const Conv2dPath& path,
              Activation act, DType out);
void conv2d_into(Backend& backend, Tensor& out, const Tensor& x, const PackedConv2d& w,
                 const Conv2dPath& path, Activation act = Activation::none);
void add_conv2d(Backend& backend, Tensor& sum, const Tensor& x, const PackedConv2d& w, const Conv2dPath& path,
                Activation act = Activation::none);
Tensor pool(Backend& backend, const Tensor& x, const PoolPath& path);
void pool_into(Backend& backend, Tensor& out, const Tensor& x, const PoolPath& path);
Tensor group_moments(Backend& backend, const Tensor& x, int64_t groups);
Tensor group_norm_scale_shift(Backend& backend, std::span<const Tensor> moments, const Tensor& gamma,
                              const Tensor& beta, double eps);
Tensor scale_shift(Backend& backend, const Tensor& x, const Tensor& norm, Activation act = Activation::none);
Tensor clamp(Backend& backend, const Tensor& x, double low, double high);
Tensor soft_clamp(Backend& backend, const Tensor& x, double limit);
Tensor attention(Backend& backend, const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads);
Tensor cross_attention(Backend& backend, const Tensor& q, std::span<const Tensor* const> keys_values,
                       int64_t heads);
Tensor causal_attention(Backend& backend, const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads);
Tensor modulated_norm(Backend& backend, const Tensor& x, const Tensor& shift, const Tensor& scale,
                      double eps = 1e-6);
Tensor layer_norm(Backend& backend, const Tensor& x, const Tensor& gamma, const Tensor& beta,
                  double eps = 1e-5);
Tensor geglu(Backend& backend, const Tensor& x);
void add_rows(Backend& backend, Tensor& x, const Tensor& y);
Tensor mean_rows(Backend& backend, const Tensor& x, std::span<const int64_t> ends,
                 std::span<const int64_t> rows);
Tensor gather(Backend& backend, const Tensor& table, std::span<const int64_t> indices);
void scatter(Backend& backend, Tensor& table, std::span<const int64_t> indices, const Tensor& rows);
Tensor nearest_rows(Backend& backend, const Tensor& x, const Tensor& table);
Tensor timestep_embedding(Backend& backend, std::span<const double> t, int64_t width);
Tensor silu(Backend& backend, const Tensor& x);
Tensor cast(Backend& backend, const Tensor& x, DType dtype);
Tensor combine(Backend& backend, std::initializer_list<Term> terms, double offset = 0);
Tensor add_noise(Backend& backend, const Tensor& mean, const Tensor& log_variance, const Tensor& noise);
Tensor guide(Backend& backend, const Tensor& c, const Tensor& u, double scale, int64_t channels);
Tensor patchify(Backend& backend, const Tensor& x, int64_t p);
Tensor unpatchify(Backend& backend, const Tensor& tokens, int64_t p, int64_t height, int64_t width);
Tensor to_channels_last(Backend& backend, const Tensor& x);
Tensor to_channels_first(Backend& backend, const Tensor& x);
Tensor repeat(Backend& backend, const Tensor& x, int64_t times);
Tensor stack(Backend& backend, std::span<const Tensor> parts);
Tensor concat_columns(Backend& backend, const Tensor& a, const Tensor& b);

// The columns of x in `count` equal parts, as views.
template <size_t count>
std::array<Tensor, count> chunk(const Tensor& x) {
  const int64_t width = x.columns() / static_cast<int64_t>(count);
  std::array<Tensor, count> parts;
  for (size_t i = 0; i < count; ++i)
    parts[i] = x.slice_columns(static_cast<int64_t>(i) * width, static_cast<int64_t>(i + 1) * width);
  return parts;
}

}  // namespace tstitch
