#pragma once

#include <string>

#include "tstitch/io/tensor_file.h"

namespace tstitch {

// A checkpoint in several files: the index (*.index.json) maps every tensor to the file beside it that holds
// it, as Hugging Face's libraries write it. The tensors of all shards as one file. Throws Error{input}:
// SHARD_INDEX for an index of another form or a name that is no plain file name, SHARD_MISSING when a shard
// lacks a tensor that the index promises; tensors the index does not mention are left out.
TensorFile read_sharded_checkpoint(const std::string& index_path);

// Whether a file of that name is such an index, also of a variant: "model.safetensors.index.fp16.json".
bool is_shard_index(const std::string& path);

}  // namespace tstitch
