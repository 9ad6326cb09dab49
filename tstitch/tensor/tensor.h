#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tstitch/tensor/dtype.h"
#include "tstitch/tensor/memory.h"
#include "tstitch/tensor/shape.h"

namespace tstitch {

// A shared buffer with a shape, an element type and a place; it has no arithmetic of its own (see ops/).
//
// Elements are row-major and dense, except that the rows (the innermost dimension) may lie `row_stride()`
// elements apart: so a range of columns of a tensor is a tensor too, without a copy. Copies of a Tensor
// share the elements, as do views; making a view allocates nothing. Of a tensor on a device the host knows
// only where it is: reading it is Error{internal}, and its address is no pointer.
class Tensor {
 public:
  Tensor() = default;  // no elements, false
  // Uninitialised elements.
  Tensor(const Shape& shape, DType dtype, Memory& memory = host_memory());
  Tensor(const Tensor& other) noexcept;
  Tensor(Tensor&& other) noexcept;
  Tensor& operator=(Tensor other) noexcept;
  ~Tensor();

  explicit operator bool() const { return block_ != nullptr; }
  const Shape& shape() const { return shape_; }
  int64_t extent(int i) const { return shape_[i]; }
  DType dtype() const { return dtype_; }
  Place place() const { return place_; }
  int64_t elements() const { return shape_.elements(); }
  int64_t columns() const { return shape_.rank() ? shape_[-1] : 1; }  // extent of the innermost dimension
  int64_t rows() const { return columns() ? elements() / columns() : 0; }
  int64_t row_stride() const { return row_stride_; }
  bool is_contiguous() const { return row_stride_ == columns() || rows() <= 1; }

  // The elements on the host; throws Error{internal} when T is not the element type, or they lie elsewhere.
  template <class T>
  T* data() {
    if (DTypeOf<T>::value != dtype_) refuse(DTypeOf<T>::value);
    return reinterpret_cast<T*>(bytes());
  }
  template <class T>
  const T* data() const {
    return const_cast<Tensor*>(this)->data<T>();
  }
  std::byte* bytes() {
    if (!place_.on_host()) refuse_host();
    return reinterpret_cast<std::byte*>(address_);
  }
  const std::byte* bytes() const { return const_cast<Tensor*>(this)->bytes(); }
  // The elements on a device; throws Error{internal} when they are on the host.
  DeviceAddress device_address() const;

  // The same elements under another shape of as many elements; needs a contiguous tensor unless the
  // innermost extent stays.
  Tensor reshape(const Shape& shape) const;
  // Entries begin <= i < end of the outermost dimension.
  Tensor slice(int64_t begin, int64_t end) const;
  // Columns begin <= j < end of every row.
  Tensor slice_columns(int64_t begin, int64_t end) const;

 private:
  [[noreturn]] void refuse(DType dtype) const;
  [[noreturn]] void refuse_host() const;

  Block* block_ = nullptr;
  uintptr_t address_ = 0;
  Shape shape_;
  int64_t row_stride_ = 0;
  Place place_;
  DType dtype_ = DType::f32;
};

// A contiguous host tensor with a copy of `values`.
template <class T>
Tensor make_tensor(const Shape& shape, std::span<const T> values);

}  // namespace tstitch
