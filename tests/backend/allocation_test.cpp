// The second call of a shape allocates nothing: neither tensors from the system nor anything from the heap.
#include <atomic>
#include <cstdlib>
#include <new>

#include "backends.h"

namespace {
std::atomic<int64_t> heap_allocations = 0;
}

// g++ 12 takes them for a mismatch where it inlines one of them.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

void* operator new(size_t bytes) {
  ++heap_allocations;
  if (void* block = std::malloc(bytes)) return block;
  throw std::bad_alloc();
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, size_t) noexcept { std::free(block); }

namespace tstitch {
namespace {

TEST(Allocation, ABlockAllocatesNothingTheSecondTime) {
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const auto& backend : tested_backends(dtype)) {
      SCOPED_TRACE(backend->description());
      Backend& b = *backend;
      const int64_t N = 2, T = 49, D = 96;
      const auto qkv = b.pack_linear(random_tensor({3 * D, D}, 1), random_tensor({3 * D}, 2));
      const auto proj = b.pack_linear(random_tensor({D, D}, 3), Tensor());
      const auto odd = b.pack_linear(random_tensor({D, 5}, 3), Tensor());
      const Tensor m = random_tensor({N, D}, 4), c = random_tensor({N, 5}, 5),
                   image = random_tensor({N, 14, 14, 4}, 6);
      Tensor x = random_tensor({N, T, D}, 7);
      const auto conv = b.pack_conv2d(random_tensor({4, 4, 3, 3}, 8), Tensor());
      const Tensor gamma = random_tensor({4}, 9);
      const Tensor affine = random_tensor({2, D}, 10);
      const std::vector<int64_t> rows = {1, 0, 1};
      const std::vector<double> t = {3, 4};

      const Tensor kv = random_tensor({5, 2 * D}, 11, dtype), parts[] = {image, image.slice(0, 1)};
      const Tensor* const keys_values[] = {&kv, &kv};

      const auto step = [&] {
        const auto [q, k, v] = chunk<3>(linear(b, modulated_norm(b, x, m, m), *qkv, Activation::none, dtype));
        add_gated_linear(b, x, m, attention(b, q, k, v, 4), *proj);
        const Tensor doubled = concat_columns(b, x, x);
        add_linear(b, x, geglu(b, doubled), *proj);
        layer_norm(b, x, affine.slice(0, 1).reshape({D}), affine.slice(1, 2).reshape({D}));
        linear(b, silu(b, c), *odd, Activation::silu, DType::f32);
        const Tensor patches = cast(b, patchify(b, image, 2), DType::f32);
        const Tensor back = unpatchify(b, patches, 2, 14, 14);
        combine(b, {{0.5, &image}, {0.5, &back}});
        add_noise(b, image, back, guide(b, image, back, 4, 3));
        to_channels_last(b, to_channels_first(b, repeat(b, image, 2)));
        const Tensor moments = group_moments(b, image, 2);
        const Tensor norm = group_norm_scale_shift(b, {&moments, 1}, gamma, gamma, 1e-6);
        const Conv2dPath same = {.pad_before = 1, .pad_after = 1, .norm = &norm, .act = Activation::silu};
        Tensor sum = scale_shift(b, image, norm);
        add_conv2d(b, sum, conv2d(b, image, *conv, same, Activation::none, dtype), *conv, same);
        pool(b, image, {.of = PoolPath::Of::mean, .window = 3, .pad = 1});
        clamp(b, soft_clamp(b, image, 3), -1, 1);
        Tensor table = gather(b, m, rows);
        scatter(b, table, rows, gather(b, m, rows));
        stack(b, parts);
        cross_attention(b, q, keys_values, 4);
        timestep_embedding(b, t, 16);
        add_rows(b, x, x.slice(0, 1).reshape({T, D}));
      };
      step();
      const int64_t heap = heap_allocations, system = host_memory().statistics().system_allocations;
      step();
      EXPECT_EQ(heap_allocations, heap);
      EXPECT_EQ(host_memory().statistics().system_allocations, system);
    }
}

}  // namespace
}  // namespace tstitch
