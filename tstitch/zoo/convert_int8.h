#pragma once

#include <string>

#include "tstitch/base/function_ref.h"
#include "tstitch/zoo/model_info.h"

namespace tstitch {

// Writes the tensors and the metadata of `from`, the file of the model, as convert_checkpoint (io) does, with
// the maps that make up the network's body in 8 bits (io/int8_tensor.h); all others keep their bytes. What is
// quantised, and how, is what loading it on a backend of int8 would: the network is loaded on one for that.
// `proceed` is asked before every tensor and ends it with false. Returns whether the file was written.
//
// Throws Error{input} as loading the model does, Error{device} when it cannot write.
bool convert_to_int8(const ModelInfo& model, const TensorFile& from, const std::string& to,
                     FunctionRef<bool()> proceed);

}  // namespace tstitch
