// The kernels whose lanes work together, under ThreadSanitizer: every lane is a thread to it (lanes.h), so
// what a barrier should order and does not is found, even where every order of the lanes gives the same
// numbers. One to four blocks of each.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/support/cuda_host/lanes.h"
#include "tstitch/backend/cuda/instances.h"

namespace {
int reports = 0;
}

// ThreadSanitizer's: called at every report, and its options. A race at an address where one was is one, too.
extern "C" __attribute__((no_sanitize("thread"))) void __tsan_on_report(void*) { ++reports; }
extern "C" const char* __tsan_default_options() { return "exitcode=0:suppress_equal_addresses=0"; }

namespace tstitch::cuda {
namespace {

constexpr int64_t kRows = 3;

// A matrix of numbers that differ.
struct Numbers {
  Numbers(int64_t rows, int64_t columns_) : of(static_cast<size_t>(rows * columns_)), columns(columns_) {
    for (size_t i = 0; i < of.size(); ++i) of[i] = std::sin(static_cast<float>(i));
  }
  operator Rows() { return {of.data(), columns, DType::f32}; }
  float* data() { return of.data(); }

  std::vector<float> of;
  int64_t columns;
};

// How often ThreadSanitizer reported, in every order of the lanes.
template <class Kernel>
int races(int64_t blocks, int lanes, int64_t scratch, const Kernel& kernel) {
  const int before = reports;
  for (const LaneOrder order : {LaneOrder::forward, LaneOrder::backward, LaneOrder::mixed}) {
    set_lane_order(order);
    run_blocks(
        blocks, lanes, static_cast<int>(scratch),
        [](const void* k, const Block& block) { (*static_cast<const Kernel*>(k))(block); }, &kernel);
  }
  return reports - before;
}

class Kernels : public testing::TestWithParam<int> {
 protected:
  int lanes() const { return GetParam(); }
  int64_t warps() const { return lanes() / kWarp; }
};

INSTANTIATE_TEST_SUITE_P(, Kernels, testing::Values(32, 256),
                         [](const auto& test) { return std::to_string(test.param) + "Lanes"; });

TEST_P(Kernels, RowNorm) {
  Numbers x(kRows, 300), scale(1, 300), shift(1, 300), out(kRows, 300);
  EXPECT_EQ(races(kRows, lanes(), warps(), RowNorm{x, scale, shift, out, kRows, 300, 1, 1e-6f}), 0);
}

TEST_P(Kernels, GroupMoments) {
  Numbers x(2 * 40, 12), moments(2 * 2, 2);
  EXPECT_EQ(races(4, lanes(), warps(), GroupMoments{x, moments.data(), 40, 12, 2}), 0);
}

TEST_P(Kernels, GroupScaleShift) {
  Numbers moments(2 * 300, 2 * 2), gamma(1, 12), beta(1, 12), out(2 * 2, 12);
  moments.columns = 2;
  const Part strip = {moments, 300};
  EXPECT_EQ(races(4, lanes(), warps(),
                  GroupScaleShift{&strip, gamma.data(), beta.data(), out.data(), 12, 2, 300, 1e-6f}),
            0);
}

TEST_P(Kernels, NearestRows) {
  Numbers x(kRows, 5), table(500, 5), out(kRows, 5);
  EXPECT_EQ(races(kRows, lanes(), 2 * warps(), NearestRows{x, table, out, 5, 500}), 0);
}

template <int kValues>
void expect_orderly_attention(int64_t d, bool causal) {
  using Kernel = TiledAttention<kValues>;
  SCOPED_TRACE(d);
  const int64_t T = Kernel::kTile + 3, S = causal ? T : 2 * Kernel::kKeys + 5;
  Numbers q(T, d), k(S, d), v(S, d), out(T, d);
  const KeysValues image = {0, k, v, S};
  EXPECT_EQ(
      races(2, Kernel::kWarps * kWarp, Kernel::scratch(d), Kernel{q, out, &image, T, 1, d, 2, causal, 0.1f}),
      0);
}

TEST(Attention, IsOrderly) {
  for (const bool causal : {false, true}) {
    expect_orderly_attention<2>(40, causal);
    expect_orderly_attention<4>(72, causal);
    expect_orderly_attention<8>(160, causal);
    expect_orderly_attention<16>(512, causal);
  }
}

// What is found, where there is something.

// Every lane's number through the scratch, and the next but kWarp's back.
template <bool kBarrier>
struct Exchange {
  float* out;
  void operator()(const Block& block) const {
    const int i = block.rank(), other = (i + kWarp) % block.size();
    block.scratch()[i] = static_cast<float>(i);
    if (kBarrier) block.barrier();
    out[block.row() * block.size() + i] = block.scratch()[other];
  }
};

TEST(Races, OfAReadWithoutABarrier) {
  Numbers out(1, 64);
  EXPECT_EQ(races(1, 64, 64, Exchange<true>{out.data()}), 0);
  EXPECT_GT(races(1, 64, 64, Exchange<false>{out.data()}), 0);
}

// Between what is read of the one and written for the other.
template <bool kBarrier>
struct TwoSums {
  float* out;
  void operator()(const Block& block) const {
    for (int k = 0; k < 2; ++k) {
      if (kBarrier) block.barrier();
      if (block.rank() == 0) block.scratch()[0] = static_cast<float>(k);
      block.barrier();
      out[2 * block.rank() + k] = block.scratch()[0];
    }
  }
};

TEST(Races, BetweenTwoSums) {
  Numbers out(64, 2);
  EXPECT_EQ(races(1, 64, 1, TwoSums<true>{out.data()}), 0);
  EXPECT_GT(races(1, 64, 1, TwoSums<false>{out.data()}), 0);
}

// A shuffle carries its number and orders nothing else.
struct BesideAShuffle {
  float* out;
  void operator()(const Block& block) const {
    block.scratch()[block.rank()] = 1;
    block.shuffle_xor(0, 1);
    out[block.rank()] = block.scratch()[block.rank() ^ 1];
  }
};

TEST(Races, BesideAShuffle) {
  Numbers out(1, 32);
  EXPECT_GT(races(1, 32, 32, BesideAShuffle{out.data()}), 0);
}

// The same lane of every block.
struct SameElement {
  float* out;
  void operator()(const Block& block) const {
    block.barrier();
    if (block.rank() == 0) out[0] = 1;
  }
};

TEST(Races, BetweenBlocks) {
  Numbers out(1, 1);
  EXPECT_EQ(races(1, 32, 1, SameElement{out.data()}), 0);
  EXPECT_GT(races(2, 32, 1, SameElement{out.data()}), 0);
}

}  // namespace
}  // namespace tstitch::cuda
