// Numbers of 8 bits that stand for weights and activations (W8A8): what they mean, whoever multiplies them.
//
//   w[m, k] = values[m, k] scales[m] factors[k]      -127 ... 127, symmetric: one scale for each output
//   x[k] factors[k] = (q[k] - zero) scale            0 ... 255, with a zero: one range for each row of x
//
// so that sum_k x[k] w[m, k] = scale scales[m] sum_k (q[k] - zero) values[m, k], a sum of integers that is
// exact in 32 bits and so the same in any order and with any instruction. The factors move what is uneven
// between the channels of x into the weight (SmoothQuant, Xiao et al. 2023, arXiv 2211.10438).
#pragma once

#include <cstdint>
#include <span>

#include "tstitch/tensor/tensor.h"

namespace tstitch {

// The most inputs of an output whose sum fits 32 bits: 65793 x 255 x 128 < 2^31.
inline constexpr int64_t kMostInt8Inputs = 65793;

// A weight (M, K) or (M, C, kh, kw).
struct Int8Weight {
  Tensor values;   // as the weight, i8 (files of others may have -128)
  Tensor scales;   // (M) f32
  Tensor factors;  // (K) or (C) f32, of the inputs; or empty: ones
};

// w: f32. factors: as above, finite and above 0. An output's largest |w / factors| becomes 127, the others
// are rounded to the nearest, ties to even.
Int8Weight quantize(const Tensor& w, const Tensor& factors = {});

// The weight that they stand for, f32.
Tensor dequantize(const Int8Weight& weight);

// The outputs of parts with as many inputs, one below the other. Throws Error{input} where one has factors:
// those of one product are the same.
Int8Weight stacked(std::span<const Int8Weight> parts);
// The same of tensors of one type.
Tensor stacked(std::span<const Tensor> parts);

// (alpha = 1/2 of the paper) 1 / sqrt(size of an input / its largest weight), from `sizes` (K) or (C), about
// how large each channel of x becomes, and w, (M, K) or (M, C, kh, kw), both f32.
Tensor smoothing_factors(const Tensor& w, const Tensor& sizes);

// What the numbers q of a row, or of a picture, stand for.
struct Uint8Range {
  float scale = 0, inverse = 0;
  int32_t zero = 0;
};

// From the least to the largest number, 0 always among them. NaN is told of by a scale that is NaN: then all
// that is made of the row is. Numbers of which none is above 2^-100 in size are zeros.
Uint8Range range_of(float low, float high);

// The q of a number: rounded to nearest, ties to even.
uint8_t quantized(float x, const Uint8Range& range);

}  // namespace tstitch
