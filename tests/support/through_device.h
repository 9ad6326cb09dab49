// A device's backend for tensors of the host: they are uploaded with the gaps between their rows, and what is
// computed is downloaded, so that tests of backends of the host are tests of a device.
#pragma once

#include <cstring>

#include "tests/support/border.h"

namespace tstitch {

class ThroughDevice final : public Border {
 public:
  using Border::Border;

  std::string description() const override { return inner().description(); }
  Memory& memory() override { return host_memory(); }
  Tensor upload(const Tensor& host) override { return leave(enter(host)); }
  Tensor download(const Tensor& x) override { return leave(enter(x)); }

 private:
  // Rows with what lies between them: 0xff, NaN, whatever it is on the host.
  Tensor enter(const Tensor& x) const override {
    if (x.is_contiguous()) return inner().upload(x);
    Tensor wide({x.rows(), x.row_stride()}, x.dtype());
    const auto size = static_cast<size_t>(size_of(x.dtype()));
    std::memset(wide.bytes(), 0xff, static_cast<size_t>(wide.elements()) * size);
    copy_rows(wide, x);
    return inner().upload(wide).slice_columns(0, x.columns()).reshape(x.shape());
  }
  Tensor leave(const Tensor& device) override { return inner().download(device); }
  void bring_back(Tensor& x, const Tensor& device) override { copy_rows(x, inner().download(device)); }

  static void copy_rows(Tensor& to, const Tensor& from) {
    const int64_t size = size_of(from.dtype());
    for (int64_t row = 0; row < from.rows(); ++row)
      std::memcpy(to.bytes() + row * to.row_stride() * size, from.bytes() + row * from.row_stride() * size,
                  static_cast<size_t>(from.columns() * size));
  }
};

}  // namespace tstitch
