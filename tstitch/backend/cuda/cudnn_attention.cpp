#include "tstitch/backend/cuda/cudnn_attention.h"

#include <cmath>

#include "tstitch/base/error.h"

namespace tstitch::cuda {
namespace {

enum Uid : int64_t { kQ = 1, kK, kV, kOut, kScale };

constexpr int64_t kElement = 2;  // bytes of a bf16

void* row(DeviceAddress at, int64_t index, int64_t stride) {
  return reinterpret_cast<std::byte*>(at) + index * stride * kElement;
}

}  // namespace

bool is_aligned(const Attention& a) {
  const uint64_t addresses = static_cast<uint64_t>(a.q) | static_cast<uint64_t>(a.k) |
                             static_cast<uint64_t>(a.v) | static_cast<uint64_t>(a.out);
  const int64_t elements = a.q_stride | a.k_stride | a.v_stride | a.d;
  return addresses % 16 == 0 && elements * kElement % 16 == 0;
}

AttentionShape::AttentionShape(const Attention& a)
    : T(a.T),
      S(a.S),
      heads(a.heads),
      d(a.d),
      q_stride(a.q_stride),
      k_stride(a.k_stride),
      v_stride(a.v_stride),
      kv_shared(a.kv_shared) {}

// Images that see the same keys are one image with the queries of all: a query's result does not depend on
// its neighbours, and nobody need give keys a stride of 0 between images.

Descriptor AttentionShape::graph(const PlanTarget& target, int64_t N) const {
  const CudnnLibrary& cudnn = target.cudnn;
  const int64_t images = kv_shared ? 1 : N, queries = kv_shared ? N * T : T;
  const auto operand = [&](int64_t uid, int64_t rows, int64_t stride) {
    return tensor(cudnn, {.uid = uid,
                          .dtype = DType::bf16,
                          .dimensions = {images, heads, rows, d},
                          .strides = {rows * stride, d, stride, 1}});
  };
  const Descriptor scale = tensor(cudnn, {.uid = kScale,
                                          .dtype = DType::f32,
                                          .dimensions = {1, 1, 1, 1},
                                          .strides = {1, 1, 1, 1},
                                          .kind = TensorOf::by_value});
  const Descriptor attention =
      Descriptor(cudnn, CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR)
          .set(CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC, operand(kQ, queries, q_stride))
          .set(CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC, operand(kK, S, k_stride))
          .set(CUDNN_ATTR_OPERATION_SDPA_FWD_VDESC, operand(kV, S, v_stride))
          .set(CUDNN_ATTR_OPERATION_SDPA_FWD_ODESC, operand(kOut, queries, heads * d))
          .set(CUDNN_ATTR_OPERATION_SDPA_FWD_SCALEDESC, scale)
          .finalize();
  return operation_graph(target, {&attention, 1});
}

std::string AttentionShape::describe() const {
  return concat(T, " x ", S, ", ", heads, " heads of ", d, ", strides ", q_stride, " ", k_stride, " ",
                v_stride, kv_shared ? ", shared keys" : "");
}

void execute(const PlanTarget& target, const Plan& plan, const Attention& a, int64_t first, void* workspace) {
  const int64_t keys = a.kv_shared ? 0 : first * a.S;
  float scale = 1 / std::sqrt(static_cast<float>(a.d));
  execute(target, plan,
          {{kQ, row(a.q, first * a.T, a.q_stride)},
           {kK, row(a.k, keys, a.k_stride)},
           {kV, row(a.v, keys, a.v_stride)},
           {kOut, row(a.out, first * a.T, a.heads * a.d)},
           {kScale, &scale}},
          workspace);
}

}  // namespace tstitch::cuda
