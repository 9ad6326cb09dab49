// What must be equal bit for bit on the CPU beside identities_test.cpp: the number of threads changes
// nothing, nor does where keys and values lie.
#include "backends.h"

namespace tstitch {
namespace {

class CpuIdentities : public testing::TestWithParam<DType> {
 protected:
  DType dtype() const { return GetParam(); }

  // compute(backend) on one thread equals that on two and three.
  template <class F>
  void expect_same_on_any_threads(const F& compute) {
    const auto one = tested_backends(dtype(), 1);
    for (const int threads : {2, 3}) {
      const auto more = tested_backends(dtype(), threads);
      for (size_t i = 0; i < one.size(); ++i) {
        SCOPED_TRACE(more[i]->description());
        expect_equal(compute(*more[i]), compute(*one[i]));
      }
    }
  }
};

INSTANTIATE_TEST_SUITE_P(, CpuIdentities, testing::Values(DType::f32, DType::bf16),
                         [](const auto& test) { return std::string(name_of(test.param)); });

TEST_P(CpuIdentities, ThreadsDoNotChangeALinearMap) {
  const Tensor x = random_tensor({61, 130}, 1, dtype()), w = random_tensor({300, 130}, 2, dtype()),
               b = random_tensor({300}, 3);
  expect_same_on_any_threads([&](Backend& backend) {
    return linear(backend, x, *backend.pack_linear(w, b), Activation::gelu_tanh, dtype());
  });
}

TEST_P(CpuIdentities, ThreadsDoNotChangeAttention) {
  const Tensor qkv = random_tensor({1, 300, 3 * 2 * 24}, 1, dtype());
  const auto [q, k, v] = chunk<3>(qkv);
  expect_same_on_any_threads(
      [&, &q = q, &k = k, &v = v](Backend& backend) { return attention(backend, q, k, v, 2); });
}

TEST_P(CpuIdentities, ThreadsDoNotChangeNorms) {
  const Tensor x = random_tensor({4, 64, 384}, 1), m = random_tensor({4, 384}, 2);
  expect_same_on_any_threads([&](Backend& backend) { return modulated_norm(backend, x, m, m); });
}

TEST_P(CpuIdentities, ThreadsDoNotChangeConvolutionsAndGroupNorms) {
  const Tensor x = random_tensor({2, 13, 9, 40}, 1, dtype()), w = random_tensor({70, 40, 3, 3}, 2, dtype()),
               c = random_tensor({40}, 3);
  expect_same_on_any_threads([&](Backend& backend) {
    const Tensor moments = group_moments(backend, x, 8);
    const Tensor norm = group_norm_scale_shift(backend, {&moments, 1}, c, c, 1e-6);
    return conv2d(backend, x, *backend.pack_conv2d(w, Tensor()),
                  {.pad_before = 1, .pad_after = 1, .norm = &norm, .act = Activation::silu}, Activation::none,
                  DType::f32);
  });
}

TEST_P(CpuIdentities, CrossAttentionIsAttention) {
  const Tensor q = random_tensor({3, 49, 48}, 1, dtype()),
               keys_values = random_tensor({3, 20, 96}, 2, dtype());
  const auto [k, v] = chunk<2>(keys_values);
  std::vector<Tensor> of_images;
  for (int64_t n = 0; n < 3; ++n) of_images.push_back(keys_values.slice(n, n + 1).reshape({20, 96}));
  const Tensor* const pointers[] = {&of_images[0], &of_images[1], &of_images[2]};
  for (const auto& backend : tested_backends(dtype()))
    expect_equal(cross_attention(*backend, q, pointers, 3), attention(*backend, q, k, v, 3));
}

}  // namespace
}  // namespace tstitch
