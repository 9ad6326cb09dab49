// What the twin refuses, and its lanes.
#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/support/cuda_host/host_twin.h"
#include "tests/support/expect_error.h"

namespace tstitch {
namespace {

using testing::expect_error;

TEST(HostTwin, RefusesWhatADeviceRefuses) {
  cuda::HostTwin twin;
  const DeviceAddress at = twin.allocate(64);
  twin.begin_capture(4);
  expect_error(ErrorKind::internal, "more than was said", [&] { twin.upload(at, "uploads", 8); });
  expect_error(ErrorKind::internal, "allocates", [&] { twin.allocate(64); });
  expect_error(ErrorKind::internal, "waits", [&] { twin.synchronize(); });
  expect_error(ErrorKind::internal, "begins another", [&] { twin.begin_capture(0); });
  twin.end_capture();
  expect_error(ErrorKind::internal, "ends none", [&] { twin.end_capture(); });
  expect_error(ErrorKind::internal, "alignment",
               [&] { twin.convolve({.w = static_cast<DeviceAddress>(static_cast<uintptr_t>(at) + 8)}); });
  expect_error(ErrorKind::internal, "[product] alignment", [&] {
    twin.multiply(
        {.x = {at, DType::bf16, 2, 3, 9}, .w = {at, DType::bf16, 2, 3, 8}, .y = {at, DType::f32, 2, 2, 2}});
  });
  EXPECT_DEATH(*reinterpret_cast<volatile char*>(at) = 1, "");
}

// body(block) for each lane of one block of 64.
template <class Body>
void run(const Body& body) {
  cuda::run_blocks(
      1, 64, 64, [](const void* b, const cuda::Block& block) { (*static_cast<const Body*>(b))(block); },
      &body);
}

TEST(Lanes, MeetWhereAllOfThemWait) {
  const auto half_wait = [](const cuda::Block& block) {
    if (block.rank() < 32) block.barrier();
  };
  const auto half_wait_twice = [](const cuda::Block& block) {
    for (int i = 0; i <= block.rank() / 32; ++i) block.barrier();
  };
  EXPECT_THROW(run(half_wait), std::logic_error);
  EXPECT_THROW(run(half_wait_twice), std::logic_error);
  int met = 0;
  run([&](const cuda::Block& block) {  // those that waited in vain are gone
    block.barrier();
    ++met;
  });
  EXPECT_EQ(met, 64);
  EXPECT_THROW(cuda::run_blocks(1, 48, 0, nullptr, nullptr), std::logic_error);
}

}  // namespace
}  // namespace tstitch
