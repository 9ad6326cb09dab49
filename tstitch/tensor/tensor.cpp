#include "tstitch/tensor/tensor.h"

#include <algorithm>
#include <new>
#include <utility>

#include "tstitch/base/error.h"

namespace tstitch {

// Lies in the first cache line of the block, so that a tensor is one allocation.
struct alignas(64) Tensor::Storage {
  std::atomic<int> references;
  Memory* memory;
  size_t bytes;  // of the whole block
};

Tensor::Tensor(const Shape& shape, DType dtype, Memory& memory)
    : shape_(shape), row_stride_(columns()), dtype_(dtype) {
  const size_t bytes = sizeof(Storage) + static_cast<size_t>(shape.elements() * size_of(dtype));
  void* block = memory.allocate(bytes);
  storage_ = new (block) Storage{{1}, &memory, bytes};
  address_ = static_cast<std::byte*>(block) + sizeof(Storage);
}

Tensor::Tensor(const Tensor& other) noexcept
    : storage_(other.storage_),
      address_(other.address_),
      shape_(other.shape_),
      row_stride_(other.row_stride_),
      dtype_(other.dtype_) {
  if (storage_) storage_->references.fetch_add(1, std::memory_order_relaxed);
}

Tensor::Tensor(Tensor&& other) noexcept
    : storage_(std::exchange(other.storage_, nullptr)),
      address_(std::exchange(other.address_, nullptr)),
      shape_(std::exchange(other.shape_, {})),
      row_stride_(std::exchange(other.row_stride_, 0)),
      dtype_(other.dtype_) {}

Tensor& Tensor::operator=(Tensor other) noexcept {
  std::swap(storage_, other.storage_);
  std::swap(address_, other.address_);
  std::swap(shape_, other.shape_);
  std::swap(row_stride_, other.row_stride_);
  std::swap(dtype_, other.dtype_);
  return *this;
}

Tensor::~Tensor() {
  if (storage_ && storage_->references.fetch_sub(1, std::memory_order_acq_rel) == 1)
    storage_->memory->deallocate(storage_, storage_->bytes);
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
  view.address_ += begin * size_of(dtype_) * (shape_.rank() > 1 ? inner_rows * row_stride_ : 1);
  if (shape_.rank() == 1) view.row_stride_ = end - begin;
  return view;
}

Tensor Tensor::slice_columns(int64_t begin, int64_t end) const {
  check_internal(shape_.rank() >= 1 && 0 <= begin && begin <= end && end <= columns(), "columns ", begin,
                 "..", end, " of ", shape_);
  Tensor view = *this;
  view.shape_ = shape_.with(-1, end - begin);
  view.address_ += begin * size_of(dtype_);
  return view;
}

void Tensor::refuse(DType dtype) const {
  fail(ErrorKind::internal, "internal error: elements of type ", name_of(dtype_), " used as ",
       name_of(dtype));
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
