// cuBLASLt on the host, as far as it is used: what it is told of a product is done in f32, column by column.
// It is as particular as the library may be: A and B in columns that begin at 16 bytes, nothing after the sum
// for a D of bf16 in columns of odd length, and an algorithm for many columns that does not serve 11.
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

int64_t size_of(const Layout& x) { return x.type == CUDA_R_32F ? 4 : 2; }

Layout layout_of(cublasLtMatrixLayout_t x) {
  Layout layout;
  std::memcpy(&layout, x, sizeof layout);
  return layout;
}

// Words of an algorithm, and of a preference by its attribute.
constexpr int kParts = 0, kFew = 1;  // of K; whether it is for 11 columns
int64_t word_of(cublasLtMatmulPreferenceAttributes_t attribute) {
  return attribute == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES   ? 1
         : attribute == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES ? 2
                                                                   : 0;
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
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t x,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* value, size_t bytes) {
  std::memcpy(&x->data[word_of(attribute)], value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}
// First one that would sum parts of K apart, which nobody shall take; nothing for products of 13 columns.
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t x,
                                              cublasLtMatrixLayout_t a_layout,
                                              cublasLtMatrixLayout_t b_layout, cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t d_layout,
                                              cublasLtMatmulPreference_t preference, int,
                                              cublasLtMatmulHeuristicResult_t* found, int* count) {
  *count = 0;
  const Layout a = layout_of(a_layout), b = layout_of(b_layout), d = layout_of(d_layout);
  if (d.rows == 13) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (a.ld * size_of(a) % 16 != 0 || b.ld * size_of(b) % 16 != 0) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (preference->data[1] < 16 || preference->data[2] < 16) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (x->data[kEpilogue] != CUBLASLT_EPILOGUE_DEFAULT && d.ld * size_of(d) % 4 != 0)
    return CUBLAS_STATUS_NOT_SUPPORTED;
  for (const uint64_t parts : {4, 1}) {
    found[*count].state = CUBLAS_STATUS_SUCCESS;
    found[*count].algo.data[kFew] = d.columns == 11;
    found[(*count)++].algo.data[kParts] = parts;
  }
  return CUBLAS_STATUS_SUCCESS;
}
// Those for many columns serve few as well, but for eleven.
cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t,
                                       cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                       cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algo,
                                       cublasLtMatmulHeuristicResult_t*) {
  const Layout d = layout_of(d_layout);
  return d.columns == 11 && !algo->data[kFew] ? CUBLAS_STATUS_NOT_SUPPORTED : CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t* algo,
                                                    cublasLtMatmulAlgoConfigAttributes_t, void* value,
                                                    size_t bytes, size_t*) {
  std::memcpy(value, &algo->data[kParts], bytes);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t x, const void* alpha, const void* a,
                              cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout,
                              const void* beta, const void* c, cublasLtMatrixLayout_t, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algo, void*,
                              size_t, cudaStream_t stream) {
  if (const auto status = stream->refusal(__func__, CUBLAS_STATUS_EXECUTION_FAILED)) return status;
  const Layout A = layout_of(a_layout), B = layout_of(b_layout), D = layout_of(d_layout);
  if (reinterpret_cast<uintptr_t>(a) % 16 != 0 || reinterpret_cast<uintptr_t>(b) % 16 != 0)
    return CUBLAS_STATUS_INVALID_VALUE;
  if (D.columns == 11 && !algo->data[kFew]) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (algo->data[kParts] != 1 || x->data[kTransposed] != CUBLAS_OP_T || A.columns != D.rows ||
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
