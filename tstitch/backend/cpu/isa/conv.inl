// Convolutions as products whose rows lie in the picture: the sum of an output runs over the pixels under the
// kernel, row by row, without a copy of each pixel's surroundings.
#pragma once

#include "tstitch/backend/cpu/isa/linear.inl"

namespace tstitch::cpu::TSTITCH_ISA {

// to = f(x scale + shift), or f(x).
template <class From, class To, class Function>
inline void convert_pixels(const PixelJob& job, int64_t count, const Function& act) {
  const auto f = [&](F x, auto get) {
    if constexpr (__is_same(To, q8))
      return Quantizer{job.inverse, job.zero}(job.factors ? act(x) * get(job.factors) : act(x));
    else
      return act(x);
  };
  for (int64_t i = 0; i < count; ++i) {
    const From* x = static_cast<const From*>(job.x) + i * job.x_stride;
    To* to = static_cast<To*>(job.to) + i * job.repeats * job.to_stride;
    if (job.scale)
      for_row(job.channels,
              [&](auto get, auto put) { put(to, f(fma(get(x), get(job.scale), get(job.shift)), get)); });
    else
      for_row(job.channels, [&](auto get, auto put) { put(to, f(get(x), get)); });
    for (int64_t j = job.channels; j < job.padded; ++j) to[j] = To{};
    for (int64_t r = 1; r < job.repeats; ++r)
      __builtin_memcpy(to + r * job.to_stride, to, static_cast<size_t>(job.padded) * sizeof(To));
  }
}

template <class From, class To>
void pixels(const PixelJob& job, int64_t count) {
  switch (job.act) {
    case Epilogue::silu:
      return convert_pixels<From, To>(job, count, [](F x) { return silu(x); });
    case Epilogue::relu:
      return convert_pixels<From, To>(job, count, [](F x) { return relu(x); });
    case Epilogue::gelu_tanh:
      return convert_pixels<From, To>(job, count, [](F x) { return gelu_tanh(x); });
    default:
      return convert_pixels<From, To>(job, count, [](F x) { return x; });
  }
}

// sums (rows, vectors kLanes) of the output pixels whose upper left input pixels are `corners`.
template <class T, int rows, int vectors>
inline void convolve_block(const ConvJob& job, const T* const* corners, const char* panel, float* sums_out) {
  Sums<T> sums[rows][vectors] = {};
  const int64_t count = units<T>(job.linear.inputs);
  for (int64_t y = 0; y < job.kernel_height; ++y)
    for (int64_t x = 0; x < job.kernel_width; ++x, panel += count * vectors * kVectorBytes<T>) {
      const T* a_row[rows];
      for (int r = 0; r < rows; ++r) a_row[r] = corners[r] + y * job.row_stride + x * job.linear.x_stride;
      accumulate<T, rows, vectors>(sums, a_row, panel, count);
    }
  store_sums(sums, sums_out, vectors * kLanes);
}

// The same with the number of rows known at run time.
template <class T, int vectors, int rows = kBlockRows<T>>
inline void convolve_rows(int64_t actual, const ConvJob& job, const T* const* corners, const char* panel,
                          float* sums) {
  if (actual == rows)
    convolve_block<T, rows, vectors>(job, corners, panel, sums);
  else if constexpr (rows > 1)
    convolve_rows<T, vectors, rows - 1>(actual, job, corners, panel, sums);
}

template <class T>
void conv(const ConvJob& job, int64_t panel, int64_t begin, int64_t end) {
  alignas(64) float sums[kBlockRows<T> * kPanelColumns];
  const int64_t column = panel * kPanelColumns, columns = min(kPanelColumns, job.linear.outputs - column);
  const auto* b = static_cast<const char*>(job.linear.panels) + panel * job.kernel_height * job.kernel_width *
                                                                    units<T>(job.linear.inputs) *
                                                                    kPanelVectors * kVectorBytes<T>;
  const int64_t height = job.image_pixels / job.width;
  LinearJob linear = job.linear;
  for_blocks<T>(begin, end, [&](int64_t p, int64_t rows) {
    const T* corners[kBlockRows<T>];
    int64_t image = p / job.image_pixels, y = p % job.image_pixels / job.width, x = p % job.width;
    for (int64_t r = 0; r < rows; ++r) {
      corners[r] = static_cast<const T*>(job.linear.x) + image * job.image_stride +
                   (y * job.row_stride + x * job.linear.x_stride) * job.stride;
      if (++x < job.width) continue;
      x = 0;
      if (++y < height) continue;
      y = 0;
      ++image;
    }
    convolve_rows<T, kPanelVectors>(rows, job, corners, b, sums);
    if constexpr (__is_same(T, q8)) dequantize(linear, sums, kPanelColumns, p, rows, column, kPanelColumns);
    for (int64_t done = 0; done < rows;) {  // image by image
      const int64_t n = (p + done) / job.image_pixels,
                    count = min(rows - done, (n + 1) * job.image_pixels - (p + done));
      linear.bias = job.linear.bias + n * job.bias_stride;
      finish(linear, sums + done * kPanelColumns, kPanelColumns, p + done, count, column, columns);
      done += count;
    }
  });
}

// The least and the largest of what came so far, lane by lane; NaN stays where a number is not finite.
struct LaneBounds {
  F low, high, finite = {};  // zero, or NaN

