#pragma once

#include <cstdint>
#include <optional>

#include "tstitch/tensor/tensor.h"

namespace tstitch {

// What one row of a batch shows: what the encoders made and the network's family reads, empty where it reads
// none. The null row of guidance is a condition like any other. A value: copies share the tensors, and rows
// that show the same hold the same tensor.
struct Condition {
  // Of networks that embed classes themselves; the number after their last class stands for none of them.
  std::optional<int64_t> class_number = {};
  Tensor context = {};  // (S, W) f32 on the host: S tokens, the same number in every row of a batch
};

}  // namespace tstitch
