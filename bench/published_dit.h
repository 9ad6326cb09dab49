#pragma once

#include <string>

#include "tstitch/base/error.h"
#include "tstitch/zoo/families/dit.h"

namespace tstitch {

// "DiT-XL/2", for 256 x 256 pictures.
inline DiTConfig published_dit(const std::string& name) {
  for (const DiTSize& size : kDiTSizes)
    for (const int64_t patch : {2, 4, 8}) {
      const DiTConfig config = {.patch_size = patch,
                                .hidden_size = size.hidden_size,
                                .depth = size.depth,
                                .num_heads = size.num_heads};
      if (dit_name(config) == name) return config;
    }
  fail(ErrorKind::usage, "no published DiT is called \"", printable(name), "\"");
}

}  // namespace tstitch
