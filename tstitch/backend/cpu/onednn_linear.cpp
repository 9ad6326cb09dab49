#include "tstitch/backend/cpu/onednn_linear.h"

#include <omp.h>

#include <cstring>

#include "tstitch/backend/cpu/parallel.h"
#include "tstitch/base/error.h"

namespace tstitch::cpu {
namespace {

constexpr int64_t kRows = 64;      // of a block
constexpr int64_t kColumns = 384;  // most outputs of a part: work for many threads

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

// oneDNN computes with as many OpenMP threads as the calling thread asks for: one, the others being ours.
class OneThread {
 public:
  OneThread() : threads_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(threads_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int threads_;
};

}  // namespace

OnednnLinear::OnednnLinear(const Kernels& kernels, const Tensor& w, const Tensor& b)
    : Linear(w), kernels_(kernels), dtype_(w.dtype()), bias_(padded_bias(b, outputs_)) {
  using Desc = dnnl::memory::desc;
  using Type = dnnl::memory::data_type;
  using Tag = dnnl::memory::format_tag;
  const Type type = dtype_ == DType::bf16 ? Type::bf16 : Type::f32;
  x_ = Desc({kRows, inputs_}, type, dnnl::memory::dims{inputs_, 1});
  // oneDNN's own scratch memory belongs to the primitive: two threads must not run one at a time.
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  dnnl::stream stream(engine());
  try {
    for (int64_t column = 0; column < outputs_; column += kColumns) {
      const int64_t columns = std::min(kColumns, outputs_ - column);
      const Desc sums({kRows, columns}, Type::f32, Tag::ab);
      const dnnl::matmul::primitive_desc product({x_, Desc({inputs_, columns}, type, Tag::any), sums},
                                                 attributes, engine());
      scratch_bytes_ = std::max(scratch_bytes_, static_cast<int64_t>(product.scratchpad_desc().get_size()));
      Part part{column,
                columns,
                sums,
                product.scratchpad_desc(),
                dnnl::matmul(product),
                dnnl::memory(product.weights_desc(), engine())};
      // (K, columns) as it lies in w: transposed.
      const Desc rows_of_w({inputs_, columns}, type, dnnl::memory::dims{1, w.row_stride()});
      std::byte* first = const_cast<std::byte*>(w.bytes()) + column * w.row_stride() * size_of(dtype_);
      dnnl::memory from(rows_of_w, engine(), first);
      dnnl::reorder(from, part.weights).execute(stream, from, part.weights);
      parts_.push_back(std::move(part));
    }
    stream.wait();
  } catch (const dnnl::error& e) {
    fail(ErrorKind::device, "oneDNN cannot multiply by a ", name_of(dtype_), " weight ", to_string(w.shape()),
         ": ", e.what());
  }
}

int64_t OnednnLinear::bytes() const {
  int64_t sum = bias_.elements() * 4;
  for (const Part& part : parts_) sum += static_cast<int64_t>(part.weights.get_desc().get_size());
  return sum;
}

void OnednnLinear::run(LinearJob job, int64_t rows, int threads) const {
  job.inputs = inputs_;
  job.outputs = outputs_;
  job.bias = bias_.data<float>();
  const auto parts = static_cast<int64_t>(parts_.size());
  const int64_t row_bytes = inputs_ * size_of(dtype_);
  Tensor sums({threads, kRows, kColumns}, DType::f32);
  Tensor padded({threads, kRows, inputs_}, dtype_);
  const int64_t scratch_bytes = divide_up(scratch_bytes_, 64) * 64;
  Tensor scratch({threads, scratch_bytes}, DType::u8);
  parallel_for(threads, divide_up(rows, kRows) * parts, [&](int64_t item, int thread) {
    const OneThread alone;
    const Part& part = parts_[static_cast<size_t>(item % parts)];
    const int64_t row = item / parts * kRows, count = std::min(kRows, rows - row);
    const auto* first = static_cast<const std::byte*>(job.x) + row * job.x_stride * size_of(dtype_);
    std::byte* x = const_cast<std::byte*>(first);
    if (count < kRows || job.x_stride != inputs_) {
      x = padded.bytes() + thread * kRows * row_bytes;
      std::memset(x, 0, static_cast<size_t>(kRows * row_bytes));
      for (int64_t r = 0; r < count; ++r)
        std::memcpy(x + r * row_bytes, first + r * job.x_stride * size_of(dtype_),
                    static_cast<size_t>(row_bytes));
    }
    float* block = sums.data<float>() + thread * kRows * kColumns;
    dnnl::stream stream(engine());
    part.product.execute(stream,
                         {{DNNL_ARG_SRC, dnnl::memory(x_, engine(), x)},
                          {DNNL_ARG_WEIGHTS, part.weights},
                          {DNNL_ARG_SCRATCHPAD,
                           dnnl::memory(part.scratch, engine(), scratch.bytes() + thread * scratch_bytes)},
                          {DNNL_ARG_DST, dnnl::memory(part.sums, engine(), block)}});
    kernels_.finish(job, block, part.columns, row, count, part.column, part.columns);
  });
}

}  // namespace tstitch::cpu
