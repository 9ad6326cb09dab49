// Stretches of work that are replayed.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <thread>
#include <utility>

#include "backends.h"
#include "cuda_devices.h"
#include "tests/support/expect_error.h"
#include "tstitch/backend/cuda/cuda_backend.h"
#include "tstitch/backend/cuda/recorder.h"

namespace tstitch {
namespace {

using testing::expect_error;
using ::testing::Test;

struct Asked {
  // As a network does it: rows of a table, of which the host says the numbers; a norm, a product, an
  // attention.
  Tensor evaluate(const Tensor& x, const std::vector<int64_t>& rows) {
    return backend_.repeated(x, [&](const Tensor& input) {
      const Tensor m = gather(backend_, table_, rows);
      const Tensor tokens = modulated_norm(backend_, input, m, m);
      const Tensor qkv = linear(backend_, tokens, *qkv_, Activation::none, DType::f32);
      const auto [q, k, v] = chunk<3>(qkv);
      Tensor y = repeat(backend_, input, 1);
      add_gated_linear(backend_, y, m, attention(backend_, q, k, v, 4), *proj_);
      return y;
    });
  }
  cuda::Recorder::Statistics statistics() const { return backend_.recorder().statistics(); }

  // One device memory and its graphs; calls of it can be made to fail.
  struct Flaky final : cuda::Device {
    explicit Flaky(std::unique_ptr<cuda::Device> inner) : device(std::move(inner)) {}
    void check(bool& fails, const char* what) {
      if (std::exchange(fails, false)) fail(ErrorKind::device, what, " failed");
    }
    int number() const override { return device->number(); }
    std::string name() const override { return device->name(); }
    DeviceAddress allocate(size_t bytes) override {
      if (std::exchange(no_memory, false)) return {};
      return device->allocate(bytes);
    }
    void free(DeviceAddress address, size_t bytes) noexcept override { device->free(address, bytes); }
    void upload(DeviceAddress to, const void* from, size_t bytes) override {
      device->upload(to, from, bytes);
    }
    void download(void* to, DeviceAddress from, size_t row, size_t pitch, size_t rows) override {
      device->download(to, from, row, pitch, rows);
    }
    void synchronize() override { device->synchronize(); }
    void run(const cuda::Launch& launch) override { device->run(launch); }
    void multiply(const cuda::Product& product) override {
      check(captures ? no_capture : no_product, "product");
      device->multiply(product);
    }
    void convolve(const cuda::Convolution& convolution) override { device->convolve(convolution); }
    bool attends(const cuda::Attention& attention) const override { return device->attends(attention); }
    void attend(const cuda::Attention& attention) override { device->attend(attention); }
    void begin_capture(size_t upload_bytes) override {
      captures = true;
      device->begin_capture(upload_bytes);
      if (meanwhile) meanwhile();
    }
    std::unique_ptr<cuda::Graph> end_capture() override {
      captures = false;
      return device->end_capture();
    }
    void replay(cuda::Graph& graph, std::span<const std::byte> uploads) override {
      device->replay(graph, uploads);
    }
    std::unique_ptr<cuda::Device> device;
    std::function<void()> meanwhile;                                                   // in each capture
    bool captures = false, no_memory = false, no_product = false, no_capture = false;  // the next one fails
  };

