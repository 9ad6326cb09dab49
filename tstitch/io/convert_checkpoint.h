#pragma once

#include <optional>
#include <string>

#include "tstitch/base/function_ref.h"
#include "tstitch/io/tensor_file.h"
#include "tstitch/tensor/dtype.h"

namespace tstitch {

// Writes the tensors and the metadata of `from` as a safetensors file, whole or not at all, with one tensor
// in memory at a time. Tensors of floating-point numbers become `dtype` (f32, bf16 or f16), rounded once to
// nearest even; all others, and without `dtype` all, keep their bytes. `proceed` is asked before every tensor
// and ends it with false. Returns whether the file was written. Scales of weights of 8 bits are multiplied in
// and gone where these are converted.
//
// Throws Error{input} with the tensor's name for elements that are NaN, infinite or too large for `dtype`,
// for floating-point types that we do not read and, without `dtype`, for types
// that only GGUF files have; Error{device} when it cannot write.
bool convert_checkpoint(const TensorFile& from, const std::string& to, std::optional<DType> dtype,
                        FunctionRef<bool()> proceed);

}  // namespace tstitch
