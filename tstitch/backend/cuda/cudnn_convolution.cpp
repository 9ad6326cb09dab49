#include "tstitch/backend/cuda/cudnn_convolution.h"

#include "tstitch/base/error.h"

namespace tstitch::cuda {
namespace {

enum Uid : int64_t { kX = 1, kW, kY, kBias, kSum };

// The power of two up to 16 that divides all addresses of images.
int64_t alignment_of(DeviceAddress at, int64_t image_bytes) {
  const int64_t bits = static_cast<int64_t>(at) | image_bytes | 16;
  return bits & -bits;
}

void* image(DeviceAddress at, int64_t index, int64_t stride, DType dtype) {
  return reinterpret_cast<std::byte*>(at) + index * stride * size_of(dtype);
}

int64_t y_image(const Convolution& c) { return c.height() * c.width() * c.M; }

}  // namespace

ConvolutionShape::ConvolutionShape(const Convolution& c)
    : x_type(c.x_type),
      y_type(c.y_type),
      H(c.H),
      W(c.W),
      C(c.C),
      M(c.M),
      kh(c.kh),
      kw(c.kw),
      height(c.height()),
      width(c.width()),
      x_image(c.x_image),
      stride(c.stride),
      top(c.top),
      left(c.left),
      bottom(c.bottom),
      right(c.right),
      bias(c.bias != DeviceAddress{}),
      bias_per_image(c.bias_per_image),
      x_alignment(alignment_of(c.x, c.x_image * size_of(c.x_type))),
      w_alignment(alignment_of(c.w, 0)),
      y_alignment(alignment_of(c.y, y_image(c) * size_of(c.y_type))),
      bias_alignment(alignment_of(c.bias, c.M * size_of(DType::f32))) {}

// y = x * w, or y = sum + bias with sum = x * w, which is nowhere in memory. Dimensions are named N C H W
// whatever lies beside what in memory, which the strides say.
Descriptor ConvolutionShape::graph(const PlanTarget& target, int64_t N) const {
  const CudnnLibrary& cudnn = target.cudnn;
  const auto output = [&](int64_t uid, DType dtype, int64_t alignment, TensorOf::Kind kind) {
    return tensor(cudnn, {.uid = uid,
                          .dtype = dtype,
                          .dimensions = {N, M, height, width},
                          .strides = {height * width * M, 1, width * M, M},
                          .alignment = alignment,
                          .kind = kind});
  };
  const Descriptor x = tensor(cudnn, {.uid = kX,
                                      .dtype = x_type,
                                      .dimensions = {N, C, H, W},
                                      .strides = {x_image, 1, W * C, C},
                                      .alignment = x_alignment}),
                   w = tensor(cudnn, {.uid = kW,
                                      .dtype = x_type,
                                      .dimensions = {M, C, kh, kw},
                                      .strides = {kh * kw * C, 1, kw * C, C},
                                      .alignment = w_alignment}),
                   y = output(kY, y_type, y_alignment, TensorOf::in_memory),
                   sum = bias ? output(kSum, DType::f32, 16, TensorOf::between_operations) : y;
  const Descriptor path = Descriptor(cudnn, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR)
                              .set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT)
                              .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CROSS_CORRELATION)
                              .set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, int64_t{2})
                              .set<int64_t>(CUDNN_ATTR_CONVOLUTION_DILATIONS, {1, 1})
                              .set<int64_t>(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, {stride, stride})
                              .set<int64_t>(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, {top, left})
                              .set<int64_t>(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, {bottom, right})
                              .finalize();
  std::vector<Descriptor> operations = {
      Descriptor(cudnn, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR)
          .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x)
          .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w)
          .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, sum)
          .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, path)
          .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, 1.0)
          .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, 0.0)
          .finalize()};
  if (bias) {
    const Descriptor b = tensor(cudnn, {.uid = kBias,
                                        .dtype = DType::f32,
                                        .dimensions = {bias_per_image ? N : 1, M, 1, 1},
                                        .strides = {M, 1, M, M},
                                        .alignment = bias_alignment});
    const Descriptor add = Descriptor(cudnn, CUDNN_BACKEND_POINTWISE_DESCRIPTOR)
                               .set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_POINTWISE_ADD)
                               .set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT)
                               .finalize();
    operations.push_back(Descriptor(cudnn, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR)
                             .set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, add)
                             .set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, sum)
                             .set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b)
                             .set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y)
                             .finalize());
  }
  return operation_graph(target, operations);
}

std::string ConvolutionShape::describe() const {
  return concat("(", H, ", ", W, ", ", C, ") ", name_of(x_type), " to (", height, ", ", width, ", ", M, ") ",
                name_of(y_type), bias ? ", bias" : "", ", kernel ", kh, " x ", kw, ", stride ", stride,
                ", padding ", top, " ", left, " ", bottom, " ", right, ", alignments ", x_alignment, " ",
                w_alignment, " ", y_alignment, " ", bias_alignment);
}

void execute(const PlanTarget& target, const Plan& plan, const Convolution& c, int64_t first,
             void* workspace) {
  const Binding x = {kX, image(c.x, first, c.x_image, c.x_type)}, w = {kW, image(c.w, 0, 0, c.x_type)},
                y = {kY, image(c.y, first, y_image(c), c.y_type)},
                bias = {kBias, image(c.bias, first, c.bias_per_image ? c.M : 0, DType::f32)};
  if (c.bias == DeviceAddress{})
    execute(target, plan, {x, w, y}, workspace);
  else
    execute(target, plan, {x, w, y, bias}, workspace);
}

}  // namespace tstitch::cuda
