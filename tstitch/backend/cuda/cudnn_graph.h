// cuDNN's graph interface: descriptors whose attributes are set and which then are final. An operation on
// tensors is described, engines are found for it, and one of them, with its settings, becomes a plan that
// runs.
#pragma once

#include <cudnn_graph.h>

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tstitch/backend/cuda/device.h"
#include "tstitch/backend/cuda/dynamic_library.h"

namespace tstitch::cuda {

// The functions that are used of the library.
struct CudnnLibrary {
  // Throws Error{device} where it is missing, older than the headers or for another version of CUDA.
  CudnnLibrary();

  // Unless the status is that of success throws Error{device} with it and what the library says more.
  void check(cudnnStatus_t status, std::string_view call) const;
  std::string describe(cudnnStatus_t status) const;
  // Whether the call ended well; false where the status says that what was asked for is not supported. Of
  // anything else, a library that is missing, memory, a broken device, throws as check does.
  bool supports(cudnnStatus_t status, std::string_view call) const;

  DynamicLibrary compiler{"libnvrtc.so.13"};  // which cuDNN opens itself, by name, for its engines
  DynamicLibrary library{"libcudnn.so.9"};
  decltype(&cudnnGetVersion) version = library["cudnnGetVersion"];
  decltype(&cudnnGetCudartVersion) cudart_version = library["cudnnGetCudartVersion"];
  decltype(&cudnnGetErrorString) error_string = library["cudnnGetErrorString"];
  decltype(&cudnnGetLastErrorString) last_error_string = library["cudnnGetLastErrorString"];
  decltype(&cudnnCreate) create_handle = library["cudnnCreate"];
  decltype(&cudnnDestroy) destroy_handle = library["cudnnDestroy"];
  decltype(&cudnnSetStream) set_stream = library["cudnnSetStream"];
  decltype(&cudnnBackendCreateDescriptor) create = library["cudnnBackendCreateDescriptor"];
  decltype(&cudnnBackendDestroyDescriptor) destroy = library["cudnnBackendDestroyDescriptor"];
  decltype(&cudnnBackendSetAttribute) set = library["cudnnBackendSetAttribute"];
  decltype(&cudnnBackendGetAttribute) get = library["cudnnBackendGetAttribute"];
  decltype(&cudnnBackendFinalize) finalize = library["cudnnBackendFinalize"];
  decltype(&cudnnBackendExecute) execute = library["cudnnBackendExecute"];
};

// The library's name for a type of attributes, but descriptors.
template <class T>
inline constexpr auto kAttributeType = nullptr;
template <>
inline constexpr auto kAttributeType<int64_t> = CUDNN_TYPE_INT64;
template <>
inline constexpr auto kAttributeType<bool> = CUDNN_TYPE_BOOLEAN;
template <>
inline constexpr auto kAttributeType<char> = CUDNN_TYPE_CHAR;
template <>
inline constexpr auto kAttributeType<double> = CUDNN_TYPE_DOUBLE;
template <>
inline constexpr auto kAttributeType<void*> = CUDNN_TYPE_VOID_PTR;
template <>
inline constexpr auto kAttributeType<cudnnHandle_t> = CUDNN_TYPE_HANDLE;
template <>
inline constexpr auto kAttributeType<cudnnDataType_t> = CUDNN_TYPE_DATA_TYPE;
template <>
inline constexpr auto kAttributeType<cudnnPointwiseMode_t> = CUDNN_TYPE_POINTWISE_MODE;
template <>
inline constexpr auto kAttributeType<cudnnConvolutionMode_t> = CUDNN_TYPE_CONVOLUTION_MODE;
template <>
inline constexpr auto kAttributeType<cudnnBackendHeurMode_t> = CUDNN_TYPE_HEUR_MODE;
template <>
inline constexpr auto kAttributeType<cudnnBackendKnobType_t> = CUDNN_TYPE_KNOB_TYPE;
template <>
inline constexpr auto kAttributeType<cudnnBackendNumericalNote_t> = CUDNN_TYPE_NUMERICAL_NOTE;

// Throws Error{device} wherever the library refuses. A copy is another name of the same descriptor.
class Descriptor {
 public:
  Descriptor(const CudnnLibrary& cudnn, cudnnBackendDescriptorType_t type);

  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t name, std::span<const T> values) {
    set(name, kAttributeType<T>, static_cast<int64_t>(values.size()), values.data());
    return *this;
  }
  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t name, std::initializer_list<T> values) {
    return set(name, std::span<const T>(values.begin(), values.size()));
  }
  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t name, T value) {
    return set(name, std::span<const T>(&value, 1));
  }
  Descriptor& set(cudnnBackendAttributeName_t name, const Descriptor& value) {
    return set(name, std::span(&value, 1));
  }
  Descriptor& set(cudnnBackendAttributeName_t name, std::span<const Descriptor> values);

  // The values there are, `most` at most.
  template <class T>
  std::vector<T> get(cudnnBackendAttributeName_t name, int64_t most) const {
    std::vector<T> values(static_cast<size_t>(most));
    values.resize(static_cast<size_t>(std::min(most, get(name, kAttributeType<T>, most, values.data()))));
    return values;
  }
  std::vector<Descriptor> get(cudnnBackendAttributeName_t name, cudnnBackendDescriptorType_t type,
                              int64_t most) const;

  Descriptor& finalize();
  // False where the library does not support it; the status then says why. Throws of other failures.
  bool try_finalize(cudnnStatus_t& status);

  cudnnBackendDescriptor_t get() const { return handle_.get(); }

 private:
  struct Destroyer {
    decltype(&cudnnBackendDestroyDescriptor) destroy;
    void operator()(cudnnBackendDescriptor_t handle) const { destroy(handle); }
  };

  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
           const void* values);
  int64_t get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
              void* values) const;

  const CudnnLibrary* cudnn_;
  std::shared_ptr<void> handle_;
};

