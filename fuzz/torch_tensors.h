#pragma once

#include "fuzz/expect_input_error.h"
#include "tstitch/io/torch_file.h"

namespace tstitch {

// Reads the archive with one of the choices of weights, and every tensor of what is accepted.
inline void read_everything(std::span<const std::byte> archive) {
  const auto which = static_cast<WeightChoice>(archive.size() % 3);
  expect_input_error([&] {
    const TensorFile file = parse_torch_file(archive, "fuzz", which);
    for (const auto& [name, info] : file.tensors()) {
      if (!info.bytes.empty() && (info.bytes.data() < archive.data() ||
                                  info.bytes.data() + info.bytes.size() > archive.data() + archive.size()))
        abort();
      if (info.shape.size() > Shape::kMaxRank) continue;
      expect_input_error([&, &name = name, &info = info] { file.load(name, Shape(info.shape), DType::f32); });
    }
  });
}

}  // namespace tstitch
