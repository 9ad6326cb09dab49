// A device for machines without one: its tensors are the host's to nobody but itself, so that whatever
// touches one past the border is Error{internal}; the arithmetic, bit for bit, is that of a backend on the
// host.
#pragma once

#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "tstitch/backend/backend.h"
#include "tstitch/base/error.h"

namespace tstitch {

class FakeDeviceMemory final : public CachingMemory {
 public:
  ~FakeDeviceMemory() override { trim(); }
  Place place() const override { return {.device = 0}; }

 private:
  uintptr_t acquire(size_t bytes) override {
    return reinterpret_cast<uintptr_t>(std::aligned_alloc(64, bytes));
  }
  void give_back(uintptr_t address, size_t) noexcept override { std::free(reinterpret_cast<void*>(address)); }
};

class FakeDevice final : public Backend {
 public:
  explicit FakeDevice(std::unique_ptr<Backend> inner) : inner_(std::move(inner)) {}

  std::string description() const override { return "fake device: " + inner_->description(); }
  std::string arithmetic() const override { return inner_->arithmetic(); }
  DType compute_dtype() const override { return inner_->compute_dtype(); }
  FakeDeviceMemory& memory() override { return memory_; }

  Tensor upload(const Tensor& host) override {
    check_internal(host.is_contiguous(), "[upload] strided rows");
    return to_device(host);
  }
  Tensor download(const Tensor& x) override { return to_host(x); }

  std::unique_ptr<PackedLinear> pack_linear(const Tensor& w, const Tensor& b) override {
    return inner_->pack_linear(w, b);
  }
  Tensor linear(const Tensor& x, const PackedLinear& w, Activation act, DType out) override {
    return to_device(inner_->linear(to_host(x), w, act, out));
  }
  void add_gated_linear(Tensor& residual, const Tensor& gate, const Tensor& x,
                        const PackedLinear& w) override {
    in_place(residual, [&](Tensor& sum) { inner_->add_gated_linear(sum, to_host(gate), to_host(x), w); });
  }
  void add_linear(Tensor& sum, const Tensor& x, const PackedLinear& w) override {
    in_place(sum, [&](Tensor& host) { inner_->add_linear(host, to_host(x), w); });
  }

  std::unique_ptr<PackedConv2d> pack_conv2d(const Tensor& w, const Tensor& b) override {
    return inner_->pack_conv2d(w, b);
  }
  void conv2d(Tensor& out, const Tensor& x, const PackedConv2d& w, const Conv2dPath& path,
              Activation act) override {
    const HostPath host(*this, path);
    in_place(out, [&](Tensor& y) { inner_->conv2d(y, to_host(x), w, host.path, act); });
  }
  void add_conv2d(Tensor& sum, const Tensor& x, const PackedConv2d& w, const Conv2dPath& path,
                  Activation act) override {
    const HostPath host(*this, path);
    in_place(sum, [&](Tensor& y) { inner_->add_conv2d(y, to_host(x), w, host.path, act); });
  }
  void pool(Tensor& out, const Tensor& x, const PoolPath& path) override {
    in_place(out, [&](Tensor& y) { inner_->pool(y, to_host(x), path); });
  }

  Tensor group_moments(const Tensor& x, int64_t groups) override {
    return to_device(inner_->group_moments(to_host(x), groups));
  }
  Tensor group_norm_scale_shift(std::span<const Tensor> moments, const Tensor& gamma, const Tensor& beta,
                                double eps) override {
    return to_device(inner_->group_norm_scale_shift(to_host(moments), to_host(gamma), to_host(beta), eps));
  }
  Tensor scale_shift(const Tensor& x, const Tensor& norm, Activation act) override {
    return to_device(inner_->scale_shift(to_host(x), to_host(norm), act));
  }

  Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads) override {
    return to_device(inner_->attention(to_host(q), to_host(k), to_host(v), heads));
  }
  Tensor cross_attention(const Tensor& q, std::span<const Tensor* const> keys_values,
                         int64_t heads) override {
    std::vector<Tensor> hosts;
    for (const Tensor* x : keys_values) hosts.push_back(to_host(*x));
    std::vector<const Tensor*> pointers;
    for (const Tensor& host : hosts) pointers.push_back(&host);
    return to_device(inner_->cross_attention(to_host(q), pointers, heads));
  }
  Tensor causal_attention(const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads) override {
    return to_device(inner_->causal_attention(to_host(q), to_host(k), to_host(v), heads));
  }

