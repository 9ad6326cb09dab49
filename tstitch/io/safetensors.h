#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "tstitch/io/tensor_file.h"
#include "tstitch/io/tensor_header.h"
#include "tstitch/tensor/tensor.h"

namespace tstitch {

// The safetensors format (https://github.com/huggingface/safetensors, "Format"): 8 bytes length of the
// header, the header as JSON, the elements without gap or overlap.

// Maps the file and checks all of its header against its size; no element is read. Throws Error{input} with a
// code (robustness table ST1-ST27, listed in tests/hostile/safetensors) for everything that is not exactly
// right. Limits of our own: 1,000,000 tensors, 64 dimensions, names of 4096 bytes, 16 MiB of metadata.
TensorFile read_safetensors(std::shared_ptr<const MappedFile> file);
TensorFile read_safetensors(const std::string& path);

// One of several files of a checkpoint: scales (weight_scales.h) and what they belong to may lie in different
// ones, and are as yet tensors like others.
TensorFile read_safetensors_shard(std::shared_ptr<const MappedFile> file);

// The same for bytes in memory, which must outlive the result; `name` stands for the path in messages.
TensorFile parse_safetensors(std::span<const std::byte> bytes, const std::string& name);

// What the format calls a type: "BF16".
std::string_view stored_name(DType dtype);
// Whether the format has a type of this name.
bool is_stored_type(std::string_view name);

// Writes whole or not at all. The largest element types come first, then by name, so that every tensor is
// aligned and the same input gives the same bytes. Names and metadata are UTF-8. Throws Error{device} when it
// cannot.
void write_safetensors(const std::string& path, const std::map<std::string, Tensor>& tensors,
                       const std::map<std::string, std::string>& metadata);

// The same for tensors that come into memory one by one: `write_elements` is asked for each in the order of
// the file. Returns whether the file was written.
bool write_safetensors(const std::string& path, const std::map<std::string, TensorHeader>& tensors,
                       const std::map<std::string, std::string>& metadata, WriteElements write_elements);

}  // namespace tstitch
