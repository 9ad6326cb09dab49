// cuBLASLt on the host, as far as it is used: what it is told of a product is done in f32, column by column.
#include <cublasLt.h>
#include <cuda_bf16.h>

#include <cmath>
#include <cstring>

#include "stream.h"

namespace {

float read(const void* x, cudaDataType_t type, int64_t i) {
  return type == CUDA_R_32F ? static_cast<const float*>(x)[i]
                            : __bfloat162float(static_cast<const __nv_bfloat16*>(x)[i]);
}
void write(void* x, cudaDataType_t type, int64_t i, float value) {
  if (type == CUDA_R_32F)
    static_cast<float*>(x)[i] = value;
  else
    static_cast<__nv_bfloat16*>(x)[i] = __float2bfloat16(value);
}

struct Layout {
  cudaDataType_t type;
  int64_t rows, columns, ld;
};

Layout layout_of(cublasLtMatrixLayout_t x) {
  Layout layout;
  std::memcpy(&layout, x, sizeof layout);
  return layout;
}

// Words of an operation.
constexpr int kBias = 0, kEpilogue = 1, kTransposed = 2, kBiasType = 3;

int place_of(cublasLtMatmulDescAttributes_t attribute) {
  return attribute == CUBLASLT_MATMUL_DESC_BIAS_POINTER ? kBias
         : attribute == CUBLASLT_MATMUL_DESC_EPILOGUE   ? kEpilogue
         : attribute == CUBLASLT_MATMUL_DESC_TRANSA     ? kTransposed
                                                        : kBiasType;
}

}  // namespace

extern "C" {

size_t cublasLtGetVersion() { return CUBLAS_VERSION; }
const char* cublasLtGetStatusName(cublasStatus_t) { return "CUBLAS_STATUS_FAKE"; }
cublasStatus_t cublasLtCreate(cublasLtHandle_t*) { return CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtDestroy(cublasLtHandle_t) { return CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtMatrixLayoutInit_internal(cublasLtMatrixLayout_t x, size_t, cudaDataType type,
                                                 uint64_t rows, uint64_t columns, int64_t ld) {
  const Layout layout = {type, static_cast<int64_t>(rows), static_cast<int64_t>(columns), ld};
  static_assert(sizeof layout <= sizeof *x);
  if (ld < layout.rows) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(x, &layout, sizeof layout);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescInit_internal(cublasLtMatmulDesc_t x, size_t, cublasComputeType_t compute,
                                               cudaDataType_t scale) {
  std::memset(x, 0, sizeof *x);
  return compute == CUBLAS_COMPUTE_32F && scale == CUDA_R_32F ? CUBLAS_STATUS_SUCCESS
                                                              : CUBLAS_STATUS_NOT_SUPPORTED;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t x,
                                              cublasLtMatmulDescAttributes_t attribute, const void* value,
                                              size_t bytes) {
  std::memcpy(&x->data[place_of(attribute)], value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceInit_internal(cublasLtMatmulPreference_t x, size_t) {
  std::memset(x, 0, sizeof *x);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t,
                                                    cublasLtMatmulPreferenceAttributes_t, const void*,
                                                    size_t) {
  return CUBLAS_STATUS_SUCCESS;
}
// First one that would sum parts of K apart, which nobody shall take; nothing for products of 13 columns.
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t, int,
                                              cublasLtMatmulHeuristicResult_t* found, int* count) {
  *count = 0;
  if (layout_of(d).rows == 13) return CUBLAS_STATUS_NOT_SUPPORTED;
  for (const uint64_t parts : {4, 1}) {
    found[*count].state = CUBLAS_STATUS_SUCCESS;
    found[(*count)++].algo.data[0] = parts;
  }
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t* algo,
                                                    cublasLtMatmulAlgoConfigAttributes_t, void* value,
                                                    size_t bytes, size_t*) {
  std::memcpy(value, &algo->data[0], bytes);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t x, const void* alpha, const void* a,
                              cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout,
                              const void* beta, const void* c, cublasLtMatrixLayout_t, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algo, void*,
                              size_t, cudaStream_t stream) {
  const Layout A = layout_of(a_layout), B = layout_of(b_layout), D = layout_of(d_layout);
  if (algo->data[0] != 1 || x->data[kTransposed] != CUBLAS_OP_T || A.columns != D.rows ||
      B.columns != D.columns || A.rows != B.rows || c != d)
    return CUBLAS_STATUS_INVALID_VALUE;
  const auto* bias = reinterpret_cast<const void*>(x->data[kBias]);
  const auto bias_type = static_cast<cudaDataType_t>(x->data[kBiasType]);
  const auto epilogue = static_cast<int>(x->data[kEpilogue]);
  const float scale = *static_cast<const float*>(alpha), kept = *static_cast<const float*>(beta);
  stream->add([=] {
    for (int64_t n = 0; n < D.rows; ++n)
      for (int64_t m = 0; m < D.columns; ++m) {
        float sum = 0;
        for (int64_t k = 0; k < A.rows; ++k)
          sum += read(a, A.type, n * A.ld + k) * read(b, B.type, m * B.ld + k);
        sum = scale * sum + (kept != 0 ? kept * read(d, D.type, m * D.ld + n) : 0);
        if (epilogue == CUBLASLT_EPILOGUE_BIAS || epilogue == CUBLASLT_EPILOGUE_GELU_BIAS)
          sum += read(bias, bias_type, n);
        if (epilogue == CUBLASLT_EPILOGUE_GELU || epilogue == CUBLASLT_EPILOGUE_GELU_BIAS)
          sum = 0.5f * sum * (1 + std::tanh(0.7978845608f * (sum + 0.044715f * sum * sum * sum)));
        write(d, D.type, m * D.ld + n, sum);
      }
  });
  return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
