#include "tstitch/backend/cuda/cuda_device.h"

#include <algorithm>
#include <limits>
#include <mutex>
#include <tuple>
#include <utility>
#include <vector>

#include "tstitch/backend/cuda/cublas_lt.h"
#include "tstitch/backend/cuda/cuda_kernel.h"
#include "tstitch/backend/cuda/cudnn_attention.h"
#include "tstitch/backend/cuda/cudnn_convolution.h"
#include "tstitch/backend/cuda/cudnn_plans.h"
#include "tstitch/backend/cuda/kernels/elementwise.h"
#include "tstitch/backend/cuda/launch.h"
#include "tstitch/backend/cuda/runtime.h"
#include "tstitch/backend/cuda/staging.h"
#include "tstitch/base/error.h"

namespace tstitch::cuda {
namespace {

// Many times what a GPU holds at once: then each lane takes several indices.
constexpr int64_t kMostIndexBlocks = 1 << 15;

void* pointer(DeviceAddress at) { return reinterpret_cast<void*>(at); }
std::byte* bytes(DeviceAddress at) { return reinterpret_cast<std::byte*>(at); }

Stream make_stream(int device) {
  check_cuda(cudaSetDevice(device), device, "cudaSetDevice");
  cudaStream_t stream = nullptr;
  check_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), device, "cudaStreamCreateWithFlags");
  return Stream(stream);
}

cudaDeviceProp properties_of(int device) {
  cudaDeviceProp properties = {};
  check_cuda(cudaGetDeviceProperties(&properties, device), device, "cudaGetDeviceProperties");
  return properties;
}

// Memory of a device, given back when nobody refers to it any more.
class DeviceBlock {
 public:
  DeviceBlock(Device& device, size_t size) : device_(device), at_(device.allocate(size)), size_(size) {
    check(at_ != DeviceAddress{}, ErrorKind::device, "cuda:", device.number(), ": no memory left for ", size,
          " bytes");
  }
  ~DeviceBlock() { device_.free(at_, size_); }
  DeviceBlock(const DeviceBlock&) = delete;

  std::byte* bytes() const { return cuda::bytes(at_); }
  size_t size() const { return size_; }

 private:
  Device& device_;
  DeviceAddress at_;
  size_t size_;
};

class CudnnHandle {
 public:
  CudnnHandle(const CudnnLibrary& cudnn, cudaStream_t stream) : cudnn_(cudnn) {
    cudnn.check(cudnn.create_handle(&handle_), "cudnnCreate");
    cudnn.check(cudnn.set_stream(handle_, stream), "cudnnSetStream");
  }
  ~CudnnHandle() { cudnn_.destroy_handle(handle_); }
  CudnnHandle(const CudnnHandle&) = delete;

  cudnnHandle_t get() const { return handle_; }

 private:
  const CudnnLibrary& cudnn_;
  cudnnHandle_t handle_ = nullptr;
};

// Recorded work. Its uploads are copies out of `uploads`, which every replay fills before. The workspace is
// what was the device's when the work was recorded.
struct CudaGraph final : Graph {
  explicit CudaGraph(std::shared_ptr<DeviceBlock> workspace_) : workspace(std::move(workspace_)) {}

  std::shared_ptr<DeviceBlock> workspace;
  std::unique_ptr<DeviceBlock> uploads;  // null: it has none
  size_t upload_bytes = 0;
  ExecutableGraph executable;
};

class CudaDevice final : public Device {
 public:
  explicit CudaDevice(int number)
      : number_(number),
        stream_(make_stream(number)),
        properties_(properties_of(number)),
        staging_(number, stream_.get()),
        products_(number),
        cudnn_handle_(cudnn_, stream_.get()),
        target_{.cudnn = cudnn_, .handle = cudnn_handle_.get()} {
    // What is freed stays the pool's until somebody asks for it back; by default it goes whenever the host
    // waits.
    uint64_t kept = std::numeric_limits<uint64_t>::max();
    check(cudaMemPoolSetAttribute(pool(), cudaMemPoolAttrReleaseThreshold, &kept), "cudaMemPoolSetAttribute");
    reserve(CublasLt::kWorkspace);
  }
  ~CudaDevice() override {
    cudaSetDevice(number_);
    if (recording()) end_recording();
    workspace_.reset();
    cudaStreamSynchronize(stream_.get());
  }

