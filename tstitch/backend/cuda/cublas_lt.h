// Products by cuBLASLt, which is opened when a device is.
#pragma once

#include <cublasLt.h>

#include <compare>
#include <map>

#include "tstitch/backend/cuda/device.h"
#include "tstitch/backend/cuda/dynamic_library.h"

namespace tstitch::cuda {

// The functions that are used of the library.
struct CublasLtLibrary {
  CublasLtLibrary();  // throws Error{device} where it is missing or older than the headers

  DynamicLibrary library{"libcublasLt.so.13"};
  decltype(&cublasLtGetVersion) version = library["cublasLtGetVersion"];
  decltype(&cublasLtGetStatusName) status_name = library["cublasLtGetStatusName"];
  decltype(&cublasLtCreate) create = library["cublasLtCreate"];
  decltype(&cublasLtDestroy) destroy = library["cublasLtDestroy"];
  decltype(&cublasLtMatrixLayoutInit_internal) init_layout = library["cublasLtMatrixLayoutInit_internal"];
  decltype(&cublasLtMatmulDescInit_internal) init_operation = library["cublasLtMatmulDescInit_internal"];
  decltype(&cublasLtMatmulDescSetAttribute) set_operation = library["cublasLtMatmulDescSetAttribute"];
  decltype(&cublasLtMatmulPreferenceInit_internal) init_preference =
      library["cublasLtMatmulPreferenceInit_internal"];
  decltype(&cublasLtMatmulPreferenceSetAttribute) set_preference =
      library["cublasLtMatmulPreferenceSetAttribute"];
  decltype(&cublasLtMatmulAlgoGetHeuristic) heuristic = library["cublasLtMatmulAlgoGetHeuristic"];
  decltype(&cublasLtMatmulAlgoConfigGetAttribute) get_config =
      library["cublasLtMatmulAlgoConfigGetAttribute"];
  decltype(&cublasLtMatmul) matmul = library["cublasLtMatmul"];
};

// Runs products on the device that is current. An algorithm is picked once for everything that products of
// one kind share, and is never one that sums over parts of K apart, in an order that the rest of the shape
// decides.
class CublasLt {
 public:
  static constexpr size_t kWorkspace = size_t{32} << 20;  // NVIDIA's advice for sm_90

  explicit CublasLt(int device);
  ~CublasLt();
  CublasLt(const CublasLt&) = delete;

  // Queues it. Throws Error{device} for a product that the library does not have.
  void multiply(const Product& product, void* workspace, cudaStream_t stream);

 private:
  // What an algorithm depends on.
  struct Kind {
    int64_t M, N, K, x_stride, w_stride, y_stride;
    DType type, y_type;
    bool gelu_tanh, accumulate;
    uint32_t x_alignment, w_alignment, y_alignment, bias_alignment;  // bytes; 0: no bias

    auto operator<=>(const Kind&) const = default;
  };
  // The same in the library's words.
  struct Operation;

  cublasLtMatmulAlgo_t pick(const Kind& kind, Operation& operation) const;
  void check(cublasStatus_t status, const char* call) const;

  int device_;
  CublasLtLibrary lt_;
  cublasLtHandle_t handle_ = nullptr;
  std::map<Kind, cublasLtMatmulAlgo_t> algorithms_;
};

}  // namespace tstitch::cuda
