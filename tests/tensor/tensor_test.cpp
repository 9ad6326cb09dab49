#include "tstitch/tensor/tensor.h"

#include <gtest/gtest.h>

#include <numeric>
#include <utility>
#include <vector>

#include "tstitch/base/error.h"

namespace tstitch {
namespace {

// 0, 1, 2, ... in that shape.
Tensor counting(const Shape& shape) {
  std::vector<float> values(static_cast<size_t>(shape.elements()));
  std::iota(values.begin(), values.end(), 0.0f);
  return make_tensor<float>(shape, values);
}

// The elements in row-major order, whatever the stride.
std::vector<float> elements(const Tensor& x) {
  std::vector<float> values;
  for (int64_t row = 0; row < x.rows(); ++row)
    for (int64_t j = 0; j < x.columns(); ++j) values.push_back(x.data<float>()[row * x.row_stride() + j]);
  return values;
}

using Values = std::vector<float>;

TEST(Tensor, EmptyOneIsFalse) {
  EXPECT_FALSE(Tensor());
  EXPECT_TRUE(Tensor({0}, DType::f32));
  EXPECT_TRUE(counting({2}));
}

TEST(Tensor, CopiesShareTheElements) {
  Tensor x = counting({2, 2});
  Tensor y = x;
  y.data<float>()[3] = 9;
  EXPECT_EQ(elements(x), (Values{0, 1, 2, 9}));
}

TEST(Tensor, MovesLeaveAnEmptyOne) {
  Tensor x = counting({2, 2});
  const Tensor y = std::move(x);
  EXPECT_FALSE(x);  // NOLINT: what a moved-from tensor is belongs to its contract
  EXPECT_EQ(elements(y), (Values{0, 1, 2, 3}));
}

TEST(Tensor, AssignsFromItselfAndItsViews) {
  Tensor x = counting({3, 2});
  Tensor& same = x;
  x = same;
  EXPECT_EQ(elements(x), (Values{0, 1, 2, 3, 4, 5}));
  x = x.slice(1, 2);
  EXPECT_EQ(elements(x), (Values{2, 3}));
}

TEST(Tensor, GivesItsMemoryBackWithTheLastView) {
  HostMemory memory;
  {
    Tensor view;
    {
      const Tensor x({4, 4}, DType::f32, memory);
      view = x.slice(1, 3).slice_columns(0, 2);
    }
    EXPECT_GT(memory.statistics().bytes_in_use, 0);
  }
  EXPECT_EQ(memory.statistics().bytes_in_use, 0);
}

TEST(Tensor, ElementsAreAligned) {
  EXPECT_EQ(reinterpret_cast<uintptr_t>(counting({3, 5}).bytes()) % 64, 0u);
}

TEST(Tensor, ViewsAllocateNothing) {
  HostMemory memory;
  const Tensor x({4, 6, 8}, DType::f32, memory);
  const auto before = memory.statistics().system_allocations;
  const Tensor a = x.slice(0, 2), b = a.slice_columns(2, 4), c = x.reshape({24, 8}), d = c;
  EXPECT_EQ(memory.statistics().system_allocations, before);
}

TEST(Tensor, SlicesTheOutermostDimension) {
  const Tensor x = counting({3, 2, 2});
  const Tensor view = x.slice(1, 3);
  EXPECT_EQ(view.shape(), Shape({2, 2, 2}));
  EXPECT_EQ(elements(view), (Values{4, 5, 6, 7, 8, 9, 10, 11}));
  EXPECT_TRUE(view.is_contiguous());
  EXPECT_EQ(elements(counting({5}).slice(2, 4)), (Values{2, 3}));
  EXPECT_EQ(x.slice(1, 1).elements(), 0);
}

TEST(Tensor, SlicesColumns) {
  const Tensor x = counting({2, 2, 3});
  const Tensor view = x.slice_columns(1, 3);
  EXPECT_EQ(view.shape(), Shape({2, 2, 2}));
  EXPECT_EQ(view.row_stride(), 3);
  EXPECT_FALSE(view.is_contiguous());
  EXPECT_EQ(elements(view), (Values{1, 2, 4, 5, 7, 8, 10, 11}));
}

TEST(Tensor, SlicesSlices) {
  const Tensor x = counting({4, 2, 4});
  EXPECT_EQ(elements(x.slice_columns(1, 4).slice(2, 3)), (Values{17, 18, 19, 21, 22, 23}));
  EXPECT_EQ(elements(x.slice(2, 3).slice_columns(1, 4)), (Values{17, 18, 19, 21, 22, 23}));
  EXPECT_EQ(elements(x.slice_columns(1, 4).slice_columns(1, 2).slice(0, 1)), (Values{2, 6}));
}

TEST(Tensor, ReshapesContiguousOnesFreely) {
  const Tensor view = counting({2, 6}).reshape({3, 4});
  EXPECT_EQ(view.row_stride(), 4);
  EXPECT_EQ(elements(view), elements(counting({12})));
}

TEST(Tensor, ReshapesStridedOnesAlongTheirRowsOnly) {
  const Tensor view = counting({2, 2, 3}).slice_columns(0, 2);
  EXPECT_EQ(elements(view.reshape({4, 2})), (Values{0, 1, 3, 4, 6, 7, 9, 10}));
  EXPECT_THROW(view.reshape({2, 4}), Error);
  // One row is dense whatever its stride.
  EXPECT_EQ(elements(counting({1, 6}).slice_columns(2, 6).reshape({2, 2})), (Values{2, 3, 4, 5}));
}

TEST(Tensor, RefusesWhatDoesNotFit) {
  const Tensor x = counting({2, 3});
  EXPECT_THROW(x.reshape({5}), Error);
  EXPECT_THROW(x.slice(1, 3), Error);
  EXPECT_THROW(x.slice(-1, 1), Error);
  EXPECT_THROW(x.slice(2, 1), Error);
  EXPECT_THROW(x.slice_columns(0, 4), Error);
  EXPECT_THROW(x.data<double>(), Error);
  EXPECT_THROW(make_tensor<float>({2, 2}, Values{1, 2, 3}), Error);
}

TEST(Tensor, KnowsRowsAndColumns) {
  const Tensor x = counting({2, 3, 4});
  EXPECT_EQ(x.rows(), 6);
  EXPECT_EQ(x.columns(), 4);
  EXPECT_EQ(x.elements(), 24);
  EXPECT_EQ(Tensor({2, 0}, DType::f32).rows(), 0);
  EXPECT_EQ(counting(Shape()).columns(), 1);
  EXPECT_EQ(counting(Shape()).rows(), 1);
}

}  // namespace
}  // namespace tstitch