  int number() const override { return number_; }
  std::string name() const override {
    return concat(properties_.name, ", compute capability ", properties_.major, ".", properties_.minor);
  }

  DeviceAddress allocate(size_t size) override {
    const auto call = enter("allocating");
    if (const DeviceAddress at = try_allocate(size); at != DeviceAddress{}) return at;
    // What was freed goes back to the system when the stream has come so far.
    check(cudaStreamSynchronize(stream_.get()), "cudaStreamSynchronize");
    check(cudaMemPoolTrimTo(pool(), 0), "cudaMemPoolTrimTo");
    return try_allocate(size);
  }
  // What is freed while work is recorded waits, or freeing would be recorded.
  void free(DeviceAddress address, size_t) noexcept override {
    const std::scoped_lock call(mutex_);
    cudaSetDevice(number_);
    if (recording())
      freed_.push_back(address);
    else
      cudaFreeAsync(pointer(address), stream_.get());
  }
  std::optional<int64_t> bytes_free() const override {
    const auto call = enter();
    size_t free = 0, total = 0;
    check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
    return static_cast<int64_t>(free);
  }

  void upload(DeviceAddress to, const void* from, size_t size) override {
    const auto call = enter();
    if (!recording()) return staging_.upload(bytes(to), static_cast<const std::byte*>(from), size);
    check_internal(recording_->uploads && size <= recording_->uploads->size() - recording_->upload_bytes,
                   "recorded work uploads more than it said");
    check(cudaMemcpyAsync(pointer(to), recording_->uploads->bytes() + recording_->upload_bytes, size,
                          cudaMemcpyDeviceToDevice, stream_.get()),
          "cudaMemcpyAsync");
    recording_->upload_bytes += size;
  }
  void download(void* to, DeviceAddress from, size_t row, size_t pitch, size_t rows) override {
    const auto call = enter("downloading");
    if (row == 0 || rows == 0) return;
    if (rows == 1 || pitch == row)
      check(cudaMemcpyAsync(to, pointer(from), row * rows, cudaMemcpyDeviceToHost, stream_.get()),
            "cudaMemcpyAsync");
    else
      check(
          cudaMemcpy2DAsync(to, row, pointer(from), pitch, row, rows, cudaMemcpyDeviceToHost, stream_.get()),
          "cudaMemcpy2DAsync");
    check(cudaStreamSynchronize(stream_.get()), "cudaStreamSynchronize");
  }
  void synchronize() override {
    const auto call = enter("waiting");
    check(cudaStreamSynchronize(stream_.get()), "cudaStreamSynchronize");
  }

  void run(const Launch& launch) override {
    const auto call = enter();
    const CudaKernel kernel = cuda_kernel(launch.kernel);
    check_internal(kernel.function, "a kernel that is not in the table of launch.cu");
    int64_t count = launch.count;
    void* arguments[] = {const_cast<std::byte*>(launch.parameters.data()), &count};
    if (launch.lanes == 0) {
      const int64_t blocks = std::min((count - 1) / kernel.lanes + 1, kMostIndexBlocks);
      return queue(kernel.function, blocks, kernel.lanes, 0, arguments);
    }
    check_internal(launch.lanes % 32 == 0 && launch.lanes <= kernel.lanes, launch.lanes, " lanes, expected ",
                   kernel.lanes, " at most");
    queue(kernel.function, count, launch.lanes, static_cast<size_t>(launch.scratch) * sizeof(float),
          arguments);
  }
  void multiply(const Product& product) override {
    const auto call = enter();
    if (products_.multiply(product, workspace_->bytes(), stream_.get())) return;
    // What comes after the sum the library may not have for these types and strides: kernels do it.
    Product sum = product;
    sum.bias = {};
    sum.gelu_tanh = false;
    tstitch::check(products_.multiply(sum, workspace_->bytes(), stream_.get()), ErrorKind::device,
                   "cuda:", number_, ": ", products_.refusal(sum));
    const int64_t count = product.y.rows * product.y.columns, columns = product.y.columns;
    const Rows y = {pointer(product.y.at), product.y.stride, product.y.dtype};
    if (product.bias != DeviceAddress{})
      launch(*this, count, AddRows{y, {pointer(product.bias), columns, y.dtype}, columns, 1});
    if (product.gelu_tanh) launch(*this, count, Activate{y, y, columns, Activation::gelu_tanh});
  }
  void convolve(const Convolution& convolution) override {
    const auto call = enter();
    const ConvolutionShape shape(convolution);
    const auto found = convolutions_.find(shape, convolution.N, recording());
    tstitch::check(found.plan != nullptr, ErrorKind::device, "cuda:", number_, ": cuDNN ", cudnn_.version(),
                   " has no convolution ", shape.describe(), ": ",
                   cudnn_.error_string(convolutions_.refusal()));
    run(found, convolution);
  }
  bool attends(const Attention& attention) const override {
    const auto call = enter();
    return is_aligned(attention) &&
           attentions_.find(AttentionShape(attention), attention.N, recording()).plan;
  }
  void attend(const Attention& attention) override {
    const auto call = enter();
    const AttentionShape shape(attention);
    const auto found = attentions_.find(shape, attention.N, recording());
    check_internal(is_aligned(attention) && found.plan, "cuDNN has no attention ", shape.describe());
    run(found, attention);
  }

