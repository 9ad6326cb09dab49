#include "apps/findings.h"

#include "tstitch/base/error.h"

namespace tstitch {

std::vector<size_t> spread(size_t count, size_t most) {
  std::vector<size_t> chosen;
  for (size_t i = 0; i < std::min(count, most); ++i)
    chosen.push_back(count <= most ? i : (i * (count - 1) + (most - 1) / 2) / (most - 1));
  return chosen;
}

std::string settings(const RunSpec& spec) {
  return concat(spec.options.sampler, ", ", spec.trajectory.size(), " steps, cfg ", *spec.options.cfg_scale,
                ", seed ", spec.options.seed);
}

}  // namespace tstitch
