#include "host_twin.h"

#include <sys/mman.h>

#include <cmath>
#include <cstring>
#include <utility>

#include "launch_host.h"
#include "tstitch/backend/backend.h"
#include "tstitch/backend/cuda/block.h"
#include "tstitch/backend/cuda/kernels/activation.h"
#include "tstitch/backend/cuda/kernels/rows.h"
#include "tstitch/base/error.h"

namespace tstitch::cuda {
namespace {

constexpr size_t kArenaBytes = size_t{16} << 30;  // of addresses: pages come when they are written
constexpr size_t kAlignment = 256;
constexpr size_t kLongestQueue = 4096;  // then it runs, as a device would long have begun to

size_t rounded(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

template <class T>
T* pointer(DeviceAddress address) {
  return reinterpret_cast<T*>(static_cast<uintptr_t>(address));
}

Rows rows_of(const Matrix& matrix) { return {pointer<void>(matrix.at), matrix.stride, matrix.dtype}; }

bool aligned(DeviceAddress address, size_t bytes) { return static_cast<uintptr_t>(address) % bytes == 0; }

}  // namespace

struct HostTwin::HostGraph final : Graph {
  std::vector<Work> work;
  std::vector<std::byte> uploads;
  size_t upload_bytes = 0;  // as was said
};

HostTwin::HostTwin(LaneOrder order) : order_(order) {
  void* arena = mmap(nullptr, kArenaBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  check(arena != MAP_FAILED, ErrorKind::device, "no address space for the twin's memory");
  arena_ = static_cast<std::byte*>(arena);
}

HostTwin::~HostTwin() { munmap(arena_, kArenaBytes); }

void HostTwin::protect(bool closed) const {
  mprotect(arena_, rounded(used_ + 4096) / 4096 * 4096, closed ? PROT_NONE : PROT_READ | PROT_WRITE);
}

void HostTwin::refuse_in_capture(const char* what) const {
  check_internal(!capture_ || capturing_ != std::this_thread::get_id(), "[capture] ", what);
}

DeviceAddress HostTwin::allocate(size_t bytes) {
  const std::lock_guard turn(turn_);
  check_internal(!capture_, "[capture] allocates");  // whoever does
  const size_t size = rounded(bytes);
  std::byte* block = nullptr;
  if (const auto found = free_.lower_bound(size); found != free_.end() && found->first == size) {
    block = found->second;
    free_.erase(found);
  } else if (used_ + size <= kArenaBytes - 8192) {
    block = arena_ + used_;
    used_ += size;
    queue([block, size] { std::memset(block, 0xff, size); });
  }
  return static_cast<DeviceAddress>(reinterpret_cast<uintptr_t>(block));
}

// What is queued may still read it; what is queued from now on reads NaN.
void HostTwin::free(DeviceAddress address, size_t bytes) noexcept {
  const std::lock_guard turn(turn_);
  std::byte* block = pointer<std::byte>(address);
  const size_t size = rounded(bytes);
  queue([block, size] { std::memset(block, 0xff, size); });
  free_.emplace(size, block);
}

void HostTwin::queue(Work work) {
  const std::lock_guard turn(turn_);
  if (capture_ && capturing_ == std::this_thread::get_id()) {
    capture_->work.push_back(std::move(work));
    return;
  }
  queue_.push_back(std::move(work));
  if (queue_.size() >= kLongestQueue) synchronize();
}

void HostTwin::upload(DeviceAddress to, const void* from, size_t bytes) {
  const std::lock_guard turn(turn_);
  const auto* first = static_cast<const std::byte*>(from);
  if (capture_) {
    const size_t offset = capture_->uploads.size();
    capture_->uploads.insert(capture_->uploads.end(), first, first + bytes);
    check_internal(capture_->uploads.size() <= capture_->upload_bytes,
                   "[capture] uploads more than was said");
    return queue([graph = capture_.get(), to, offset, bytes] {
      std::memcpy(pointer<std::byte>(to), graph->uploads.data() + offset, bytes);
    });
  }
  queue([to, copy = std::vector<std::byte>(first, first + bytes)] {
    std::memcpy(pointer<std::byte>(to), copy.data(), copy.size());
  });
}

void HostTwin::download(void* to, DeviceAddress from, size_t row, size_t pitch, size_t rows) {
  const std::lock_guard turn(turn_);
  synchronize();
  protect(false);
  for (size_t i = 0; i < rows; ++i)
    std::memcpy(static_cast<std::byte*>(to) + i * row, pointer<std::byte>(from) + i * pitch, row);
  protect(true);
}

void HostTwin::synchronize() {
  const std::lock_guard turn(turn_);
  refuse_in_capture("waits");
  set_lane_order(order_);
  protect(false);
  const std::vector<Work> work = std::exchange(queue_, {});
  for (const Work& one : work) one();
  protect(true);
}

void HostTwin::begin_capture(size_t upload_bytes) {
  const std::lock_guard turn(turn_);
  refuse_in_capture("begins another");
  capturing_ = std::this_thread::get_id();
  capture_ = std::make_unique<HostGraph>();
  capture_->upload_bytes = upload_bytes;
}

std::unique_ptr<Graph> HostTwin::end_capture() {
  const std::lock_guard turn(turn_);
  check_internal(capture_ != nullptr, "[capture] ends none");
  return std::move(capture_);
}

void HostTwin::replay(Graph& graph, std::span<const std::byte> uploads) {
  const std::lock_guard turn(turn_);
  auto& host = dynamic_cast<HostGraph&>(graph);
  check_internal(uploads.size() == host.uploads.size(), "[replay] other uploads");
  queue([&host, bytes = std::vector(uploads.begin(), uploads.end())] { host.uploads = bytes; });
  for (const Work& work : host.work) queue(work);
}

void HostTwin::run(const Launch& launch) {
  check_internal(launch.count > 0 && launch.lanes >= 0 && launch.lanes <= kMostLanes, "[launch] size");
  // What every GPU from Ampere on lets one block have.
  check_internal(launch.scratch * sizeof(float) <= 99 << 10, "[launch] ", launch.scratch,
                 " numbers of scratch");
  queue([launch] { run_on_host(launch); });
}

namespace {

// Numbers of either type as f32: what is read many times is converted once.
std::vector<float> floats(const Rows& x, int64_t rows, int64_t columns) {
  std::vector<float> values(static_cast<size_t>(rows * columns));
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t j = 0; j < columns; ++j) values[static_cast<size_t>(row * columns + j)] = x(row, j);
  return values;
}

// sum + a . b
float dot(float sum, const float* a, const float* b, int64_t count) {
  for (int64_t k = 0; k < count; ++k) sum += a[k] * b[k];
  return sum;
}

}  // namespace

void HostTwin::multiply(const Product& p) {
  const int64_t M = p.x.rows, N = p.w.rows, K = p.x.columns;
  check_internal(p.w.columns == K && p.y.rows == M && p.y.columns == N, "[product] shapes");
  check_internal(M > 0 && N > 0 && K > 0, "[product] nothing to multiply");
  check_internal(p.x.dtype == p.w.dtype, "[product] x and w of two types");
  check_internal(p.y.dtype == p.x.dtype || p.y.dtype == DType::f32, "[product] f32 to bf16");
  check_internal(!(p.gelu_tanh && (p.accumulate || p.y.dtype == DType::f32)), "[product] this GELU");
  const auto rows_are_aligned = [](const Matrix& x) {
    return aligned(x.at, 16) && x.stride * size_of(x.dtype) % 16 == 0;
  };
  check_internal(rows_are_aligned(p.x) && rows_are_aligned(p.w) && aligned(p.bias, 16),
                 "[product] alignment");
  check_internal(p.x.stride >= K && p.w.stride >= K && p.y.stride >= N, "[product] rows that overlap");
  queue([p, M, N, K] {
    const Rows y = rows_of(p.y), bias = {pointer<void>(p.bias), N, p.y.dtype};
    const std::vector<float> x = floats(rows_of(p.x), M, K), w = floats(rows_of(p.w), N, K);
    for (int64_t m = 0; m < M; ++m)
      for (int64_t n = 0; n < N; ++n) {
        float sum = dot(0, x.data() + m * K, w.data() + n * K, K);
        if (p.accumulate) sum += y(m, n);
        if (bias.at) sum += bias(0, n);
        y.set(m, n, p.gelu_tanh ? activate(Activation::gelu_tanh, sum) : sum);
      }
  });
}

void HostTwin::convolve(const Convolution& c) {
  check_internal(c.x_type == c.y_type, "[convolution] two types");
  check_internal(aligned(c.w, 16) && aligned(c.y, 16) && aligned(c.bias, 16), "[convolution] alignment");
  check_internal(c.top >= 0 && c.left >= 0 && c.bottom >= 0 && c.right >= 0, "[convolution] padding below 0");
  check_internal(c.N > 0 && c.H > 0 && c.W > 0 && c.height() > 0 && c.width() > 0, "[convolution] nothing");
  queue([c] {
    const int64_t H = c.height(), W = c.width();
    const Rows y = {pointer<void>(c.y), c.M, c.y_type}, bias = {pointer<void>(c.bias), c.M, DType::f32};
    const std::vector<float> x = floats({pointer<void>(c.x), c.x_image, c.x_type}, c.N, c.H * c.W * c.C),
                             w = floats({pointer<void>(c.w), c.C, c.x_type}, c.M * c.kh * c.kw, c.C);
    for (int64_t row = 0; row < c.N * H * W; ++row) {
      const int64_t n = row / (H * W);
      for (int64_t m = 0; m < c.M; ++m) {
        float sum = 0;
        for (int64_t i = 0; i < c.kh; ++i)
          for (int64_t j = 0; j < c.kw; ++j) {
            const int64_t from = row / W % H * c.stride + i - c.top, column = row % W * c.stride + j - c.left;
            if (from < 0 || from >= c.H || column < 0 || column >= c.W) continue;
            sum = dot(sum, x.data() + ((n * c.H + from) * c.W + column) * c.C,
                      w.data() + ((m * c.kh + i) * c.kw + j) * c.C, c.C);
          }
        if (bias.at) sum += bias(c.bias_per_image ? n : 0, m);
        y.set(row, m, sum);
      }
    }
  });
}

// As cuDNN 9.19 plans it: widths in multiples of 8 up to 512, rows that begin at 16 bytes.
bool HostTwin::attends(const Attention& a) const {
  const auto fits = [](DeviceAddress at, int64_t stride) { return aligned(at, 16) && stride % 8 == 0; };
  return a.d % 8 == 0 && a.d <= 512 && fits(a.q, a.q_stride) && fits(a.k, a.k_stride) &&
         fits(a.v, a.v_stride);
}

// The weights of the values are rounded to bf16, as tensor cores take them.
void HostTwin::attend(const Attention& a) {
  check_internal(attends(a), "[attention] of this width or alignment");
  queue([a] {
    const int64_t D = a.heads * a.d;
    const Rows q = {pointer<void>(a.q), a.q_stride, DType::bf16},
               k = {pointer<void>(a.k), a.k_stride, DType::bf16},
               v = {pointer<void>(a.v), a.v_stride, DType::bf16},
               out = {pointer<void>(a.out), D, DType::bf16};
    std::vector<float> weights(static_cast<size_t>(a.S));
    const int64_t keys = a.kv_shared ? 0 : a.S;  // from one image's to the next one's
    for (int64_t n = 0; n < a.N; ++n)
      for (int64_t head = 0; head < D; head += a.d)
        for (int64_t t = 0; t < a.T; ++t) {
          float largest = -INFINITY, total = 0;
          for (int64_t s = 0; s < a.S; ++s) {
            float score = 0;
            for (int64_t j = head; j < head + a.d; ++j) score += q(n * a.T + t, j) * k(n * keys + s, j);
            weights[static_cast<size_t>(s)] = score;
            largest = std::max(largest, score);
          }
          for (float& weight : weights) {
            weight = std::exp((weight - largest) / std::sqrt(static_cast<float>(a.d)));
            total += weight;
          }
          for (int64_t j = head; j < head + a.d; ++j) {
            float sum = 0;
            for (int64_t s = 0; s < a.S; ++s)
              sum += to_float(to_bfloat16(weights[static_cast<size_t>(s)])) * v(n * keys + s, j);
            out.set(n * a.T + t, j, sum / total);
          }
        }
  });
}

}  // namespace tstitch::cuda
