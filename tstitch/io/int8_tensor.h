#pragma once

#include <optional>
#include <string>

#include "tstitch/io/tensor_file.h"
#include "tstitch/tensor/int8.h"

namespace tstitch {

// Where the scales of the 8-bit weight `name`, ("m.weight"), lie, and the factors of its inputs: beside it,
// "m.weight_scale" (M) and "m.weight_factor" (K) or (C), both f32. The first is what ComfyUI's
// int8_tensorwise has, too, in the shapes that weight_scales.h names.
std::string int8_scale_name(const std::string& name);
std::string int8_factor_name(const std::string& name);

// The tensor `name` of type I8 with one scale for each output or for all; nothing where it is another tensor.
// Throws Error{input} [MODEL_INT8] when a scale is not finite or a factor not above 0; else as
// TensorFile::load.
std::optional<Int8Weight> load_int8(const TensorFile& file, const std::string& name, const Shape& expected);

}  // namespace tstitch
