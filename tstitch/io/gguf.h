#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <variant>

#include "tstitch/io/tensor_file.h"
#include "tstitch/io/tensor_header.h"

namespace tstitch {

// The GGUF format (https://github.com/ggml-org/ggml, docs/gguf.md), versions 2 and 3, little-endian: keys
// with values, the tensors' names, extents (the innermost first), types and places, and their elements.

// Whether a file that begins so is one.
bool is_gguf(std::string_view start);

// Checks all of the header against the file's size; no element is read. Shapes are PyTorch's: the outermost
// extent first, and as the key "comfy.gguf.orig_shape.NAME" says where there is one (ComfyUI-GGUF stores
// convolutions as rows of 256). Metadata are the values that are strings. Throws Error{input} with a code
// GGUF_* (listed in tests/hostile/gguf) for everything that is not exactly right, and for types that are not
// read: IQ*, TQ*, Q8_1, .... Limits of our own: 1,000,000 tensors and as many keys, 4 dimensions (5 of
// orig_shape), names of 256 bytes, keys of 65535, 16 MiB of metadata.
TensorFile read_gguf(std::shared_ptr<const MappedFile> file);

// The same for bytes in memory, which must outlive the result; `name` stands for the path in messages.
TensorFile parse_gguf(std::span<const std::byte> bytes, const std::string& name);

// Whether it has a type of this name that is read: "Q4_K", "F16", "I64".
bool is_gguf_type(std::string_view name);

using GgufMetadata = std::map<std::string, std::variant<std::string, uint32_t>>;

// Writes whole or not at all, tensors by name. Rows that are no whole blocks of their type are stored as rows
// of 256 beside "comfy.gguf.orig_shape.NAME". `write_elements` is asked for each tensor in the order of the
// file. Returns whether the file was written.
//
// Throws Error{input} [GGUF_NAME] or [GGUF_SHAPE], naming `path`, for names of more than 127 bytes, which
// ggml does not read, and shapes that the format does not hold: more than 4 dimensions, no elements.
// Error{device} when it cannot write.
bool write_gguf(const std::string& path, const std::map<std::string, TensorHeader>& tensors,
                const GgufMetadata& metadata, WriteElements write_elements);

}  // namespace tstitch