  void begin_capture(size_t upload_bytes) override {
    const auto call = enter("recording");
    auto graph = std::make_unique<CudaGraph>(workspace_);
    if (upload_bytes) graph->uploads = std::make_unique<DeviceBlock>(*this, upload_bytes);
    check(cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
    recording_ = std::move(graph);
  }
  std::unique_ptr<Graph> end_capture() override {
    const auto call = enter();
    check_internal(recording(), "no work is being recorded");
    auto [graph, recorded, status] = end_recording();
    check(status, "cudaStreamEndCapture");
    cudaGraphExec_t executable = nullptr;
    check(cudaGraphInstantiate(&executable, recorded.get(), 0), "cudaGraphInstantiate");
    graph->executable.reset(executable);
    return std::move(graph);
  }
  void replay(Graph& graph, std::span<const std::byte> uploads) override {
    const auto call = enter("replaying");
    auto& recorded = dynamic_cast<CudaGraph&>(graph);
    check_internal(uploads.size() == recorded.upload_bytes, "a graph of ", recorded.upload_bytes,
                   " uploaded bytes is replayed with ", uploads.size());
    if (recorded.uploads) staging_.upload(recorded.uploads->bytes(), uploads.data(), uploads.size());
    check(cudaGraphLaunch(recorded.executable.get(), stream_.get()), "cudaGraphLaunch");
  }

 private:
  // The runtime's current device is the thread's. `act` names what cannot be done while work is recorded.
  [[nodiscard]] std::unique_lock<std::recursive_mutex> enter(const char* act = nullptr) const {
    std::unique_lock lock(mutex_);
    check_internal(!act || !recording(), act, " while work is recorded");
    check(cudaSetDevice(number_), "cudaSetDevice");
    return lock;
  }
  bool recording() const { return recording_ != nullptr; }
  void check(cudaError_t status, const char* call) const { check_cuda(status, number_, call); }

  cudaMemPool_t pool() const {
    cudaMemPool_t pool = nullptr;
    check(cudaDeviceGetDefaultMemPool(&pool, number_), "cudaDeviceGetDefaultMemPool");
    return pool;
  }
  DeviceAddress try_allocate(size_t size) {
    void* at = nullptr;
    const cudaError_t status = cudaMallocAsync(&at, size, stream_.get());
    if (status == cudaErrorMemoryAllocation)
      cudaGetLastError();
    else
      check(status, "cudaMallocAsync");
    return DeviceAddress{reinterpret_cast<uintptr_t>(at)};
  }

  // One workspace serves all work of the stream. Graphs keep theirs when it has to grow.
  void reserve(size_t size) {
    if (workspace_ && workspace_->size() >= size) return;
    check_internal(!recording(), "a workspace grows while work is recorded");
    workspace_ = std::make_shared<DeviceBlock>(*this, size);
  }

  template <class Found, class Operation>
  void run(const Found& found, const Operation& operation) {
    reserve(static_cast<size_t>(found.plan->workspace));
    for (int64_t first = 0; first < operation.N; first += found.images)
      execute(target_, *found.plan, operation, first, workspace_->bytes());
  }

  void queue(const void* function, int64_t blocks, int lanes, size_t scratch, void** arguments) {
    tstitch::check(blocks <= properties_.maxGridSize[0] && scratch <= properties_.sharedMemPerBlockOptin,
                   ErrorKind::device, "cuda:", number_, ": ", blocks, " blocks with ", scratch,
                   " bytes of scratch, expected at most ", properties_.maxGridSize[0], " and ",
                   properties_.sharedMemPerBlockOptin);
    if (scratch > properties_.sharedMemPerBlock)
      check(cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 static_cast<int>(scratch)),
            "cudaFuncSetAttribute");
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(static_cast<unsigned>(blocks));
    config.blockDim = dim3(static_cast<unsigned>(lanes));
    config.dynamicSmemBytes = scratch;
    config.stream = stream_.get();
    check(cudaLaunchKernelExC(&config, function, arguments), "cudaLaunchKernelExC");
  }

