#include "tstitch/backend/cpu/conv2d.h"

#include <cstring>

#include "tstitch/backend/cpu/amx_gemm.h"
#include "tstitch/backend/cpu/linear.h"
#include "tstitch/backend/cpu/parallel.h"

namespace tstitch::cpu {
namespace {

constexpr int64_t kStripBytes = 1 << 20;  // stays in the L2 cache, or near it, while panels pass by

// By the vector kernels.
class PanelConv2d final : public Conv2d {
 public:
  PanelConv2d(const Kernels& kernels, int threads, const Tensor& w, const Tensor& b, const Int8Weight& int8)
      : Conv2d(kernels, w, b, int8, kernels.panel_columns, 4 / kernels.operand_bytes(operand_of(w.dtype()))) {
    const Tensor matrix = as_matrix(w, threads);
    const int64_t K = matrix.columns(), width = panel_columns_;
    panels_ = Tensor({divide_up(outputs_, width), K * width}, dtype_);
    parallel_for(threads, panels_.extent(0), [&](int64_t panel, int) {
      const int64_t row = panel * width;
      kernels_.pack_panel(operand_of(dtype_), matrix.bytes() + row * K * size_of(dtype_), K,
                          std::min(width, outputs_ - row), K,
                          panels_.bytes() + panel * K * width * size_of(dtype_));
    });
  }

 private:
  void multiply(const ConvJob& job, int64_t panel, int64_t begin, int64_t end) const override {
    kernels_.conv(job, panel, begin, end);
  }
};

// By tiles: blocks of 16 or 32 pixels of one row of the output. E: as in amx_gemm.h.
template <class Tiles, class E>
class AmxConv2d final : public Conv2d {
 public:
  AmxConv2d(const Kernels& kernels, int threads, const Tensor& w, const Tensor& b, const Int8Weight& int8)
      : Conv2d(kernels, w, b, int8, kAmxColumns, kAmxStep<E>) {
    block_pixels_ = kAmxRows;
    const Tensor matrix = as_matrix(w, threads);
    const int64_t K = matrix.columns();
    panels_ = Tensor({divide_up(outputs_, kAmxColumns), K * kAmxColumns}, dtype_);
    const auto* rows = reinterpret_cast<const E*>(matrix.bytes());
    parallel_for(threads, panels_.extent(0), [&](int64_t panel, int) {
      const int64_t row = panel * kAmxColumns;
      amx_pack_panel(rows + row * K, K, std::min(kAmxColumns, outputs_ - row), K, panel_at(panel));
    });
  }

 private:
  E* panel_at(int64_t panel) const {
    return reinterpret_cast<E*>(const_cast<std::byte*>(panels_.bytes())) + panel * panels_.columns();
  }

