#pragma once

#include <string>

#include "tstitch/io/tensor_file.h"
#include "tstitch/io/torch_file.h"

namespace tstitch {

// "auto", "ema" or "model"; Error{usage} for anything else.
WeightChoice parse_weight_choice(const std::string& name);

// Opens a checkpoint of any format that we read: safetensors, GGUF or PyTorch's. What it is its content says,
// not its name. Throws Error{input} as the readers of these formats do, and says what the file is when it is
// none of them. All but PyTorch's hold one set of weights: they are refused when `which` asks for the average
// and no name in it begins with "model_ema." (LDM).
TensorFile open_checkpoint(const std::string& path, WeightChoice which = WeightChoice::automatic);

// One of the files of a checkpoint, see read_safetensors_shard.
TensorFile open_shard(const std::string& path);

}  // namespace tstitch
