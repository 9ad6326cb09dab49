// Backend on the processor: vector kernels for the instructions it has (isa/), matrix units where there are
// any (amx.h), work shared out to a pool of threads. Results are bit for bit the same for any number of
// threads and any batch.
#pragma once

#include "tstitch/backend/backend.h"
#include "tstitch/backend/cpu/isa.h"
#include "tstitch/backend/cpu/kernels.h"
#include "tstitch/base/function_ref.h"

namespace tstitch {

class CpuBackend final : public Backend {
 public:
  CpuBackend(DType compute_dtype, int threads, const cpu::Isa& isa, bool int8 = false);

  std::string description() const override;
  std::string arithmetic() const override;
  DType compute_dtype() const override { return compute_dtype_; }
  bool int8() const override { return int8_; }
  Memory& memory() override { return host_memory(); }

  Tensor upload(const Tensor& host) override;
  Tensor download(const Tensor& x) override;
  std::unique_ptr<PackedLinear> pack_linear(const Tensor& w, const Tensor& b) override;
  std::unique_ptr<PackedLinear> pack_int8_linear(const Int8Weight& w, const Tensor& b) override;
  std::unique_ptr<PackedConv2d> pack_int8_conv2d(const Int8Weight& w, const Tensor& b) override;

  Tensor linear(const Tensor& x, const PackedLinear& w, Activation act, DType out) override;
  void add_gated_linear(Tensor& residual, const Tensor& gate, const Tensor& x,
                        const PackedLinear& w) override;
  void add_linear(Tensor& sum, const Tensor& x, const PackedLinear& w) override;
  std::unique_ptr<PackedConv2d> pack_conv2d(const Tensor& w, const Tensor& b) override;
  void conv2d(Tensor& out, const Tensor& x, const PackedConv2d& w, const Conv2dPath& path,
              Activation act) override;
  void add_conv2d(Tensor& sum, const Tensor& x, const PackedConv2d& w, const Conv2dPath& path,
                  Activation act) override;
  void pool(Tensor& out, const Tensor& x, const PoolPath& path) override;
  Tensor group_moments(const Tensor& x, int64_t groups) override;
  Tensor group_norm_scale_shift(std::span<const Tensor> moments, const Tensor& gamma, const Tensor& beta,
                                double eps) override;
  Tensor scale_shift(const Tensor& x, const Tensor& norm, Activation act) override;
  Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads) override;
  Tensor cross_attention(const Tensor& q, std::span<const Tensor* const> keys_values, int64_t heads) override;
  Tensor causal_attention(const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads) override;
  Tensor modulated_norm(const Tensor& x, const Tensor& shift, const Tensor& scale, double eps) override;
  Tensor layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps) override;
  Tensor geglu(const Tensor& x) override;
  void add_rows(Tensor& x, const Tensor& y) override;
  Tensor mean_rows(const Tensor& x, std::span<const int64_t> ends, std::span<const int64_t> rows) override;
  Tensor gather(const Tensor& table, std::span<const int64_t> indices) override;
  void scatter(Tensor& table, std::span<const int64_t> indices, const Tensor& rows) override;
  Tensor nearest_rows(const Tensor& x, const Tensor& table) override;
  Tensor timestep_embedding(std::span<const double> t, int64_t width) override;
  Tensor silu(const Tensor& x) override;
  Tensor clamp(const Tensor& x, double low, double high) override;
  Tensor soft_clamp(const Tensor& x, double limit) override;
  Tensor cast(const Tensor& x, DType dtype) override;
  Tensor combine(std::span<const Term> terms, double offset) override;
  Tensor add_noise(const Tensor& mean, const Tensor& log_variance, const Tensor& noise) override;
  Tensor guide(const Tensor& c, const Tensor& u, double scale, int64_t channels) override;
  Tensor patchify(const Tensor& x, int64_t p) override;
  Tensor unpatchify(const Tensor& tokens, int64_t p, int64_t height, int64_t width) override;
  Tensor to_channels_last(const Tensor& x) override;
  Tensor to_channels_first(const Tensor& x) override;
  Tensor repeat(const Tensor& x, int64_t times) override;
  Tensor stack(std::span<const Tensor> parts) override;
  Tensor concat_columns(const Tensor& a, const Tensor& b) override;

 private:
  // x of the compute type, its rows filled with zeros up to a multiple of `row_multiple` and at a distance
  // that suits the caches; x itself when it is so.
  Tensor operand(const Tensor& x, int64_t row_multiple) const;
  // Attention of q, (N, T, D), to keys_of(n), which says k, v and S of the job of image n, by one of the
  // functions of cpu/attention.h.
  using Attend = void(const cpu::Isa&, int threads, int64_t images, int64_t heads, int64_t T,
                      FunctionRef<cpu::AttentionJob(int64_t n)>);
  Tensor attend(const Tensor& q, int64_t heads, Attend* way,
                FunctionRef<cpu::AttentionJob(int64_t n)> keys_of) const;
  // The same to k and v, (N, S, D).
  Tensor self_attend(const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads, Attend* way) const;
  // The part of both linear maps that is the same.
  void run_linear(cpu::LinearJob job, const Tensor& x, const PackedLinear& w) const;

  DType compute_dtype_;
  int threads_;
  bool int8_;
  const cpu::Isa& isa_;
  const cpu::Kernels& kernels_;
};

}  // namespace tstitch
