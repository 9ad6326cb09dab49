#include "tstitch/backend/cuda/cublas_lt.h"

#include <algorithm>
#include <array>

#include "tstitch/base/error.h"

namespace tstitch::cuda {
namespace {

cudaDataType_t type_of(DType dtype) { return dtype == DType::f32 ? CUDA_R_32F : CUDA_R_16BF; }

// The power of two that divides an address; more than 16 bytes are of no use.
uint32_t alignment_of(DeviceAddress at) {
  const auto address = static_cast<uintptr_t>(at) | 16;
  return static_cast<uint32_t>(address & -address);
}

const void* pointer(DeviceAddress at) { return reinterpret_cast<const void*>(at); }

// Between rows of the only row, a stride says nothing.
int64_t stride_of(const Matrix& x) { return std::max(x.stride, x.columns); }

}  // namespace

CublasLtLibrary::CublasLtLibrary() {
  tstitch::check(version() >= CUBLAS_VERSION, ErrorKind::device, library.path(), " is version ", version(),
                 ", expected ", CUBLAS_VERSION, " or later");
}

// Rows of ours are the library's columns: y^T (N, M) = w (N, K) x^T (K, M), with A = w^T and B = x^T as they
// lie.
struct CublasLt::Operation {
  Operation(const CublasLt& lt, const Kind& k, DeviceAddress bias_at) {
    layout(lt, a, k.type, k.K, k.N, k.w_stride);
    layout(lt, b, k.type, k.K, k.M, k.x_stride);
    layout(lt, c, k.y_type, k.N, k.M, k.y_stride);
    lt.check(lt.lt_.init_operation(&product, sizeof product, CUBLAS_COMPUTE_32F, CUDA_R_32F),
             "cublasLtMatmulDescInit");
    set(lt, CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
    set(lt, CUBLASLT_MATMUL_DESC_EPILOGUE,
        k.gelu_tanh ? (k.bias_alignment ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_GELU)
                    : (k.bias_alignment ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT));
    if (!k.bias_alignment) return;
    set(lt, CUBLASLT_MATMUL_DESC_BIAS_POINTER, pointer(bias_at));
    set(lt, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, type_of(k.y_type));
  }

  cublasLtMatrixLayoutOpaque_t a, b, c;
  cublasLtMatmulDescOpaque_t product;

 private:
  static void layout(const CublasLt& lt, cublasLtMatrixLayoutOpaque_t& layout, DType dtype, int64_t rows,
                     int64_t columns, int64_t stride) {
    lt.check(lt.lt_.init_layout(&layout, sizeof layout, type_of(dtype), static_cast<uint64_t>(rows),
                                static_cast<uint64_t>(columns), stride),
             "cublasLtMatrixLayoutInit");
  }
  template <class T>
  void set(const CublasLt& lt, cublasLtMatmulDescAttributes_t attribute, T value) {
    lt.check(lt.lt_.set_operation(&product, attribute, &value, sizeof value),
             "cublasLtMatmulDescSetAttribute");
  }
};

CublasLt::CublasLt(int device) : device_(device) { check(lt_.create(&handle_), "cublasLtCreate"); }

CublasLt::~CublasLt() { lt_.destroy(handle_); }

void CublasLt::check(cublasStatus_t status, const char* call) const {
  tstitch::check(status == CUBLAS_STATUS_SUCCESS, ErrorKind::device, "cuda:", device_, ": ", call, ": ",
                 lt_.status_name(status));
}

CublasLt::Kind CublasLt::kind_of(const Product& p) {
  return {.M = p.x.rows,
          .N = p.w.rows,
          .K = p.x.columns,
          .x_stride = stride_of(p.x),
          .w_stride = stride_of(p.w),
          .y_stride = stride_of(p.y),
          .type = p.x.dtype,
          .y_type = p.y.dtype,
          .gelu_tanh = p.gelu_tanh,
          .accumulate = p.accumulate,
          .x_alignment = alignment_of(p.x.at),
          .w_alignment = alignment_of(p.w.at),
          .y_alignment = alignment_of(p.y.at),
          .bias_alignment = p.bias == DeviceAddress{} ? 0 : alignment_of(p.bias)};
}

std::string CublasLt::refusal(const Product& product) const {
  const Kind k = kind_of(product);
  return concat("cuBLASLt ", lt_.version(), " has no product ", k.M, " x ", k.K, " x ", k.N, ", ",
                name_of(k.type), " to ", name_of(k.y_type), k.accumulate ? ", accumulated" : "", ", strides ",
                k.x_stride, " ", k.w_stride, " ", k.y_stride, ", alignments ", k.x_alignment, " ",
                k.w_alignment, " ", k.y_alignment);
}

CublasLt::Algorithm CublasLt::pick(const Kind& kind, DeviceAddress bias) const {
  cublasLtMatmulPreferenceOpaque_t preference;
  check(lt_.init_preference(&preference, sizeof preference), "cublasLtMatmulPreferenceInit");
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
    check(lt_.set_preference(&preference, attribute, &value, sizeof value),
          "cublasLtMatmulPreferenceSetAttribute");
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t{kWorkspace});
  prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, uint32_t{CUBLASLT_REDUCTION_SCHEME_NONE});
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, kind.w_alignment);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, kind.x_alignment);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, kind.y_alignment);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, kind.y_alignment);

  Operation o(*this, kind, bias);
  std::array<cublasLtMatmulHeuristicResult_t, 16> found = {};
  int count = 0;
  const cublasStatus_t status = lt_.heuristic(handle_, &o.product, &o.a, &o.b, &o.c, &o.c, &preference,
                                              static_cast<int>(found.size()), found.data(), &count);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED) return std::nullopt;
  check(status, "cublasLtMatmulAlgoGetHeuristic");
  for (int i = 0; i < count; ++i) {
    const auto& result = found[static_cast<size_t>(i)];
    int32_t parts_of_k = 1;
    size_t written = 0;
    check(lt_.get_config(&result.algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &parts_of_k, sizeof parts_of_k,
                         &written),
          "cublasLtMatmulAlgoConfigGetAttribute");
    if (result.state == CUBLAS_STATUS_SUCCESS && parts_of_k <= 1) return result.algo;
  }
  return std::nullopt;
}