// What plans are made for: a device that is there, by a handle, or one that is described (a final
// CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR), for which plans can be found and not run.
struct PlanTarget {
  const CudnnLibrary& cudnn;
  cudnnHandle_t handle = nullptr;
  std::optional<Descriptor> properties = {};
};

// A tensor with as many strides as dimensions. The alignment is that of its address, in bytes.
struct TensorOf {
  enum Kind : uint8_t { in_memory, between_operations, by_value };  // by value: on the host, read when queued

  int64_t uid;
  DType dtype;
  std::initializer_list<int64_t> dimensions, strides;
  int64_t alignment = 16;
  Kind kind = in_memory;
};
Descriptor tensor(const CudnnLibrary& cudnn, const TensorOf& x);

Descriptor operation_graph(const PlanTarget& target, std::span<const Descriptor> operations);

// An engine and its settings, for any graph of the same form; the bytes of workspace are for the graph that
// it was proposed for.
struct EngineChoice {
  int64_t engine, workspace;
  std::vector<std::pair<cudnnBackendKnobType_t, int64_t>> knobs;
};

// What the library's heuristics propose for a graph, the fastest first, but for engines that do not give the
// same bits each time, that transform (Winograd, FFT), or that compute or sum in less than the types say.
std::vector<EngineChoice> find_engines(const PlanTarget& target, const Descriptor& graph, bool f32);

struct Plan {
  Descriptor descriptor, config;
  int64_t workspace;  // bytes
};

// The choice for a graph; none where the engine does not take it, and the status says why. Throws
// Error{device} where something else is wrong.
std::optional<Descriptor> configure(const PlanTarget& target, const Descriptor& graph,
                                    const EngineChoice& choice, cudnnStatus_t& status);

// That, compiled.
std::optional<Plan> make_plan(const PlanTarget& target, const Descriptor& graph, const EngineChoice& choice,
                              cudnnStatus_t& status);

// Queues a plan on the stream of the target's handle.
struct Binding {
  int64_t uid;
  void* at;
};
void execute(const PlanTarget& target, const Plan& plan, std::initializer_list<Binding> tensors,
             void* workspace);

}  // namespace tstitch::cuda
