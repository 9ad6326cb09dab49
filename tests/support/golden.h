// Golden tensors (tests/golden) and how far a result is from them.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <string>

#include "tstitch/io/npy.h"
#include "tstitch/tensor/tensor.h"

namespace tstitch {

// In the source tree, or where TSTITCH_TEST_FILES says, for tests that went to another machine.
inline std::string golden_path(const std::string& name) {
  const char* files = std::getenv("TSTITCH_TEST_FILES");
  return std::string(files ? files : TSTITCH_SOURCE_DIR) + "/tests/golden/" + name;
}

inline Tensor golden(const std::string& name) { return read_npy(golden_path(name)); }

// ||a - b|| / ||b||
inline double relative_error(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.elements(), b.elements());
  double difference = 0, norm = 0;
  for (int64_t i = 0; i < b.elements(); ++i) {
    const double x = a.data<float>()[i], y = b.data<float>()[i];
    difference += (x - y) * (x - y);
    norm += y * y;
  }
  return std::sqrt(difference / norm);
}

}  // namespace tstitch
