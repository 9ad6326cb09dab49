// Stretches of work that are replayed.
#include <gtest/gtest.h>

#include <thread>

#include "backends.h"
#include "cuda_devices.h"
#include "tests/support/expect_error.h"
#include "tstitch/backend/cuda/cuda_backend.h"
#include "tstitch/backend/cuda/recorder.h"

namespace tstitch {
namespace {

using testing::expect_error;
using ::testing::Test;

class Replay : public Test {
 protected:
  // As a network does it: rows of a table, of which the host says the numbers; a norm, a product, an
  // attention.
  Tensor evaluate(const Tensor& x, const std::vector<int64_t>& rows) {
    Tensor y;
    backend_.repeated([&] {
      const Tensor m = gather(backend_, table_, rows);
      const Tensor tokens = modulated_norm(backend_, x, m, m);
      const Tensor qkv = linear(backend_, tokens, *qkv_, Activation::none, DType::f32);
      const auto [q, k, v] = chunk<3>(qkv);
      y = repeat(backend_, x, 1);
      add_gated_linear(backend_, y, m, attention(backend_, q, k, v, 4), *proj_);
    });
    return y;
  }
  cuda::Recorder::Statistics statistics() const { return backend_.recorder().statistics(); }

  CudaBackend backend_{cuda::tested_device(), DType::f32};
  const Tensor table_ = backend_.upload(random_tensor({8, 32}, 1));
  const std::unique_ptr<PackedLinear> qkv_ = backend_.pack_linear(random_tensor({96, 32}, 2), {}),
                                      proj_ = backend_.pack_linear(random_tensor({32, 32}, 3), {});
};

// Every step asks for other rows of the table, and what it is asked of changes in place.
TEST_F(Replay, IsWhatCallsWouldHaveDone) {
  Tensor x = backend_.upload(random_tensor({2, 9, 32}, 4)), total = repeat(backend_, x, 1);
  std::vector<Tensor> found;
  for (int64_t step = 0; step < 7; ++step) {
    total = combine(backend_, {{1, &total}, {0.5, &x}});
    found.push_back(backend_.download(evaluate(total, {step, 7 - step})));
  }
  EXPECT_GE(statistics().replayed, 3);
  EXPECT_GE(statistics().captured, 1);
  EXPECT_EQ(statistics().called + statistics().captured + statistics().replayed, 7);

  // The same call by call: tensors that are kept move the others to new addresses.
  std::vector<Tensor> kept;
  total = repeat(backend_, x, 1);
  const int64_t called = statistics().called;
  for (int64_t step = 0; step < 7; ++step) {
    total = combine(backend_, {{1, &total}, {0.5, &x}});
    kept.push_back(total);
    kept.push_back(evaluate(total, {step, 7 - step}));
    expect_equal(backend_.download(kept.back()), found[static_cast<size_t>(step)]);
  }
  EXPECT_GE(statistics().called, called + 5);
}

TEST_F(Replay, AllocatesNothing) {
  const Tensor x = backend_.upload(random_tensor({2, 9, 32}, 4));
  for (int step = 0; step < 3; ++step) evaluate(x, {1, 2});
  const auto before = backend_.memory().statistics().system_allocations;
  for (int step = 0; step < 20; ++step) evaluate(x, {1, step % 8});
  EXPECT_EQ(backend_.memory().statistics().system_allocations, before);
  EXPECT_GE(statistics().replayed, 20);
}

// Another shape, another graph; the first is still there.
TEST_F(Replay, KnowsSeveral) {
  const Tensor x = backend_.upload(random_tensor({2, 9, 32}, 4)),
               one = backend_.upload(random_tensor({1, 5, 32}, 5));
  for (int step = 0; step < 8; ++step) {
    evaluate(x, {1, 2});
    evaluate(one, {3});
  }
  EXPECT_GE(statistics().replayed, 12);
}

TEST_F(Replay, ForgetsTheOldest) {
  const Tensor x = backend_.upload(random_tensor({1, 100, 32}, 4));
  for (int round = 0; round < 2; ++round)
    for (int64_t T = 1; T <= 40; ++T)
      evaluate(x.slice_columns(0, 32).reshape({100, 32}).slice(0, T).reshape({1, T, 32}), {1});
  EXPECT_EQ(statistics().called, 80);
}

// What cuDNN does on a device is replayed as well.
TEST_F(Replay, OfAConvolutionAndItsAttention) {
  CudaBackend backend(cuda::tested_device(), DType::bf16);
  const Tensor x = backend.upload(random_tensor({2, 5, 6, 16}, 1, DType::bf16));
  const auto conv = backend.pack_conv2d(random_tensor({16, 16, 3, 3}, 2, DType::f32, 0.1), {});
  Tensor y;
  const auto work = [&] {
    const Tensor tokens =
        conv2d(backend, x, *conv, {.pad_before = 1, .pad_after = 1}, Activation::silu, DType::bf16)
            .reshape({2, 30, 16});
    y = attention(backend, tokens, tokens, tokens, 2);
  };
  work();
  const Tensor expected = backend.download(y);
  for (int step = 0; step < 4; ++step) {
    y = {};
    backend.repeated(work);
    expect_equal(backend.download(y), expected);
  }
  EXPECT_GE(backend.recorder().statistics().replayed, 1);
}

// Memory that goes back to the device meanwhile is still read by what has been written down.
TEST_F(Replay, MayGiveMemoryBack) {
  const Tensor x = backend_.upload(random_tensor({3, 40}, 4));
  const Tensor expected = backend_.download(silu(backend_, silu(backend_, x)));
  for (int step = 0; step < 3; ++step) {
    Tensor y;
    backend_.repeated([&] {
      y = silu(backend_, silu(backend_, x));
      backend_.memory().trim();
    });
    expect_equal(backend_.download(y), expected);
  }
}

// A wait in the middle: what was asked before is done, and so is the rest.
TEST_F(Replay, MayBeReadInTheMiddle) {
  const Tensor x = backend_.upload(random_tensor({3, 40}, 4));
  for (int step = 0; step < 4; ++step) {
    Tensor middle, y;
    backend_.repeated([&] {
      const Tensor a = silu(backend_, x);
      middle = backend_.download(a);
      y = silu(backend_, a);
    });
    expect_equal(middle, backend_.download(silu(backend_, x)));
    expect_equal(backend_.download(y), backend_.download(silu(backend_, silu(backend_, x))));
  }
}

TEST_F(Replay, AfterAnErrorWhatWasAskedIsDone) {
  const Tensor x = backend_.upload(random_tensor({3, 40}, 4));
  Tensor a;
  expect_error(ErrorKind::input, "stop", [&] {
    backend_.repeated([&] {
      a = silu(backend_, x);
      throw Error(ErrorKind::input, "stop");
    });
  });
  expect_equal(backend_.download(a), backend_.download(silu(backend_, x)));
  expect_error(ErrorKind::internal, "begins twice",
               [&] { backend_.repeated([&] { backend_.repeated([] {}); }); });
}

// Other threads' work neither gets into a stretch nor lost.
TEST_F(Replay, ThreadsTakeTurns) {
  const Tensor x = backend_.upload(random_tensor({2, 9, 32}, 4)),
               z = backend_.upload(random_tensor({3, 40}, 5));
  const Tensor expected = backend_.download(evaluate(x, {1, 2})), of_z = backend_.download(silu(backend_, z));
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&, i] {
      for (int step = 0; step < 30; ++step) {
        if (i == 0)
          expect_equal(backend_.download(evaluate(x, {1, 2})), expected);
        else
          expect_equal(backend_.download(silu(backend_, z)), of_z);
      }
    });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace tstitch
