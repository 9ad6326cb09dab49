// A device for machines without one: its tensors are the host's to nobody but itself, so that whatever
// touches one past the border is Error{internal}; the arithmetic, bit for bit, is that of a backend on the
// host.
#pragma once

#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#include "tests/support/border.h"
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

class FakeDevice final : public Border {
 public:
  using Border::Border;

  std::string description() const override { return "fake device: " + inner().description(); }
  FakeDeviceMemory& memory() override { return memory_; }

  Tensor upload(const Tensor& host) override {
    check_internal(host.is_contiguous(), "[upload] strided rows");
    return leave(host);
  }
  Tensor download(const Tensor& x) override { return enter(x); }

 private:
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
  Tensor enter(const Tensor& x) const override {
    const std::byte* from = bytes_of(x);
    Tensor host(x.shape(), x.dtype());
    copy_rows(host.bytes(), host.row_stride(), from, x.row_stride(), x);
    return host;
  }
  Tensor leave(const Tensor& host) override {
    Tensor x(host.shape(), host.dtype(), memory_);
    copy_rows(bytes_of(x), x.row_stride(), host.bytes(), host.row_stride(), host);
    return x;
  }
  void bring_back(Tensor& x, const Tensor& host) override {
    copy_rows(bytes_of(x), x.row_stride(), host.bytes(), host.row_stride(), host);
  }

  FakeDeviceMemory memory_;
};

// The backend that these options say, behind the border of a device.
inline std::unique_ptr<FakeDevice> fake_device(const BackendOptions& options) {
  return std::make_unique<FakeDevice>(make_backend(options));
}

}  // namespace tstitch