  void multiply(const ConvJob& job, int64_t panel, int64_t begin, int64_t end) const override {
    alignas(64) float sums[kAmxRows * kAmxColumns];
    const int64_t column = panel * kAmxColumns, columns = std::min(kAmxColumns, outputs_ - column);
    const int64_t steps = padded_inputs_ / kAmxStep<E>, pixel = job.linear.x_stride;
    const auto* strip = static_cast<const E*>(job.linear.x);
    LinearJob linear = job.linear;
    Tiles tiles;
    for (int64_t p = begin; p < end;) {
      const int64_t image = p / job.image_pixels, y = p % job.image_pixels / job.width, x = p % job.width;
      const int64_t rows = std::min({kAmxRows, job.width - x, end - p});
      const int64_t tile_rows = rows > 16 ? 32 : 16;
      const E* corner = strip + image * job.image_stride + (y * job.row_stride + x * pixel) * job.stride;
      const E* weights = panel_at(panel);
      amx_begin(tiles, tile_rows, {sums});
      for (int64_t i = 0; i < kernel_.height; ++i)
        for (int64_t j = 0; j < kernel_.width; ++j, weights += steps * kAmxStep<E> * kAmxColumns)
          amx_accumulate(tiles, corner + i * job.row_stride + j * pixel, job.stride * pixel, tile_rows,
                         weights, steps, {});
      amx_end(tiles, tile_rows, {sums});
      if (job.linear.operand == Operand::int8)
        kernels_.dequantize(job.linear, sums, kAmxColumns, p, rows, column, kAmxColumns);
      linear.bias = job.linear.bias + image * job.bias_stride;
      kernels_.finish(linear, sums, kAmxColumns, p, rows, column, columns);
      p += rows;
    }
  }
};

template <class Tiles>
std::unique_ptr<Conv2d> make_amx(const Kernels& kernels, int threads, const Tensor& w, const Tensor& b,
                                 const Int8Weight& int8) {
  if (int8.values) return std::make_unique<AmxConv2d<Tiles, uint8_t>>(kernels, threads, w, b, int8);
  return std::make_unique<AmxConv2d<Tiles, uint16_t>>(kernels, threads, w, b, int8);
}

}  // namespace

Conv2d::Conv2d(const Kernels& kernels, const Tensor& w, const Tensor& b, const Int8Weight& int8,
               int64_t panel_columns, int64_t input_multiple)
    : kernels_(kernels),
      dtype_(w.dtype()),
      inputs_(w.extent(1)),
      outputs_(w.extent(0)),
      kernel_(w.extent(2), w.extent(3)),
      padded_inputs_(divide_up(inputs_, input_multiple) * input_multiple),
      panel_columns_(panel_columns),
      bias_(padded_bias(b, divide_up(outputs_, panel_columns) * panel_columns)),
      int8_(int8, bias_.elements()) {}

Tensor Conv2d::as_matrix(const Tensor& w, int threads) const {
  const int64_t taps = kernel_.height * kernel_.width, size = size_of(dtype_);
  Tensor matrix({outputs_, taps * padded_inputs_}, dtype_);
  std::memset(matrix.bytes(), 0, static_cast<size_t>(matrix.elements() * size));
  parallel_for(threads, outputs_, [&](int64_t m, int) {
    for (int64_t c = 0; c < inputs_; ++c)
      for (int64_t tap = 0; tap < taps; ++tap)
        std::memcpy(matrix.bytes() + (m * matrix.columns() + tap * padded_inputs_ + c) * size,
                    w.bytes() + ((m * inputs_ + c) * taps + tap) * size, static_cast<size_t>(size));
  });
  return matrix;
}

void Conv2d::find_ranges(const Tensor& x, const Conv2dPath& path, int threads, Uint8Range* ranges) const {
  const int64_t N = x.extent(0), pixels = x.extent(1) * x.extent(2), C = inputs_;
  constexpr int64_t kChannels = 64;  // of an item: a line or a few of every pixel
  const int64_t parts = divide_up(C, kChannels);
  Tensor bounds({2, N, C}, DType::f32);
  float *low = bounds.data<float>(), *high = low + N * C;
  parallel_for(threads, N * parts, [&](int64_t item, int) {
    const int64_t n = item / parts, first = item % parts * kChannels;
    kernels_.channel_bounds(
        x.dtype() == DType::bf16, x.bytes() + (n * pixels * x.row_stride() + first) * size_of(x.dtype()),
        x.row_stride(), pixels, std::min(kChannels, C - first), low + n * C + first, high + n * C + first);
  });
  for (int64_t n = 0; n < N; ++n)
    ranges[n] =
        picture_range({low + n * C, static_cast<size_t>(C)}, {high + n * C, static_cast<size_t>(C)},
                      path.norm ? path.norm->data<float>() + n * 2 * C : nullptr, path.act, int8_.factors());
}

void Conv2d::fill(const Strip& strip, const Tensor& x, int64_t n, int64_t first, int64_t rows,
                  const Conv2dPath& path) const {
  const int64_t H = x.extent(1), W = x.extent(2), repeats = path.upsample ? 2 : 1, columns = strip.columns;
  const Operand operand = operand_of(dtype_);
  const int64_t size = kernels_.operand_bytes(operand), pixel_bytes = strip.pixel * size;
  // Zero, as the strip holds it.
  const int zero = operand == Operand::int8 && size == 1 ? strip.range.zero : 0;
  const Extent2d there = path.read({H, W});
  const int64_t read =
      std::min(there.width, columns - path.pad_before.width);  // pixels of a row that are not zeros
  const float* norm = path.norm ? path.norm->data<float>() + n * 2 * inputs_ : nullptr;
  std::byte* to = strip.to;
  for (int64_t row = 0; row < rows; ++row, to += columns * pixel_bytes) {
    const int64_t y = first + row - path.pad_before.height;
    const bool inside = 0 <= y && y < there.height;
    const int64_t left = inside ? path.pad_before.width : columns;
    std::memset(to, zero, static_cast<size_t>(left * pixel_bytes));
    if (!inside) continue;
    const int64_t source = (n * H + y / repeats) * W * x.row_stride();
    PixelJob job = {.x = x.bytes() + source * size_of(x.dtype()),
                    .x_bf16 = x.dtype() == DType::bf16,
                    .x_stride = x.row_stride(),
                    .repeats = repeats,
                    .channels = inputs_,
                    .padded = padded_inputs_,
                    .scale = norm,
                    .shift = norm ? norm + inputs_ : nullptr,
                    .act = epilogue_of(path.act),
                    .to = to + left * pixel_bytes,
                    .to_type = operand,
                    .to_stride = strip.pixel,
                    .factors = int8_.factors(),
                    .inverse = strip.range.inverse,
                    .zero = strip.range.zero};
    if (strip.row) {  // there is nothing around, and each pixel once
      job.to = strip.row;
      job.to_type = Operand::f32;
      job.to_stride = job.padded = inputs_;
      kernels_.pixels(job, read);
      for (int64_t i = 0; i < read; ++i)
        quantize_row(kernels_, false, reinterpret_cast<const std::byte*>(strip.row + i * inputs_), inputs_,
                     padded_inputs_, int8_.factors(), to + i * pixel_bytes, strip.scales[row * columns + i],
                     strip.zeros[row * columns + i]);
      continue;
    }
    kernels_.pixels(job,
                    divide_up(read, repeats));  // of one that is cut to the first of its two; zeros follow
    const int64_t right = columns - left - read;
    std::memset(to + (left + read) * pixel_bytes, zero, static_cast<size_t>(right * pixel_bytes));
  }
}

void Conv2d::run(Tensor& out, const Tensor& x, const Conv2dPath& path, Epilogue act, int threads) const {
  if (out.elements() == 0) return;
  const int64_t N = out.extent(0), H = out.extent(1), W = out.extent(2);
  const Operand operand = operand_of(dtype_);
  const int64_t size = kernels_.operand_bytes(operand);
  Call call = {.out = out, .x = x, .path = path, .act = act, .threads = threads, .biases = bias_};
  call.columns = (W - 1) * path.stride + kernel_.width;
  // Pixels half pages apart would share few lines of the L1 cache (CpuBackend::operand).
  call.pixel = padded_inputs_ + (padded_inputs_ * size % 2048 == 0 ? 64 / size : 0);
  call.row_bytes = call.columns * call.pixel * size;
  // A block that ends beyond its row reads on, and what it makes of that is dropped.
  call.beyond = (block_pixels_ - 1) * path.stride * call.pixel * size;
  call.by_pixel = operand == Operand::int8 && path.is_pointwise(kernel_);
  Tensor ranges({N * static_cast<int64_t>(sizeof(Uint8Range))}, DType::u8);
  if (operand == Operand::int8 && !call.by_pixel) {
    call.ranges = reinterpret_cast<Uint8Range*>(ranges.bytes());
    find_ranges(x, path, threads, call.ranges);
  }
  if (path.image_bias) {
    call.biases = Tensor({N, bias_.elements()}, DType::f32);
    for (int64_t n = 0; n < N; ++n)
      for (int64_t m = 0; m < bias_.elements(); ++m)
        call.biases.data<float>()[n * bias_.elements() + m] =
            bias_.data<float>()[m] +
            (m < outputs_ ? path.image_bias->data<float>()[n * path.image_bias->row_stride() + m] : 0.f);
  }
  if (strip_bytes(call, H) <= kStripBytes)
    run_images(call);
  else
    run_strips(call);
}

int64_t Conv2d::strip_bytes(const Call& call, int64_t rows) const {
  return divide_up(((rows - 1) * call.path.stride + kernel_.height) * call.row_bytes + call.beyond, 64) * 64;
}

ConvJob Conv2d::job_of(const Call& call, const Strip& strip, int64_t n, int64_t begin) const {
  const int64_t H = call.out.extent(1), W = call.out.extent(2),
                bias_stride = call.path.image_bias ? bias_.elements() : 0;
  ConvJob job = {.kernel_height = kernel_.height,
                 .kernel_width = kernel_.width,
                 .stride = call.path.stride,
                 .row_stride = call.columns * call.pixel,
                 .width = W,
                 .image_pixels = H * W,
                 .bias_stride = bias_stride};
  job.linear = {
      .operand = operand_of(dtype_),
      .x = strip.to,
      .x_stride = call.pixel,
      .inputs = padded_inputs_,
      .outputs = outputs_,
      .panels = panels_.bytes(),
      .bias = call.biases.data<float>() + n * bias_stride,
      .scales = strip.scales ? strip.scales : &strip.range.scale,
      .zeros = strip.scales ? strip.zeros : &strip.range.zero,
      .range_step = strip.scales ? 1 : 0,
      .epilogue = call.act,
      .out = call.out.bytes() + (n * H + begin) * W * call.out.row_stride() * size_of(call.out.dtype()),
      .out_stride = call.out.row_stride(),
      .out_bf16 = call.out.dtype() == DType::bf16};
  int8_.complete(job.linear);
  return job;
}

void Conv2d::run_images(const Call& call) const {
  const int64_t N = call.out.extent(0), H = call.out.extent(1), W = call.out.extent(2),
                threads = call.threads;
  const int64_t image_bytes = strip_bytes(call, H), together = std::min(N, kStripBytes / image_bytes);
  const int64_t size = kernels_.operand_bytes(operand_of(dtype_)), panels = panels_.extent(0);
  Tensor scratch({together, image_bytes}, DType::u8);
  Tensor scales, zeros, row_of_pixels;
  if (dtype_ == DType::i8) {
    scales = Tensor({together, H * W}, DType::f32);
    zeros = Tensor({together, H * W}, DType::i32);
  }
  if (call.by_pixel) row_of_pixels = Tensor({threads, W * inputs_}, DType::f32);

  for (int64_t first = 0; first < N; first += together) {
    const int64_t images = std::min(together, N - first);
    const auto strip_of = [&](int64_t image) {
      Strip strip = {
          .to = scratch.bytes() + image * image_bytes, .pixel = call.pixel, .columns = call.columns};
      if (scales) {
        strip.scales = scales.data<float>() + image * H * W;
        strip.zeros = zeros.data<int32_t>() + image * H * W;
      }
      return strip;
    };
    const int64_t rows = (H - 1) * call.path.stride + kernel_.height,
                  parts = std::min(rows, divide_up(4 * threads, images));
    parallel_for(call.threads, images * parts, [&](int64_t item, int thread) {
      const int64_t image = item / parts, begin = item % parts * rows / parts,
                    end = (item % parts + 1) * rows / parts;
      Strip strip = strip_of(image);
      strip.to += begin * call.row_bytes;
      if (call.by_pixel) {
        strip.scales += begin * W;
        strip.zeros += begin * W;
        strip.row = row_of_pixels.data<float>() + thread * W * inputs_;
      } else if (call.ranges) {
        strip.range = call.ranges[first + image];
        if (begin == 0) {
          std::fill_n(strip.scales, H * W, strip.range.scale);
          std::fill_n(strip.zeros, H * W, strip.range.zero);
        }
      }
      fill(strip, call.x, first + image, call.path.begin * call.path.stride + begin, end - begin, call.path);
    });

    ConvJob job = job_of(call, strip_of(0), first, 0);
    job.image_stride = image_bytes / size;
    const int64_t pixels = images * H * W,
                  shares = std::min(divide_up(4 * threads, panels), divide_up(pixels, 16));
    parallel_for(call.threads, panels * shares, [&](int64_t item, int) {
      const int64_t share = item % shares;
      multiply(job, item / shares, share * pixels / shares, (share + 1) * pixels / shares);
    });
  }
}

void Conv2d::run_strips(const Call& call) const {
  const int64_t N = call.out.extent(0), H = call.out.extent(1), W = call.out.extent(2),
                threads = call.threads;
  // As many rows as the cache holds, fewer for all threads to have work; then panels are shared out too.
  int64_t rows = std::max<int64_t>(1, (kStripBytes / call.row_bytes - kernel_.height) / call.path.stride + 1);
  rows = divide_up(H, std::max(divide_up(H, rows), std::min(H, divide_up(4 * threads, N))));
  const int64_t strips = divide_up(H, rows), panels = panels_.extent(0);
  const int64_t groups = std::min(panels, divide_up(4 * threads, N * strips));
  const int64_t bytes = strip_bytes(call, rows);
  Tensor scratch({threads, bytes}, DType::u8);
  Tensor scales, zeros, row_of_pixels;
  if (call.by_pixel) {
    scales = Tensor({threads, rows * W}, DType::f32);
    zeros = Tensor({threads, rows * W}, DType::i32);
    row_of_pixels = Tensor({threads, W * inputs_}, DType::f32);
  }
  parallel_for(call.threads, N * strips * groups, [&](int64_t item, int thread) {
    const int64_t group = item % groups, strip = item / groups % strips, n = item / groups / strips;
    const int64_t begin = strip * rows, end = std::min(H, begin + rows);
    Strip mine = {.to = scratch.bytes() + thread * bytes, .pixel = call.pixel, .columns = call.columns};
    if (call.ranges) mine.range = call.ranges[n];
    if (scales) {
      mine.scales = scales.data<float>() + thread * rows * W;
      mine.zeros = zeros.data<int32_t>() + thread * rows * W;
      mine.row = row_of_pixels.data<float>() + thread * W * inputs_;
    }
    fill(mine, call.x, n, (call.path.begin + begin) * call.path.stride,
         (end - begin - 1) * call.path.stride + kernel_.height, call.path);
    const ConvJob job = job_of(call, mine, n, begin);
    for (int64_t panel = group * panels / groups; panel < (group + 1) * panels / groups; ++panel)
      multiply(job, panel, 0, (end - begin) * W);
  });
}

std::unique_ptr<Conv2d> make_conv2d(const Isa& isa, int threads, const Tensor& w, const Tensor& b,
                                    const Int8Weight& int8) {
  const bool tiles = w.dtype() != DType::f32;
  if (tiles && isa.multiplier == Multiplier::amx)
    return make_amx<HardwareTiles>(*isa.kernels, threads, w, b, int8);
  if (tiles && isa.multiplier == Multiplier::amx_emulated)
    return make_amx<EmulatedTiles>(*isa.kernels, threads, w, b, int8);
  return std::make_unique<PanelConv2d>(*isa.kernels, threads, w, b, int8);
}

}  // namespace tstitch::cpu