  Flaky* const device_ = new Flaky(cuda::tested_device());  // the backend's
  CudaBackend backend_{std::unique_ptr<cuda::Device>(device_), DType::f32};
  const Tensor table_ = backend_.upload(random_tensor({8, 32}, 1));
  const std::unique_ptr<PackedLinear> qkv_ = backend_.pack_linear(random_tensor({96, 32}, 2), {}),
                                      proj_ = backend_.pack_linear(random_tensor({32, 32}, 3), {});
};

class Replay : public Test, protected Asked {};

// Every step asks for other rows of the table, and of another x at another address: one graph serves them
// all.
TEST_F(Replay, IsWhatCallsWouldHaveDone) {
  const Tensor x = backend_.upload(random_tensor({2, 9, 32}, 4));
  Tensor total = repeat(backend_, x, 1);
  std::vector<Tensor> kept;
  for (int64_t step = 0; step < 7; ++step) {
    total = combine(backend_, {{1, &total}, {0.5, &x}});
    kept.push_back(total);
    kept.push_back(evaluate(total, {step, 7 - step}));
  }
  EXPECT_EQ(statistics().called, 1);
  EXPECT_EQ(statistics().captured, 1);
  EXPECT_EQ(statistics().replayed, 5);

  setenv("TSTITCH_CUDA_GRAPHS", "0", 1);
  Asked calling;
  unsetenv("TSTITCH_CUDA_GRAPHS");
  for (int64_t step = 0; step < 7; ++step) {
    const Tensor input = calling.backend_.upload(backend_.download(kept[static_cast<size_t>(2 * step)]));
    expect_equal(calling.backend_.download(calling.evaluate(input, {step, 7 - step})),
                 backend_.download(kept[static_cast<size_t>(2 * step + 1)]));
  }
  EXPECT_EQ(calling.statistics().called, 7);
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
  EXPECT_LE(statistics().called, 2 + 2);  // a larger shape may move a smaller one's tensors once
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
  const auto work = [&](const Tensor& input) {
    const Tensor tokens =
        conv2d(backend, input, *conv, {.pad_before = 1, .pad_after = 1}, Activation::silu, DType::bf16)
            .reshape({2, 30, 16});
    return attention(backend, tokens, tokens, tokens, 2);
  };
  const Tensor expected = backend.download(work(x));
  for (int step = 0; step < 4; ++step) expect_equal(backend.download(backend.repeated(x, work)), expected);
  EXPECT_GE(backend.recorder().statistics().replayed, 1);
}

// Memory that goes back to the device meanwhile is still read by what has been written down.
TEST_F(Replay, MayGiveMemoryBack) {
  const Tensor x = backend_.upload(random_tensor({3, 40}, 4));
  const Tensor expected = backend_.download(silu(backend_, silu(backend_, x)));
  for (int step = 0; step < 3; ++step) {
    Tensor z = silu(backend_, x);
    const Tensor y = backend_.repeated(x, [&](const Tensor&) {
      Tensor result = silu(backend_, z);
      z = {};
      backend_.memory().trim();
      return result;
    });
    expect_equal(backend_.download(y), expected);
  }
}

// A wait in the middle: what was asked before is done, and so is the rest.
TEST_F(Replay, MayBeReadInTheMiddle) {
  const Tensor x = backend_.upload(random_tensor({3, 40}, 4));
  for (int step = 0; step < 4; ++step) {
    Tensor middle;
    const Tensor y = backend_.repeated(x, [&](const Tensor& input) {
      const Tensor a = silu(backend_, input);
      middle = backend_.download(a);
      return silu(backend_, a);
    });
    expect_equal(middle, backend_.download(silu(backend_, x)));
    expect_equal(backend_.download(y), backend_.download(silu(backend_, silu(backend_, x))));
  }
}

TEST_F(Replay, AfterAnErrorWhatWasAskedIsDone) {
  const Tensor x = backend_.upload(random_tensor({3, 40}, 4));
  Tensor a;
  expect_error(ErrorKind::input, "stop", [&] {
    backend_.repeated(x, [&](const Tensor& input) -> Tensor {
      a = silu(backend_, input);
      throw Error(ErrorKind::input, "stop");
    });
  });
  expect_equal(backend_.download(a), backend_.download(silu(backend_, x)));
  const auto nothing = [](const Tensor& input) { return input; };
  expect_error(ErrorKind::internal, "within other such work", [&] {
    backend_.repeated(x, [&](const Tensor& input) { return backend_.repeated(input, nothing); });
  });
  expect_equal(backend_.download(backend_.repeated(x, nothing)), backend_.download(x));
}

// An error of the device in the middle: the next stretch and the next reader know nothing of what was left.
TEST_F(Replay, AnErrorOfTheDeviceEndsWithItsStretch) {
  const Tensor x = backend_.upload(random_tensor({2, 9, 32}, 4));
  const Tensor expected = backend_.download(evaluate(x, {1, 2}));
  device_->no_product = true;
  expect_error(ErrorKind::device, "product failed", [&] { evaluate(x.slice(0, 1), {1}); });
  for (int step = 0; step < 3; ++step) expect_equal(backend_.download(evaluate(x, {1, 2})), expected);
  EXPECT_EQ(statistics().replayed, 2);
}

TEST_F(Replay, WhatCannotBeRecordedIsCalled) {
  const Tensor x = backend_.upload(random_tensor({2, 9, 32}, 4));
  const Tensor expected = backend_.download(evaluate(x, {1, 2}));
  device_->no_capture = true;
  for (int step = 0; step < 3; ++step) expect_equal(backend_.download(evaluate(x, {1, 2})), expected);
  EXPECT_EQ(statistics().called, 4);
  EXPECT_EQ(statistics().refused, 1);
}

// Free blocks make room, also those that are freed while calls are only written down.
TEST_F(Replay, OutOfMemoryFreesWhatIsFree) {
  const Tensor x = backend_.upload(random_tensor({2, 9, 32}, 4));
  const Tensor expected = backend_.download(evaluate(x, {1, 2}));
  device_->no_memory = true;
  const Tensor other = evaluate(x.slice(0, 1), {1});
  expect_equal(backend_.download(other), expected.slice(0, 1));
  EXPECT_FALSE(device_->no_memory);
}

// Fresh sizes every round, so that threads meet in the device's memory too.
TEST_F(Replay, ThreadsAllocateMeanwhile) {
  const Tensor x = backend_.upload(random_tensor({2, 9, 32}, 4));
  const Tensor expected = backend_.download(evaluate(x, {1, 2}));
  std::thread other([&] {
    for (int64_t size = 1; size < 200; ++size) {
      backend_.memory().trim();
      backend_.upload(random_tensor({size * 64}, 1));
    }
  });
  for (int64_t step = 0; step < 40; ++step) {
    expect_equal(backend_.download(evaluate(x, {1, 2})), expected);
    const Tensor more = backend_.upload(random_tensor({1, 9 + step, 32}, 4));
    evaluate(more, {1});
  }
  other.join();
}

// A device allocates nothing while it captures, whoever asks: the other thread waits.
TEST_F(Replay, AThreadAllocatesInACapture) {
  const Tensor x = backend_.upload(random_tensor({2, 9, 32}, 4));
  const Tensor expected = backend_.download(evaluate(x, {1, 2}));
  std::thread other;
  std::atomic<bool> asks = false;
  device_->meanwhile = [&] {
    other = std::thread([&] {
      asks = true;
      EXPECT_NO_THROW(Tensor({1 << 20}, DType::f32, backend_.memory()));
    });
    while (!asks) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  };
  expect_equal(backend_.download(evaluate(x, {1, 2})), expected);
  ASSERT_TRUE(other.joinable());
  other.join();
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
