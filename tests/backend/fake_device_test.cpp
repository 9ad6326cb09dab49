// What the border between host and device lets through.
#include "tests/support/fake_device.h"

#include <gtest/gtest.h>

#include "backends.h"
#include "tests/support/expect_error.h"

namespace tstitch {
namespace {

using testing::expect_error;

std::unique_ptr<FakeDevice> device() { return fake_device({.dtype = "f32", .threads = 1}); }

TEST(FakeDevice, DownloadsWhatWasUploaded) {
  const auto backend = device();
  const Tensor host = random_tensor({3, 4, 5}, 1), x = backend->upload(host);
  EXPECT_EQ(x.place(), backend->memory().place());
  EXPECT_EQ(x.shape(), host.shape());
  const Tensor back = backend->download(x);
  EXPECT_TRUE(back.place().on_host());
  expect_equal(back, host);
}

TEST(FakeDevice, ViewsStayThere) {
  const auto backend = device();
  const Tensor host = random_tensor({3, 4, 6}, 1), x = backend->upload(host);
  const auto view = [](const Tensor& t) { return t.slice(1, 3).slice_columns(2, 5).reshape({8, 3}); };
  EXPECT_EQ(view(x).place(), x.place());
  const Tensor back = backend->download(view(x));
  EXPECT_TRUE(back.is_contiguous());
  expect_equal(back, view(host));
  const Tensor moved = Tensor(x);
  EXPECT_EQ(moved.place(), x.place());
}

TEST(FakeDevice, TheHostCannotReadItsTensors) {
  const auto backend = device();
  Tensor x = backend->upload(random_tensor({2, 3}, 1));
  expect_error(ErrorKind::internal, "read on the host", [&] { x.data<float>(); });
  expect_error(ErrorKind::internal, "read on the host", [&] { x.bytes(); });
  expect_error(ErrorKind::internal, "read on the host", [&] { backend->upload(x); });
  expect_error(ErrorKind::internal, "read on the host", [&] { backend->pack_linear(x, {}); });
  // Nor can a backend of the host.
  const auto cpu = make_backend({.dtype = "f32", .threads = 1});
  expect_error(ErrorKind::internal, "read on the host", [&] { silu(*cpu, x); });
}

TEST(FakeDevice, TakesNoTensorsOfTheHost) {
  const auto backend = device();
  Tensor host = random_tensor({2, 3}, 1), x = backend->upload(host);
  expect_error(ErrorKind::internal, "handed to device", [&] { silu(*backend, host); });
  expect_error(ErrorKind::internal, "handed to device", [&] { backend->download(host); });
  expect_error(ErrorKind::internal, "handed to device", [&] { combine(*backend, {{1, &x}, {1, &host}}); });
  expect_error(ErrorKind::internal, "handed to device", [&] {
    backend->scatter(x, std::array<int64_t, 2>{0, 1}, host);
  });
  expect_error(ErrorKind::internal, "handed to device", [&] {
    backend->scatter(host, std::array<int64_t, 2>{0, 1}, x);
  });
  expect_error(ErrorKind::internal, "handed to a device", [&] { host.device_address(); });
}

// In place in a range of columns: the others stay.
TEST(FakeDevice, KeepsWhatLiesBetweenStridedRows) {
  const auto backend = device();
  Tensor host = random_tensor({2, 3, 8}, 1);
  const Tensor y = random_tensor({3, 4}, 2), x = backend->upload(host);
  Tensor some = x.slice_columns(2, 6), host_some = host.slice_columns(2, 6);
  add_rows(*backend, some, backend->upload(y));
  const auto cpu = make_backend({.dtype = "f32", .threads = 1});
  add_rows(*cpu, host_some, y);
  expect_equal(backend->download(x), host);
}

TEST(FakeDevice, GetsItsMemoryBack) {
  const auto backend = device();
  { const Tensor x = silu(*backend, backend->upload(random_tensor({2, 3}, 1))); }
  EXPECT_EQ(backend->memory().statistics().bytes_in_use, 0);
  EXPECT_GT(backend->memory().statistics().peak_bytes_in_use, 0);
}

}  // namespace
}  // namespace tstitch
