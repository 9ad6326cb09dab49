// The CUDA runtime on the host.
#include "cudart.h"

#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>

#include "stream.h"

struct CUevent_st {
  CUstream_st* stream = nullptr;
};

namespace tstitch::fake {

Machine machine;

}  // namespace tstitch::fake

using tstitch::fake::machine;

namespace {

CUstream_st* recording = nullptr;

// What a call has to answer that is of a stream, of its device or as a test wants it.
cudaError_t refusal(CUstream_st* stream, std::string_view call) {
  return stream->refusal(call, cudaErrorInvalidResourceHandle);
}

// What CUDA refuses while a stream is recorded.
cudaError_t unless_recording(cudaError_t status = cudaSuccess) {
  return recording ? cudaErrorStreamCaptureUnsupported : status;
}

}  // namespace

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  *count = machine.devices;
  return machine.status;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int) {
  *p = {};
  std::strcpy(p->name, "Fake");
  p->major = machine.major;
  p->minor = 0;
  p->maxGridSize[0] = 1 << 30;
  p->sharedMemPerBlock = 48 << 10;
  p->sharedMemPerBlockOptin = 227 << 10;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= machine.devices) return cudaErrorInvalidDevice;
  tstitch::fake::current_device() = device;
  return cudaSuccess;
}
cudaError_t cudaGetLastError() { return cudaSuccess; }
const char* cudaGetErrorName(cudaError_t status) {
  return status == cudaErrorInsufficientDriver         ? "cudaErrorInsufficientDriver"
         : status == cudaErrorInvalidResourceHandle    ? "cudaErrorInvalidResourceHandle"
         : status == cudaErrorMemoryAllocation         ? "cudaErrorMemoryAllocation"
         : status == cudaErrorLaunchFailure            ? "cudaErrorLaunchFailure"
         : status == cudaErrorStreamCaptureUnsupported ? "cudaErrorStreamCaptureUnsupported"
                                                       : "cudaErrorUnknown";
}
const char* cudaGetErrorString(cudaError_t) { return "as the fake says"; }

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new CUstream_st;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  stream->finish();
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (const cudaError_t status = refusal(stream, __func__)) return status;
  if (!recording) stream->finish();
  return unless_recording();
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new CUevent_st;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  event->stream = stream;
  return unless_recording();
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (event->stream) event->stream->finish();
  return unless_recording();
}

cudaError_t cudaMallocHost(void** at, size_t bytes) {
  *at = std::malloc(bytes);
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* at) {
  std::free(at);
  return cudaSuccess;
}
cudaError_t cudaMallocAsync(void** at, size_t bytes, cudaStream_t stream) {
  *at = nullptr;
  if (const cudaError_t status = refusal(stream, __func__)) return status;
  if (bytes > machine.memory) return unless_recording(cudaErrorMemoryAllocation);
  machine.memory -= bytes;
  const size_t rounded = (bytes + 255) / 256 * 256;
  *at = std::aligned_alloc(256, rounded);
  std::memset(*at, 0xff, rounded);  // NaN
  machine.blocks.emplace(*at, bytes);
  return unless_recording();
}
cudaError_t cudaFreeAsync(void* at, cudaStream_t stream) {
  if (const cudaError_t status = refusal(stream, __func__)) return status;
  if (recording) return unless_recording();
  stream->add([at] {
    const auto block = machine.blocks.find(at);
    if (block == machine.blocks.end()) std::abort();
    machine.pool += block->second;
    machine.blocks.erase(block);
    std::free(at);
  });
  return cudaSuccess;
}
cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t*, int) { return cudaSuccess; }
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr attribute, void* value) {
  if (attribute != cudaMemPoolAttrReleaseThreshold) return cudaErrorInvalidValue;
  machine.release_threshold = *static_cast<uint64_t*>(value);
  return cudaSuccess;
}
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, size_t) {
  machine.memory += std::exchange(machine.pool, 0);
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *free = machine.memory;
  *total = machine.memory + machine.pool;
  for (const auto& [at, bytes] : machine.blocks) *total += bytes;
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
  if (const cudaError_t status = refusal(stream, __func__)) return status;
  stream->add([=] { std::memcpy(to, from, bytes); });
  return cudaSuccess;
}
cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind, cudaStream_t stream) {
  if (const cudaError_t status = refusal(stream, __func__)) return status;
  if (width > to_pitch || width > from_pitch) return cudaErrorInvalidPitchValue;
  stream->add([=] {
    for (size_t i = 0; i < height; ++i)
      std::memcpy(static_cast<char*>(to) + i * to_pitch, static_cast<const char*>(from) + i * from_pitch,
                  width);
  });
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  if (const cudaError_t status = refusal(stream, __func__)) return status;
  if (recording || mode != cudaStreamCaptureModeThreadLocal) return cudaErrorIllegalState;
  recording = stream;
  stream->recorded = new CUgraph_st;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  recording = nullptr;
  *graph = std::exchange(stream->recorded, nullptr);
  const cudaError_t status = refusal(stream, __func__);
  if (status) delete std::exchange(*graph, nullptr);
  return status;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  if (const int status = tstitch::fake::fault(__func__)) return static_cast<cudaError_t>(status);
  *executable = new CUgraphExec_st{graph->work};
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  if (const cudaError_t status = refusal(stream, __func__)) return status;
  for (const auto& work : executable->work) stream->add(work);
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes*, const void*) { return machine.kernels; }
cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int bytes) {
  machine.allowed_scratch = static_cast<size_t>(bytes);
  return cudaSuccess;
}
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function, void** arguments) {
  if (const cudaError_t status = refusal(config->stream, __func__)) return status;
  if (config->dynamicSmemBytes > std::max<size_t>(48 << 10, machine.allowed_scratch))
    return cudaErrorInvalidValue;
  if (config->gridDim.x == 0) return cudaErrorInvalidConfiguration;
  const auto launch = reinterpret_cast<tstitch::fake::Kernel>(function);
  config->stream->add(launch(*config, arguments));
  return cudaSuccess;
}

}  // extern "C"