  Tensor modulated_norm(const Tensor& x, const Tensor& shift, const Tensor& scale, double eps) override {
    return to_device(inner_->modulated_norm(to_host(x), to_host(shift), to_host(scale), eps));
  }
  Tensor layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps) override {
    return to_device(inner_->layer_norm(to_host(x), to_host(gamma), to_host(beta), eps));
  }
  Tensor geglu(const Tensor& x) override { return to_device(inner_->geglu(to_host(x))); }
  void add_rows(Tensor& x, const Tensor& y) override {
    in_place(x, [&](Tensor& sum) { inner_->add_rows(sum, to_host(y)); });
  }
  Tensor gather(const Tensor& table, std::span<const int64_t> indices) override {
    return to_device(inner_->gather(to_host(table), indices));
  }
  void scatter(Tensor& table, std::span<const int64_t> indices, const Tensor& rows) override {
    in_place(table, [&](Tensor& host) { inner_->scatter(host, indices, to_host(rows)); });
  }
  Tensor nearest_rows(const Tensor& x, const Tensor& table) override {
    return to_device(inner_->nearest_rows(to_host(x), to_host(table)));
  }
  Tensor timestep_embedding(std::span<const double> t, int64_t width) override {
    return to_device(inner_->timestep_embedding(t, width));
  }

  Tensor silu(const Tensor& x) override { return to_device(inner_->silu(to_host(x))); }
  Tensor clamp(const Tensor& x, double low, double high) override {
    return to_device(inner_->clamp(to_host(x), low, high));
  }
  Tensor soft_clamp(const Tensor& x, double limit) override {
    return to_device(inner_->soft_clamp(to_host(x), limit));
  }
  Tensor cast(const Tensor& x, DType dtype) override { return to_device(inner_->cast(to_host(x), dtype)); }
  Tensor combine(std::span<const Term> terms, double offset) override {
    std::vector<Tensor> hosts;
    for (const Term& term : terms) hosts.push_back(to_host(*term.x));
    std::vector<Term> host_terms;
    for (size_t i = 0; i < hosts.size(); ++i) host_terms.push_back({terms[i].factor, &hosts[i]});
    return to_device(inner_->combine(host_terms, offset));
  }
  Tensor add_noise(const Tensor& mean, const Tensor& log_variance, const Tensor& noise) override {
    return to_device(inner_->add_noise(to_host(mean), to_host(log_variance), to_host(noise)));
  }
  Tensor guide(const Tensor& c, const Tensor& u, double scale, int64_t channels) override {
    return to_device(inner_->guide(to_host(c), to_host(u), scale, channels));
  }

  Tensor patchify(const Tensor& x, int64_t p) override { return to_device(inner_->patchify(to_host(x), p)); }
  Tensor unpatchify(const Tensor& tokens, int64_t p, int64_t height, int64_t width) override {
    return to_device(inner_->unpatchify(to_host(tokens), p, height, width));
  }
  Tensor to_channels_last(const Tensor& x) override {
    return to_device(inner_->to_channels_last(to_host(x)));
  }
  Tensor to_channels_first(const Tensor& x) override {
    return to_device(inner_->to_channels_first(to_host(x)));
  }
  Tensor repeat(const Tensor& x, int64_t times) override {
    return to_device(inner_->repeat(to_host(x), times));
  }
  Tensor stack(std::span<const Tensor> parts) override { return to_device(inner_->stack(to_host(parts))); }
  Tensor concat_columns(const Tensor& a, const Tensor& b) override {
    return to_device(inner_->concat_columns(to_host(a), to_host(b)));
  }

 private:
  // A path whose tensors are on the host.
  struct HostPath {
    HostPath(const FakeDevice& device, const Conv2dPath& of_device) : path(of_device) {
      if (path.norm) path.norm = &(norm = device.to_host(*path.norm));
      if (path.image_bias) path.image_bias = &(image_bias = device.to_host(*path.image_bias));
    }
    HostPath(const HostPath&) = delete;

    Conv2dPath path;
    Tensor norm, image_bias;
  };

  static void copy_rows(std::byte* to, int64_t to_stride, const std::byte* from, int64_t from_stride,
                        const Tensor& like) {
    const int64_t size = size_of(like.dtype());
    for (int64_t row = 0; row < like.rows(); ++row)
      std::memcpy(to + row * to_stride * size, from + row * from_stride * size,
                  static_cast<size_t>(like.columns() * size));
  }

  std::byte* bytes_of(const Tensor& x) const {
    check_internal(x.place() == memory_.place(), "a tensor ", x.shape(), " of place ", x.place().device,
                   " is handed to device ", memory_.place().device);
    return reinterpret_cast<std::byte*>(x.device_address());
  }
  Tensor to_host(const Tensor& x) const {
    const std::byte* from = bytes_of(x);
    Tensor host(x.shape(), x.dtype());
    copy_rows(host.bytes(), host.row_stride(), from, x.row_stride(), x);
    return host;
  }
  std::vector<Tensor> to_host(std::span<const Tensor> all) const {
    std::vector<Tensor> hosts;
    for (const Tensor& x : all) hosts.push_back(to_host(x));
    return hosts;
  }
  Tensor to_device(const Tensor& host) {
    Tensor x(host.shape(), host.dtype(), memory_);
    copy_rows(bytes_of(x), x.row_stride(), host.bytes(), host.row_stride(), host);
    return x;
  }
  // Lets f change a copy on the host, and brings that back into x.
  template <class F>
  void in_place(Tensor& x, const F& f) {
    Tensor host = to_host(x);
    f(host);
    copy_rows(bytes_of(x), x.row_stride(), host.bytes(), host.row_stride(), x);
  }

  std::unique_ptr<Backend> inner_;
  FakeDeviceMemory memory_;
};

// The backend that these options say, behind the border of a device.
inline std::unique_ptr<FakeDevice> fake_device(const BackendOptions& options) {
  return std::make_unique<FakeDevice>(make_backend(options));
}

}  // namespace tstitch
