#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "tstitch/tensor/tensor.h"

namespace tstitch {

// What steers a network beside what it is told: a ControlNet and the picture it follows. Networks that can be
// steered derive theirs.
class Control {
 public:
  virtual ~Control() = default;
};

// What one row of a batch shows: what the encoders made and the network's family reads, empty where it reads
// none. The null row of guidance is a condition like any other. A value: copies share the tensors, and rows
// that show the same hold the same tensors.
struct Condition {
  // Of networks that embed classes themselves; the number after their last class stands for none of them.
  std::optional<int64_t> class_number = {};
  Tensor context = {};  // (S, W) f32 on the host: S tokens
  Tensor added = {};    // (A) f32 on the host: of networks with an added condition (zoo/unet_network.h)
  // (H, W, E) f32 on the host: of networks that see more channels than the latent's, those behind them.
  Tensor beside = {};
  std::vector<std::shared_ptr<const Control>> controls = {};  // of networks that can be steered
};

// Whether they hold the same tensors.
bool is_same(const Condition& a, const Condition& b);

}  // namespace tstitch
