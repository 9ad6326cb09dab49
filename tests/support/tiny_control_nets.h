// The tiny ControlNets of tests/golden/control (tools/goldens/make_control_goldens.py).
#pragma once

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/support/golden.h"
#include "tests/support/recorder.h"
#include "tstitch/io/json.h"
#include "tstitch/io/png.h"
#include "tstitch/io/safetensors.h"
#include "tstitch/models/control_net.h"
#include "tstitch/zoo/diffusers_control_net.h"

namespace tstitch {

inline const nlohmann::json& tiny_control_configs() {
  static const nlohmann::json all = parse_json_file(golden_path("control/configs.json"));
  return all;
}

inline ControlNetConfig tiny_control_config(const std::string& name) {
  bool takes_bgr = false;
  return read_diffusers_control_net_config(tiny_control_configs().at(name), name, takes_bgr);
}

// Its weights, by diffusers' names.
inline std::map<std::string, Tensor> tiny_control_tensors(const std::string& name) {
  static const auto backend = make_backend({.dtype = "f32", .threads = 1});
  const Recorder recorder("control-" + name);
  ControlNet(tiny_control_config(name), Weights(*backend, recorder));
  return recorder.tensors;
}

// Its folder as diffusers would have saved it.
inline void write_tiny_control_net(const std::filesystem::path& folder, const std::string& name) {
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "config.json") << tiny_control_configs().at(name);
  write_safetensors((folder / "diffusion_pytorch_model.safetensors").string(), tiny_control_tensors(name),
                    {});
}

// The hints of the goldens, 64 x 64 pixels.
inline Image tiny_hint(int factor = 37) {
  Image hint{.width = 64, .height = 64, .channels = 3, .pixels = {}};
  for (int i = 0; i < 64 * 64 * 3; ++i)
    hint.pixels.push_back(static_cast<uint8_t>((i * factor % 251) ^ (i / 7 % 5)));
  return hint;
}

// The same as a network takes it: (3, 64, 64) in [0, 1].
inline Tensor tiny_hint_picture(int factor = 37) {
  const Image hint = tiny_hint(factor);
  Tensor picture({3, 64, 64}, DType::f32);
  for (size_t i = 0; i < hint.pixels.size(); ++i)
    picture.data<float>()[i % 3 * 64 * 64 + i / 3] = static_cast<float>(hint.pixels[i] / 255.0);
  return picture;
}

}  // namespace tstitch
