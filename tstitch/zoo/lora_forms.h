// The changes of weights that files of LoRAs describe, a row of one table for each form. A weight of (M, I,
// kh, kw) is a matrix of M rows and K = I kh kw columns; so is every tensor of a file, the first extent by
// the others.
#pragma once

#include <string>

#include "tstitch/backend/backend.h"
#include "tstitch/zoo/lora_file.h"

namespace tstitch {

// Of what kind of a module's tensors a change is.
enum class LoraTarget { weight, bias };

// Whether the module changes its weight or bias at all.
bool changes(const LoraModule& module, LoraTarget target);

// Why the module is no change of a weight or bias of that shape, naming the tensor; "" where it is one.
// Throws Error{input} [LORA_FORM] where its tensors are no change of any. Looks at shapes alone: what passes
// takes no more memory than a few times the weight.
std::string lora_obstacle(const LoraFile& file, const LoraModule& module, LoraTarget target,
                          const Shape& weight);

// Adds the change times `strength` to the weight or bias, f32 on the host, which it fits. backend: of the
// host, computing in f32. With a magnitude (DoRA, Liu et al. 2024, arXiv 2402.09353), what is added is that
// times the difference to the rescaled sum.
void add_lora(Backend& backend, const LoraFile& file, const LoraModule& module, LoraTarget target,
              double strength, Tensor& weight);

}  // namespace tstitch
