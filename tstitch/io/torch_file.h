#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "tstitch/io/tensor_file.h"

namespace tstitch {

// Which of the sets of weights that a checkpoint may hold.
enum class WeightChoice {
  automatic,  // the running average (EMA) where there is one, as the models are meant to be sampled with
  ema,        // the running average, or the file is refused
  model,      // the weights that were trained
};

// Checkpoints of PyTorch 1.6 and later (.pt, .pth, .ckpt, .bin): a zip archive of the elements of each
// storage, and a pickle that says what they mean. Only the archive's directory and the pickle are read; the
// tensors stay in the mapped file. Nothing of the pickle is run (pickle.h).
//
// The weights are found by unwrapping, at most four times, the first of these keys that leads to a dict with
// tensors, else the dict itself when it holds tensors. For the average: ema, model_ema, ema_model,
// ema_state_dict, state_dict_ema, params_ema; for what was trained: state_dict, model, model_state_dict,
// module, net, network, params, and string_to_param, a textual inversion's. `automatic` tries the former
// before the latter; `ema` passes through the latter. A dict with names "model_ema.x" (LDM) has its average
// within, and is given as it is. The prefixes "module." and "_orig_mod.", which wrappers of a model leave,
// are removed. What is no tensor is left out.
//
// Metadata of the result: "weights", the keys that were unwrapped ("ema", "state_dict"), and "ignored", how
// many entries beside the tensors were left out, each if there are any.
//
// Throws Error{input} with a code (robustness tables Z, PK, PT, listed in tests/hostile/torch) for everything
// that is not exactly right, anywhere in the file.
TensorFile read_torch_file(std::shared_ptr<const MappedFile> file, WeightChoice which);
TensorFile read_torch_file(const std::string& path, WeightChoice which = WeightChoice::automatic);

// The same for bytes in memory, which must outlive the result; `name` stands for the path in messages.
TensorFile parse_torch_file(std::span<const std::byte> bytes, const std::string& name,
                            WeightChoice which = WeightChoice::automatic);

}  // namespace tstitch
