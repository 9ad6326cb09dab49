// The operations of a Device: its libraries' products, convolutions and attention, and kernels of ours.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tstitch/backend/backend.h"
#include "tstitch/backend/cuda/device.h"
#include "tstitch/backend/cuda/kernels/rows.h"
#include "tstitch/backend/cuda/recorder.h"

namespace tstitch {

namespace cuda {

struct KeysValues;

class DeviceMemory final : public CachingMemory {
 public:
  explicit DeviceMemory(Device& device) : CachingMemory(Reuse::lowest), device_(device) {}
  ~DeviceMemory() override { trim(); }
  Place place() const override { return {.device = device_.number()}; }
  std::optional<int64_t> bytes_free() const override { return device_.bytes_free(); }

 private:
  uintptr_t acquire(size_t bytes) override { return static_cast<uintptr_t>(device_.allocate(bytes)); }
  void give_back(uintptr_t address, size_t bytes) noexcept override {
    device_.free(static_cast<DeviceAddress>(address), bytes);
  }

  Device& device_;
};

}  // namespace cuda

// Blocks that are freed serve the next operation at once: all work is queued in one order, so it comes after
// whatever still reads them.
//
// In bf16, sums that go into an f32 tensor leave cuDNN and, where they are gated, cuBLASLt rounded to bf16;
// and a linear map with a bf16 result adds a bias that is rounded so.
class CudaBackend final : public Backend {
 public:
  CudaBackend(std::unique_ptr<cuda::Device> device, DType compute_dtype);

  std::string description() const override;
  DType compute_dtype() const override { return compute_dtype_; }
  cuda::DeviceMemory& memory() override { return memory_; }
  const cuda::Recorder& recorder() const { return *device_; }

  Tensor repeated(const Tensor& x, FunctionRef<Tensor(const Tensor&)> work) override;
  Tensor upload(const Tensor& host) override;
  Tensor download(const Tensor& x) override;
  std::unique_ptr<PackedLinear> pack_linear(const Tensor& w, const Tensor& b) override;
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
  Tensor make(const Shape& shape, DType dtype);
  cuda::Rows rows_of(const Tensor& x) const;
  cuda::Matrix matrix_of(const Tensor& x) const;
  // Numbers of the host for a kernel to read; freed like any tensor once the kernel is queued.
  template <class T>
  Tensor arguments(std::span<const T> values);
  Tensor parts_of(std::span<const Tensor> parts);

  template <class Kernel>
  void launch(const Tensor& out, const Kernel& kernel);
  void copy(const Tensor& out, const Tensor& x, int64_t period);
  Tensor in_compute_type(const Tensor& x);
  // In the compute type, as a matrix whose rows begin at kRowAlignment bytes, which only copies what does
  // not.
  Tensor aligned_rows(const Tensor& x);
  // x W^T + b into y, which is f32 or bf16, or added to it.
  void multiply(const Tensor& x, const PackedLinear& w, Tensor& y, bool gelu_tanh, bool accumulate);
  void convolve(Tensor& y, const Tensor& x, const PackedConv2d& w, const Conv2dPath& path);
  void convolve_into(Tensor& out, const Tensor& x, const PackedConv2d& w, const Conv2dPath& path,
                     Activation act, bool accumulate);
  void tiled_attention(const Tensor& out, const Tensor& q, std::span<const cuda::KeysValues> images,
                       int64_t heads, bool causal);
  std::vector<cuda::KeysValues> images_of(const Tensor& k, const Tensor& v) const;
  // False where the library does not do it.
  bool attend(const Tensor& out, const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads,
              bool kv_shared);
  Tensor row_norm(const Tensor& x, const Tensor& scale, const Tensor& shift, int64_t T, double unit,
                  double eps);

  std::unique_ptr<cuda::Recorder> device_;
  const DType compute_dtype_;
  cuda::DeviceMemory memory_;
  // All free whenever work that is repeated begins: so its tensors lie where they lay the last time, wherever
  // those outside it lie, and one graph serves every step.
  cuda::DeviceMemory repeating_memory_;
  std::atomic<std::thread::id> repeating_;  // who is at such work
};

}  // namespace tstitch
