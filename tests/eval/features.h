// The features of tools/goldens/make_eval_goldens.py.
#pragma once

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/support/golden.h"
#include "tstitch/io/json.h"
#include "tstitch/nn/random_weights.h"

namespace tstitch {

inline Tensor features(const std::string& name, int64_t count, int64_t width, double shift = 0) {
  const Tensor x = random_uniform("eval/" + name, {count, width}, std::sqrt(3.0), 7);
  Tensor y(x.shape(), DType::f32);
  for (int64_t i = 0; i < count; ++i)
    for (int64_t j = 0; j < width; ++j) {
      const float* row = x.data<float>() + i * width;
      y.data<float>()[i * width + j] = static_cast<float>(row[j] / (1. + static_cast<double>(j)) +
                                                          0.5 * row[(j + width - 1) % width] + shift);
    }
  return y;
}

inline nlohmann::json golden_metrics(const char* kind) {
  return parse_json_file(golden_path("eval/metrics.json")).at(kind);
}

}  // namespace tstitch
