// Which attentions are the library's: what the networks ask for is not left to the fallback.
#include <gtest/gtest.h>

#include "cuda_devices.h"

namespace tstitch::cuda {
namespace {

// T queries with their own keys, in chunks of one product, and with the 77 of a prompt.
TEST(CudaAttention, OfTheNetworksIsTheLibrarys) {
  const auto device = tested_device();
  const DeviceAddress memory = device->allocate(size_t{64} << 20);
  const auto at = [&](int64_t elements) {
    return static_cast<DeviceAddress>(static_cast<uintptr_t>(memory) + static_cast<uintptr_t>(2 * elements));
  };
  const struct {
    int64_t T, heads, d;
  } cases[] = {{4096, 8, 40}, {256, 6, 64}, {1024, 20, 64}, {256, 16, 72}, {1024, 8, 80}, {64, 8, 160}};
  for (const auto& [T, heads, d] : cases) {
    const int64_t D = heads * d;
    for (const int64_t N : {1, 2}) {
      SCOPED_TRACE(testing::Message() << N << " x " << T << ", " << heads << " heads of " << d);
      Attention own = {.q = at(0),
                       .k = at(D),
                       .v = at(2 * D),
                       .out = at(0),
                       .q_stride = 3 * D,
                       .k_stride = 3 * D,
                       .v_stride = 3 * D,
                       .N = N,
                       .T = T,
                       .S = T,
                       .heads = heads,
                       .d = d};
      EXPECT_TRUE(device->attends(own));
      Attention prompt = own;
      prompt.q_stride = D;
      prompt.k_stride = prompt.v_stride = 2 * D;
      prompt.S = 77;
      prompt.kv_shared = true;
      EXPECT_TRUE(device->attends(prompt));
      own.k = at(D + 1);
      EXPECT_FALSE(device->attends(own));
    }
  }
  device->free(memory, size_t{64} << 20);
}

}  // namespace
}  // namespace tstitch::cuda
