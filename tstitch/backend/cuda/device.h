// What the CUDA backend asks of a GPU: memory, one stream of work in order, kernels of ours (launch.h), the
// products, convolutions and attention of NVIDIA's libraries, and graphs of recorded work.
//
// Everything is queued and done in the order of the calls, but for download and synchronize, which wait.
// Implemented by CudaDevice with the CUDA runtime, cuBLASLt and cuDNN, and by a twin on the host with which
// the tests run every line above this interface without a GPU (tests/support/cuda_host/).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "tstitch/tensor/dtype.h"
#include "tstitch/tensor/place.h"

namespace tstitch::cuda {

// Rows of f32 or bf16 numbers, `stride` elements apart.
struct Matrix {
  DeviceAddress at{};
  DType dtype = DType::f32;
  int64_t rows = 0, columns = 0, stride = 0;
};

// y = act(x w^T + bias), or y += x w^T + bias; cuBLASLt's.
struct Product {
  Matrix x;              // (M, K)
  Matrix w;              // (N, K), of the type of x
  Matrix y;              // (M, N)
  DeviceAddress bias{};  // N of the type of y; 0: none
  bool gelu_tanh = false;
  bool accumulate = false;  // not with gelu_tanh
};

// y[n] = x[n] * w + bias, with zeros around; cuDNN's.
struct Convolution {
  DeviceAddress
      x{};  // N images (H, W, C), dense, but the images `x_image` elements apart: H may be a strip of them
  DeviceAddress w{};     // (M, kh, kw, C), of the type of x
  DeviceAddress y{};     // (N, height(), width(), M)
  DeviceAddress bias{};  // (M) f32, or (N, M) with bias_per_image; 0: none
  bool bias_per_image = false;
  DType x_type = DType::f32, y_type = DType::f32;
  int64_t N = 0, H = 0, W = 0, C = 0, M = 0, kh = 0, kw = 0;
  int64_t x_image = 0;
  int64_t stride = 1;
  int64_t top = 0, left = 0, bottom = 0, right = 0;  // zeros around each image

  int64_t height() const { return (H + top + bottom - kh) / stride + 1; }
  int64_t width() const { return (W + left + right - kw) / stride + 1; }
};

// softmax(q k^T / sqrt(d)) v for each image and head; cuDNN's. Of one type, bf16, rows of all heads beside
// each other. With kv_shared all images see the same S keys.
struct Attention {
  DeviceAddress q{}, k{}, v{}, out{};
  int64_t q_stride = 0, k_stride = 0, v_stride = 0;  // elements between rows; of out: heads d
  int64_t N = 0, T = 0, S = 0, heads = 0, d = 0;
  bool kv_shared = false;
};

// A kernel of ours with its parameters, as launch.h makes it.
struct Launch {
  static constexpr int kMostBytes = 384;

  const void* kernel = nullptr;  // which: launch.h's
  int64_t count = 0;             // of indices, or of blocks
  int lanes = 0;                 // of a block; 0: a kernel of an index
  int scratch = 0;               // f32 numbers that the lanes of a block share
  int bytes = 0;                 // of the parameters
  alignas(16) std::array<std::byte, kMostBytes> parameters = {};
};

// Work that was recorded, to be queued again at once.
class Graph {
 public:
  virtual ~Graph() = default;
};

class Device {
 public:
  virtual ~Device() = default;

  virtual int number() const = 0;
  virtual std::string name() const = 0;  // "NVIDIA H200, compute capability 9.0"

  // 0 when there is none left. Aligned to 256 bytes. This and free come from any thread, also while another
  // captures.
  virtual DeviceAddress allocate(size_t bytes) = 0;
  virtual void free(DeviceAddress address, size_t bytes) noexcept = 0;
  // What it has left for this program and others; nothing where it does not say.
  virtual std::optional<int64_t> bytes_free() const { return std::nullopt; }

  // The bytes are read before it returns.
  virtual void upload(DeviceAddress to, const void* from, size_t bytes) = 0;
  // The bytes are there when it returns. Rows of `row` bytes, `pitch` apart on the device, dense on the host.
  virtual void download(void* to, DeviceAddress from, size_t row, size_t pitch, size_t rows) = 0;
  virtual void synchronize() = 0;

  virtual void run(const Launch& launch) = 0;
  virtual void multiply(const Product& product) = 0;
  virtual void convolve(const Convolution& convolution) = 0;
  // Whether the library has this attention, with these strides and addresses. The answer depends on nothing
  // that changes between images of a batch.
  virtual bool attends(const Attention& attention) const = 0;
  virtual void attend(const Attention& attention) = 0;

  // What is queued between the two is recorded and not done. Allocating and waiting meanwhile, and uploading
  // more than was said, is Error{internal}.
  virtual void begin_capture(size_t upload_bytes) = 0;
  virtual std::unique_ptr<Graph> end_capture() = 0;
  // Queues it, with other bytes for its uploads, one after the other.
  virtual void replay(Graph& graph, std::span<const std::byte> uploads) = 0;
};

}  // namespace tstitch::cuda
