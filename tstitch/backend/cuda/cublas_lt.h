// Products by cuBLASLt, which is opened when a device is.
#pragma once

#include <cublasLt.h>

#include <compare>
#include <map>
#include <optional>
#include <string>

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
  decltype(&cublasLtMatmulAlgoCheck) check = library["cublasLtMatmulAlgoCheck"];
  decltype(&cublasLtMatmul) matmul = library["cublasLtMatmul"];
};

// Runs products on the device that is current. That a row does not depend on how many are beside it wants one
// algorithm for any number of rows: it is picked for many, and taken for as many as come, wherever the
// library has it for them. It is never one that sums over parts of K apart, in an order that the rest of the
// shape decides.
class CublasLt {
 public:
  static constexpr size_t kWorkspace = size_t{32} << 20;  // NVIDIA's advice for sm_90
  static constexpr int64_t kRows = 4096;                  // for which algorithms are picked

  explicit CublasLt(int device);
  ~CublasLt();
  CublasLt(const CublasLt&) = delete;

  // Queues it, or returns false where the library does not have it.
  bool multiply(const Product& product, void* workspace, cudaStream_t stream);

  // "cuBLASLt 130100 has no product 1 x 1 x 13, f32 to f32, strides ..., alignments ..."
  std::string refusal(const Product& product) const;

 private:
  // What an algorithm depends on.
  struct Kind {
    int64_t M, N, K, x_stride, w_stride, y_stride;
    DType type, y_type;
    bool gelu_tanh, accumulate;
    uint32_t x_alignment, w_alignment, y_alignment, bias_alignment;  // bytes; 0: no bias

    auto operator<=>(const Kind&) const = default;
  };
  static Kind kind_of(const Product& product);

  // The same in the library's words.
  struct Operation;

  using Algorithm = std::optional<cublasLtMatmulAlgo_t>;  // none: the library has no such product
  const Algorithm& algorithm(const Kind& kind, DeviceAddress bias);
  Algorithm pick(const Kind& kind, DeviceAddress bias) const;
  bool serves(const cublasLtMatmulAlgo_t& algorithm, const Kind& kind, DeviceAddress bias) const;
  void check(cublasStatus_t status, const char* call) const;

  int device_;
  CublasLtLibrary lt_;
  cublasLtHandle_t handle_ = nullptr;
  std::map<Kind, Algorithm> algorithms_;
};

}  // namespace tstitch::cuda
