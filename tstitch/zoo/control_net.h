// ControlNets: what a file or folder of one says, and whom it can steer.
#pragma once

#include <memory>
#include <string>

#include "tstitch/io/tensor_file.h"
#include "tstitch/models/control_net.h"
#include "tstitch/zoo/control_network.h"
#include "tstitch/zoo/model_files.h"

namespace tstitch {

struct ModelInfo;

struct ControlNetInfo {
  std::string path;  // as the user gave it
  ModelFiles files;
  std::string name;  // of the file or folder
  ControlNetConfig config;
  bool takes_bgr = false;  // reads the hint's blue first
  // Its way down and middle are differences from those of the U-Net that it steers.
  bool is_difference = false;
  int64_t file_bytes = 0;
  std::string content = "";  // content_of its files, once somebody has read them
};

// Whether the file or folder is a ControlNet, or something else that steers or changes a model beside it and
// is known by name: read_control_net_info reads it or says why not.
bool is_control_net(const TensorFile& file);

// Reads names, shapes and configuration. Throws Error{input} for what is no ControlNet, by name for its
// relatives that are not read (Control-LoRA, T2I-Adapter, ControlNet-Union, ...).
ControlNetInfo read_control_net_info(const std::string& path);

// Why it cannot steer the model, one sentence; "" where it can.
std::string control_obstacle(const ControlNetInfo& net, const ModelInfo& model);

// Loads the weights onto the backend; of a difference those of `base`, which it can steer, are added. Throws
// Error{input} when the file's tensors do not fit its configuration or hold numbers that are not finite.
std::shared_ptr<const ControlNetwork> load_control_net(const ControlNetInfo& net, const ModelInfo& base,
                                                       Backend& backend);

}  // namespace tstitch
