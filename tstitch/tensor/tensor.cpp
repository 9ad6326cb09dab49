#include "tstitch/tensor/tensor.h"

#include <algorithm>
#include <utility>

#include "tstitch/base/error.h"

namespace tstitch {

Tensor::Tensor(const Shape& shape, DType dtype, Memory& memory)
    : block_(&memory.allocate(static_cast<size_t>(shape.elements() * size_of(dtype)))),
      address_(block_->address),
      shape_(shape),
      row_stride_(columns()),
      place_(memory.place()),
      dtype_(dtype) {}

Tensor::Tensor(const Tensor& other) noexcept
    : block_(other.block_),
      address_(other.address_),
      shape_(other.shape_),
      row_stride_(other.row_stride_),
      place_(other.place_),
      dtype_(other.dtype_) {
  if (block_) block_->references.fetch_add(1, std::memory_order_relaxed);
}

Tensor::Tensor(Tensor&& other) noexcept
    : block_(std::exchange(other.block_, nullptr)),
      address_(std::exchange(other.address_, 0)),
      shape_(std::exchange(other.shape_, {})),
      row_stride_(std::exchange(other.row_stride_, 0)),
      place_(std::exchange(other.place_, {})),
      dtype_(other.dtype_) {}

Tensor& Tensor::operator=(Tensor other) noexcept {
  std::swap(block_, other.block_);
  std::swap(address_, other.address_);
  std::swap(shape_, other.shape_);
  std::swap(row_stride_, other.row_stride_);
  std::swap(place_, other.place_);
  std::swap(dtype_, other.dtype_);
  return *this;
}

Tensor::~Tensor() {
  if (block_ && block_->references.fetch_sub(1, std::memory_order_acq_rel) == 1)
    block_->memory.deallocate(*block_);
}

Tensor Tensor::reshape(const Shape& shape) const {
  check_internal(shape.elements() == elements(), "reshape from ", shape_, " to ", shape);
  const bool same_rows = shape.rank() && shape[-1] == columns();
  check_internal(is_contiguous() || same_rows, "reshape of strided rows to ", shape);
  Tensor view = *this;
  view.shape_ = shape;
  if (!same_rows) view.row_stride_ = view.columns();
  return view;
}

Tensor Tensor::slice(int64_t begin, int64_t end) const {
  check_internal(shape_.rank() >= 1 && 0 <= begin && begin <= end && end <= shape_[0], "slice ", begin, "..",
                 end, " of ", shape_);
  const int64_t inner_rows = shape_.rank() > 1 && shape_[0] ? rows() / shape_[0] : 0;
  Tensor view = *this;
  view.shape_ = shape_.with(0, end - begin);
  view.address_ +=
      static_cast<uintptr_t>(begin * size_of(dtype_) * (shape_.rank() > 1 ? inner_rows * row_stride_ : 1));
  if (shape_.rank() == 1) view.row_stride_ = end - begin;
  return view;
}

Tensor Tensor::slice_columns(int64_t begin, int64_t end) const {
  check_internal(shape_.rank() >= 1 && 0 <= begin && begin <= end && end <= columns(), "columns ", begin,
                 "..", end, " of ", shape_);
  Tensor view = *this;
  view.shape_ = shape_.with(-1, end - begin);
  view.address_ += static_cast<uintptr_t>(begin * size_of(dtype_));
  return view;
}

void Tensor::refuse(DType dtype) const {
  fail(ErrorKind::internal, "internal error: elements of type ", name_of(dtype_), " used as ",
       name_of(dtype));
}

void Tensor::refuse_host() const {
  fail(ErrorKind::internal, "internal error: a tensor ", shape_, " of device ", place_.device,
       " is read on the host");
}

DeviceAddress Tensor::device_address() const {
  check_internal(!place_.on_host(), "a tensor ", shape_, " of the host is handed to a device");
  return DeviceAddress{address_};
}

template <class T>
Tensor make_tensor(const Shape& shape, std::span<const T> values) {
  check_internal(static_cast<int64_t>(values.size()) == shape.elements(), values.size(),
                 " values for the shape ", shape);
  Tensor tensor(shape, DTypeOf<T>::value);
  std::ranges::copy(values, tensor.data<T>());
  return tensor;
}

template Tensor make_tensor(const Shape&, std::span<const float>);
template Tensor make_tensor(const Shape&, std::span<const bfloat16>);
template Tensor make_tensor(const Shape&, std::span<const uint8_t>);
template Tensor make_tensor(const Shape&, std::span<const int64_t>);

}  // namespace tstitch