  explicit LaneBounds(F x) : low(x), high(x) { add(x); }
  void add(F x) {
    low = min(low, x);
    high = max(high, x);
    finite += x - x;
  }
};

template <class T>
RowBounds row_bounds(const T* x, const float* factors, int64_t count) {
  LaneBounds bounds(F{});  // 0 is among the numbers of a range, so tails are not wrong
  for_row(count, [&](auto get, auto) { bounds.add(factors ? get(x) * get(factors) : get(x)); });
  const float finite = sum_lanes(bounds.finite);
  return {-max_lanes(-bounds.low) + finite, max_lanes(bounds.high) + finite};
}

template <class T>
void channel_bounds(const T* x, int64_t x_stride, int64_t count, int64_t channels, float* low, float* high) {
  for_row(channels, [&](auto get, auto put) {
    LaneBounds bounds(get(x));
    for (int64_t i = 1; i < count; ++i) bounds.add(get(x + i * x_stride));
    put(low, bounds.low + bounds.finite);
    put(high, bounds.high + bounds.finite);
  });
}

template <class T>
void pool(const PoolJob& job) {
  const auto* x = static_cast<const T*>(job.x);
  const auto count = static_cast<float>(job.rows * job.columns);
  for_row(job.channels, [&](auto get, auto put) {
    F y = get(x);
    for (int64_t i = 0; i < job.rows; ++i)
      for (int64_t j = i == 0; j < job.columns; ++j) {
        const F pixel = get(x + i * job.row_stride + j * job.pixel_stride);
        y = job.mean ? y + pixel : max(y, pixel);
      }
    put(static_cast<T*>(job.to), job.mean ? y / count : y);
  });
}

// Sums of each channel about its first pixel, so that a large mean costs no digits; then the channels of a
// group together.
template <class T>
void group_moments(const T* x, int64_t x_stride, int64_t count, int64_t channels, int64_t groups,
                   float* moments) {
  const int64_t width = channels / groups;
  const auto n = static_cast<float>(count);
  for (int64_t g = 0; g < groups; ++g) moments[2 * g] = moments[2 * g + 1] = 0;
  for (int64_t first = 0; first < channels; first += kLanes) {
    const int64_t lanes = min(kLanes, channels - first);
    const auto get = [&](int64_t i) {
      const T* p = x + i * x_stride + first;
      return lanes == kLanes ? load(p) : load_some(p, lanes);
    };
    const F pivot = get(0);
    F sum = {}, squares = {};
    for (int64_t i = 0; i < count; ++i) {
      const F y = get(i) - pivot;
      sum += y;
      squares = fma(y, y, squares);
    }
    const F shift = sum / n, mean = pivot + shift, variance = squares / n - shift * shift;
    for (int64_t j = 0; j < lanes; ++j) {
      const int64_t g = (first + j) / width, in_group = (first + j) % width;
      // Welford's update (Technometrics 4, 1962), every channel of equal weight.
      float* m = moments + 2 * g;
      const float difference = mean[j] - m[0];
      m[0] += difference / static_cast<float>(in_group + 1);
      m[1] += variance[j] + difference * (mean[j] - m[0]);
    }
  }
  for (int64_t g = 0; g < groups; ++g) moments[2 * g + 1] /= static_cast<float>(width);
}

}  // namespace tstitch::cpu::TSTITCH_ISA