  std::tuple<std::unique_ptr<CudaGraph>, RecordedGraph, cudaError_t> end_recording() {
    auto graph = std::move(recording_);
    cudaGraph_t recorded = nullptr;
    const cudaError_t status = cudaStreamEndCapture(stream_.get(), &recorded);
    for (const DeviceAddress address : std::exchange(freed_, {}))
      cudaFreeAsync(pointer(address), stream_.get());
    return {std::move(graph), RecordedGraph(recorded), status};
  }

  const int number_;
  mutable std::recursive_mutex mutex_;
  const Stream stream_;
  const cudaDeviceProp properties_;
  Staging staging_;
  CublasLt products_;
  const CudnnLibrary cudnn_;
  const CudnnHandle cudnn_handle_;
  const PlanTarget target_;
  Plans<ConvolutionShape> convolutions_{target_};
  mutable Plans<AttentionShape> attentions_{target_};
  std::shared_ptr<DeviceBlock> workspace_;
  std::unique_ptr<CudaGraph> recording_;
  std::vector<DeviceAddress> freed_;  // while work was recorded
};

int count_devices(const std::string& who_needs) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaErrorNoDevice) {
    cudaGetLastError();
    return 0;
  }
  check(status == cudaSuccess, ErrorKind::device, who_needs, " NVIDIA's driver for CUDA ",
        CUDART_VERSION / 1000, " or later: ", cudaGetErrorName(status), ", ", cudaGetErrorString(status));
  return count;
}

}  // namespace

int cuda_device_count() { return count_devices("CUDA devices need"); }

std::unique_ptr<Device> make_cuda_device(int number) {
  const int count = count_devices(concat("cuda:", number, " needs"));
  check(0 <= number && number < count, ErrorKind::device, "no device cuda:", number, "; ",
        count == 0   ? "this machine has none"
        : count == 1 ? "this machine has cuda:0"
                     : concat("this machine has cuda:0 to cuda:", count - 1));
  const cudaDeviceProp properties = properties_of(number);
  check(properties.major >= 8, ErrorKind::device, "cuda:", number, " is ", properties.name,
        " of compute capability ", properties.major, ".", properties.minor,
        ", expected 8.0 or later, which computes bf16");
  check_cuda(cudaSetDevice(number), number, "cudaSetDevice");
  cudaFuncAttributes attributes = {};
  const cudaError_t status = cudaFuncGetAttributes(&attributes, cuda_kernel().function);
  check(status != cudaErrorNoKernelImageForDevice && status != cudaErrorInvalidDeviceFunction,
        ErrorKind::device, "cuda:", number, " is ", properties.name, " of compute capability ",
        properties.major, ".", properties.minor, ", and this program is built for ",
        TSTITCH_CUDA_ARCHITECTURES, "; TSTITCH_CUDA_ARCHITECTURES of the build says for what");
  check_cuda(status, number, "cudaFuncGetAttributes");
  return std::make_unique<CudaDevice>(number);
}

}  // namespace tstitch::cuda
