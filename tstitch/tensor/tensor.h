#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "tstitch/tensor/dtype.h"
#include "tstitch/tensor/memory.h"
#include "tstitch/tensor/shape.h"

namespace tstitch {

// A shared buffer with a shape and an element type; it has no arithmetic of its own (see ops/).
//
// Elements are row-major and dense, except that the rows (the innermost dimension) may lie `row_stride()`
// elements apart: so a range of columns of a tensor is a tensor too, without a copy. Copies of a Tensor
// share the elements, as do views; making a view allocates nothing.
class Tensor {
 public:
  Tensor() = default;  // no elements, false
  // Uninitialised elements.
  Tensor(const Shape& shape, DType dtype, Memory& memory = host_memory());
  Tensor(const Tensor& other) noexcept;
  Tensor(Tensor&& other) noexcept;
  Tensor& operator=(Tensor other) noexcept;
  ~Tensor();

  explicit operator bool() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  int64_t extent(int i) const { return shape_[i]; }
  DType dtype() const { return dtype_; }
  int64_t elements() const { return shape_.elements(); }
  int64_t columns() const { return shape_.rank() ? shape_[-1] : 1; }  // extent of the innermost dimension
  int64_t rows() const { return columns() ? elements() / columns() : 0; }
  int64_t row_stride() const { return row_stride_; }
  bool is_contiguous() const { return row_stride_ == columns() || rows() <= 1; }

  // The elements on the host; throws Error{internal} when T is not the element type.
  template <class T>
  T* data() {
    expect(DTypeOf<T>::value);
    return reinterpret_cast<T*>(address_);
  }
  template <class T>
  const T* data() const {
    expect(DTypeOf<T>::value);
    return reinterpret_cast<const T*>(address_);
  }
  std::byte* bytes() { return address_; }
  const std::byte* bytes() const { return address_; }

  // The same elements under another shape of as many elements; needs a contiguous tensor unless the
  // innermost extent stays.
  Tensor reshape(const Shape& shape) const;
  // Entries begin <= i < end of the outermost dimension.
  Tensor slice(int64_t begin, int64_t end) const;
  // Columns begin <= j < end of every row.
  Tensor slice_columns(int64_t begin, int64_t end) const;

 private:
  struct Storage;  // reference count and memory, in front of the elements
  void expect(DType dtype) const {
    if (dtype != dtype_) refuse(dtype);
  }
  [[noreturn]] void refuse(DType dtype) const;

  Storage* storage_ = nullptr;
  std::byte* address_ = nullptr;
  Shape shape_;
  int64_t row_stride_ = 0;
  DType dtype_ = DType::f32;
};

// A contiguous host tensor with a copy of `values`.
template <class T>
Tensor make_tensor(const Shape& shape, std::span<const T> values);

}  // namespace tstitch
