#include "tstitch/backend/cuda/cudnn_convolution.h"

#include "tstitch/base/error.h"

namespace tstitch::cuda {
namespace {

enum Uid : int64_t { kX = 1, kW, kY };

// The power of two up to 16 that divides all addresses of images.
int64_t alignment_of(DeviceAddress at, int64_t image_bytes) {
  const int64_t bits = static_cast<int64_t>(at) | image_bytes | 16;
  return bits & -bits;
}

void* image(DeviceAddress at, int64_t index, int64_t stride, DType dtype) {
  return reinterpret_cast<std::byte*>(at) + index * stride * size_of(dtype);
}

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
      y_image(c.y_image),
      stride(c.stride),
      top(c.top),
      left(c.left),
      bottom(c.bottom),
      right(c.right),
      x_alignment(alignment_of(c.x, c.x_image * size_of(c.x_type))),
      w_alignment(alignment_of(c.w, 0)),
      y_alignment(alignment_of(c.y, c.y_image * size_of(c.y_type))) {}

// Dimensions are named N C H W whatever lies beside what in memory, which the strides say.
Descriptor ConvolutionShape::graph(const PlanTarget& target, int64_t N) const {
  const CudnnLibrary& cudnn = target.cudnn;
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
                   y = tensor(cudnn, {.uid = kY,
                                      .dtype = y_type,
                                      .dimensions = {N, M, height, width},
                                      .strides = {y_image, 1, width * M, M},
                                      .alignment = y_alignment});
  const Descriptor path = Descriptor(cudnn, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR)
                              .set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT)
                              .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CROSS_CORRELATION)
                              .set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, int64_t{2})
                              .set<int64_t>(CUDNN_ATTR_CONVOLUTION_DILATIONS, {1, 1})
                              .set<int64_t>(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, {stride, stride})
                              .set<int64_t>(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, {top, left})
                              .set<int64_t>(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, {bottom, right})
                              .finalize();
  return operation_graph(target, Descriptor(cudnn, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR)
                                     .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x)
                                     .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w)
                                     .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, y)
                                     .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, path)
                                     .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, 1.0)
                                     .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, 0.0)
                                     .finalize());
}

std::string ConvolutionShape::describe() const {
  return concat("(", H, ", ", W, ", ", C, ") ", name_of(x_type), " to (", height, ", ", width, ", ", M, ") ",
                name_of(y_type), ", kernel ", kh, " x ", kw, ", stride ", stride, ", padding ", top, " ", left, " ",
                bottom, " ", right, ", alignments ", x_alignment, " ", w_alignment, " ", y_alignment);
}

void execute(const PlanTarget& target, const Plan& plan, const Convolution& c, int64_t first, void* workspace) {
  execute(target, plan,
          {{kX, image(c.x, first, c.x_image, c.x_type)},
           {kW, image(c.w, 0, 0, c.x_type)},
           {kY, image(c.y, first, c.y_image, c.y_type)}},
          workspace);
}

}  // namespace tstitch::cuda
