#pragma once

#include <string>

#include "tstitch/base/function_ref.h"
#include "tstitch/io/tensor_file.h"

namespace tstitch {

// Writes the tensors and the metadata of `from` as a GGUF file, whole or not at all, with one tensor in
// memory at a time. type: of the large ones, "Q8_0", "Q4_0", "F16", "BF16" or "F32". As ComfyUI-GGUF
// (convert.py) and stable-diffusion.cpp (ModelLoader::tensor_should_be_converted) choose, these are not
// quantised: vectors and what has no more than 1024 elements, which are F32; the first and the last layers,
// embeddings of any kind; and in a file with text encoder or autoencoder, which stable-diffusion.cpp is to
// read, what has no rows of whole blocks: the convolutions. Those stay BF16, or become F16. Integers keep
// their type. `proceed` is asked before every tensor and ends it with false. Returns whether the file was
// written.
//
// Throws Error{input} with the tensor's name for elements that are NaN, infinite or too large for the type,
// and for types and names that GGUF files do not have; Error{device} when it cannot write.
bool convert_to_gguf(const TensorFile& from, const std::string& to, const std::string& type,
                     FunctionRef<bool()> proceed);

}  // namespace tstitch
