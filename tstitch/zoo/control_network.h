// ControlNets as rows: beside the network that is asked, and read by it (unet_network.h).
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "tstitch/diffusion/network.h"
#include "tstitch/models/control_net.h"
#include "tstitch/zoo/timestep_table.h"

namespace tstitch {

class ControlNetwork;

// A ControlNet with the picture it follows, which it has read once for all rows.
struct FollowedHint final : Control {
  std::shared_ptr<const ControlNetwork> network;
  Tensor hint;                          // (1, H, W, C), what the picture is to the network
  std::vector<ControlNet::Gain> gains;  // of its strength
};

// A control, and what a row's condition is to its network.
struct BoundControl {
  std::shared_ptr<const FollowedHint> followed;
  ControlNet::Context context;
  int64_t number = 0;  // of the condition, where there is an added one: timesteps are not the same to all
  Tensor added;        // (1, A)

  const ControlNetwork& network() const { return *followed->network; }
};

class ControlNetwork : public std::enable_shared_from_this<ControlNetwork> {
 public:
  // takes_bgr: whether it reads the blue of pictures first.
  ControlNetwork(ControlNet net, bool takes_bgr);

  // picture: (3, f H, f W) f32 on the host, RGB in [0, 1]; strength: what its answers are multiplied by.
  std::shared_ptr<const Control> follow(const Tensor& picture, double strength) const;

  // context: (S, W) and added: (1, A) or empty, on the backend.
  BoundControl bind(std::shared_ptr<const FollowedHint> followed, const Tensor& context,
                    const Tensor& added) const;

  // What the timesteps of these rows are to the network, a row each, where they are steered by these of its
  // controls.
  Tensor times(std::span<const Row> rows, std::span<const BoundControl* const> controls) const;

  const ControlNet& net() const { return net_; }

 private:
  ControlNet net_;
  bool takes_bgr_;
  mutable std::atomic<int64_t> bound_ = 0;  // how many conditions were
  mutable std::mutex turn_;                 // of the table
  mutable TimestepTable times_;
};

}  // namespace tstitch