// Whatever is wrong with it for this number of rows, another is looked for.
bool CublasLt::serves(const cublasLtMatmulAlgo_t& algorithm, const Kind& kind, DeviceAddress bias) const {
  Operation o(*this, kind, bias);
  cublasLtMatmulHeuristicResult_t result = {};
  return lt_.check(handle_, &o.product, &o.a, &o.b, &o.c, &o.c, &algorithm, &result) ==
             CUBLAS_STATUS_SUCCESS &&
         result.workspaceSize <= kWorkspace;
}

const CublasLt::Algorithm& CublasLt::algorithm(const Kind& kind, DeviceAddress bias) {
  if (const auto known = algorithms_.find(kind); known != algorithms_.end()) return known->second;
  Algorithm found;
  if (kind.M != kRows) {
    Kind many = kind;
    many.M = kRows;
    found = algorithm(many, bias);
    if (found && !serves(*found, kind, bias)) found.reset();
  }
  if (!found) found = pick(kind, bias);
  return algorithms_.emplace(kind, found).first->second;
}

bool CublasLt::multiply(const Product& p, void* workspace, cudaStream_t stream) {
  const Kind kind = kind_of(p);
  if (kind.M == 0 || kind.N == 0) return true;
  const Algorithm& found = algorithm(kind, p.bias);
  if (!found) return false;
  Operation o(*this, kind, p.bias);
  const float one = 1, beta = p.accumulate ? 1 : 0;
  void* const y = reinterpret_cast<void*>(p.y.at);
  check(lt_.matmul(handle_, &o.product, &one, pointer(p.w.at), &o.a, pointer(p.x.at), &o.b, &beta, y, &o.c, y,
                   &o.c, &*found, workspace, kWorkspace, stream),
        "cublasLtMatmul");
  return true;
}

}  // namespace tstitch::cuda
