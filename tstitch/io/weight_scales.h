// Weights of 8 bits with scales in tensors of their own. Private to io/.
#pragma once

#include <string>

#include "tstitch/io/tensor_file.h"

namespace tstitch {

// Gives every weight of type F8_E4M3, F8_E5M2 or I8 the scales that lie beside it, and marks these as its
// companions. As ComfyUI writes them (QUANTIZATION.md and comfy/utils.py, convert_old_quants): of the weight
// "x.weight" (O, ...) the tensor "x.scale_weight" or "x.weight_scale", of the shape (), (1), (O), (O, 1) or
// (O, B, 1), B blocks a row; what a module's input is rounded with ("x.scale_input", "x.input_scale"), which
// is of no use where products are not of 8 bits; the format as JSON in "x.comfy_quant"; the marker
// "scaled_fp8". And as int8_tensor.h says "x.weight_factor". The tensors are those of all files of a
// checkpoint.
//
// Throws Error{input}: QUANT_FORMAT for formats that are not float8_e4m3fn, float8_e5m2 and int8_tensorwise
// without rotation, and for scales that are not known; QUANT_SCALE for scales without such a weight, or that
// do not fit it. A scale that is passed over would give pictures of noise and no error.
void attach_scales(TensorFile::Tensors& tensors, const std::string& where);

// The same of the formats that the metadata of a file say of weights, "_quantization_metadata".
void check_quantization_metadata(const TensorFile::Tensors& tensors, const TensorFile::Metadata& metadata,
                                 const std::string& where);

}  // namespace tstitch
